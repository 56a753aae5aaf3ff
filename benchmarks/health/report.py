"""The figures of ``python -m benchmarks.health`` as tables."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.health.cost import Cost


def markdown(document: Mapping[str, Any]) -> str:
    """All tables."""
    sets, cost = document["sets"], document["cost"]
    parts = [_alarms(sets), _measures(sets), _blurs(sets), _without_a_part(sets), _still(document["still"])]
    parts.append(Cost(**cost).line())
    return "\n\n".join(parts)


def _alarms(sets: Mapping[str, Any]) -> str:
    rows = []
    for name, found in sets.items():
        defective = found["defective"].values()
        refused = {reason: sum(kind.get(reason, 0) for kind in defective) for reason in _reasons(defective)}
        total = sum(kind["images"] for kind in defective)
        limits = ", ".join(f"{value:.3g}" for value in (*found["sharpness_low"], found["likeness_low"]))
        cells = [_counted(found["training"]), _counted(found["good"]), _counted({"images": total, **refused})]
        rows.append([name, limits, *cells])
    heads = ["", "limits: sharpness across, down, likeness", "training, a tenth left out", "good", "defective"]
    return _table(heads, rows)


def _measures(sets: Mapping[str, Any]) -> str:
    rows = []
    names = list(sets)
    for number, each in enumerate(next(iter(sets.values()))["measures"]):
        row = [f"{each['measure']}, {each['on']}"]
        for name in names:
            found = sets[name]["measures"][number]
            radii = (_radius(found[key]) for key in ("radius", "radius_noisy", "radius_compressed"))
            alarms = f"{100 * found['good_alarmed']:.0f}, {100 * found['compressed_alarmed']:.0f} %"
            row.append(f"{' / '.join(radii)} ({alarms})")
        rows.append(row)
    return _table(["", *names], rows)


def _blurs(sets: Mapping[str, Any]) -> str:
    rows = []
    for number, each in enumerate(next(iter(sets.values()))["blurred"]):
        row = [each["blur"]]
        for found in (found["blurred"][number] for found in sets.values()):
            row.append(
                f"{found['good_refused']} of {found['good']}; {found['defective_refused']} of {found['defective']}; "
                f"{found['turned']} → {found['turned_passed']}"
            )
        rows.append(row)
    heads = [f"{name}: good refused; defective refused; NG that turn OK without → with" for name in sets]
    return _table(["blur", *heads], rows)


def _without_a_part(sets: Mapping[str, Any]) -> str:
    kinds = list(dict.fromkeys(kind for found in sets.values() for kind in found["without_a_part"]))
    rows = []
    for kind in kinds:
        cells = [found["without_a_part"].get(kind) for found in sets.values()]
        rows.append([kind, *("" if cell is None else _counted({**cell, "images": cell["frames"]}) for cell in cells)])
    return _table(["", *sets], rows)


def _still(rows: Sequence[Mapping[str, Any]]) -> str:
    def cells(row: Mapping[str, Any]) -> list[str]:
        found = [row["encoder"], f"{row['noise']:g}", f"{row['least']:.2f}"]
        if row["limit"] is None:
            return [*found, "refused", "", ""]
        live, frozen = (f"{row[f'{kind}_called_frozen']} of {row[kind]}" for kind in ("live", "frozen"))
        return [*found, f"{row['limit']:.2f}", live, frozen]

    heads = ["encoder", "noise", "least change", "limit", "live called frozen", "frozen called frozen"]
    return _table(heads, [cells(row) for row in rows])


def _reasons(counted: Iterable[Mapping[str, int]]) -> list[str]:
    return sorted({reason for each in counted for reason in each} - {"images", "frames"})


def _counted(found: Mapping[str, int]) -> str:
    """Such as "2 of 63 (2 blurred)"."""
    reasons = {reason: count for reason, count in found.items() if reason not in ("images", "frames") and count}
    told = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
    return f"{sum(reasons.values())} of {found['images']}" + (f" ({told})" if told else "")


def _radius(radius: float | None) -> str:
    return "–" if radius is None else f"{radius:g}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

"""The roofline (Williams et al., 2009): what each row reaches, below what arithmetic and memory allow it.

::

    python -m benchmarks.throughput.roofline RESULT.json --out roofline.svg

A roof is the smaller of the measured matrix product and the measured copy of memory times the operations per byte.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.redraw import redraw
from runtime import cli
from runtime.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
GIGA = 1e9


def roofline(document: dict[str, Any]) -> "Figure":
    """The plot of what benchmarks.throughput writes with ``--json``. Raises `InputError` for another document."""
    from benchmarks.plots import CYCLE, GREY, figure, legend, line, logarithmic, points

    try:
        rows = [row for row in document["rows"] if row["operations_per_s"] and row["intensity"]]
        roofs = _roofs(document["limits"])
        where = document["environment"]["cpu"]
    except (KeyError, TypeError) as error:
        raise InputError(f"this is no result of benchmarks.throughput ({error} is missing)") from error
    if not rows:
        raise InputError("no row of this result has an arithmetic; there is nothing to draw")
    drawn, axes = figure("operations per byte moved", "Gop/s", f"Frames one by one, {where}", (7.2, 3.6))
    knees = [peak / bandwidth for _, peak, bandwidth in roofs if bandwidth]
    places = [row["intensity"] for row in rows] + knees
    x = np.geomspace(min(places) / 4, 4 * max(places), 200)
    for index, (label, peak, bandwidth) in enumerate(roofs):
        y = np.minimum(peak, bandwidth * x) / GIGA if bandwidth else np.full_like(x, peak / GIGA)
        line(axes, x, y, f"limit, {label}: {peak / GIGA:.0f} Gop/s", GREY, dash=index)
    for index, row in enumerate(rows):
        colour, marker = CYCLE[index % len(CYCLE)], MARKERS[index % len(MARKERS)]
        share = f" ({100 * row['share']:.0f} %)" if row["share"] else ""
        points(axes, [row["intensity"]], [row["operations_per_s"] / GIGA], row["name"] + share, colour, marker, 36)
    logarithmic(axes, "x")
    logarithmic(axes, "y")
    axes.set_xlim(x[0], x[-1])
    legend(axes, "beside")
    return drawn


def _roofs(limits: list[dict[str, Any]]) -> list[tuple[str, float, float | None]]:
    """(label, operations a second, bytes a second) of each kind, from its fastest probe."""
    copies = {limit["device"]: limit["per_s"] for limit in limits if limit["kind"] == "copy"}
    peaks: dict[tuple[str, str], float] = {}
    for limit in limits:
        if limit["kind"] != "copy":
            key = (limit["kind"], limit["device"])
            peaks[key] = max(limit["per_s"], peaks.get(key, 0.0))
    return [(f"{kind} on {device}", peak, copies.get(device)) for (kind, device), peak in peaks.items()]


def main() -> None:
    redraw("benchmarks.throughput.roofline", roofline)


if __name__ == "__main__":
    cli.run(main)

"""A detector's accuracy in words and for JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.accuracy.chance import auroc_at_random, no_better_than_chance
from benchmarks.accuracy.decisions import Decisions, budget_verdict, in_words, percent
from benchmarks.accuracy.evaluation import Accuracy, Inspection, name_in
from benchmarks.accuracy.findings import Findings, Intervals
from benchmarks.accuracy.pro_interval import LEAST_IMAGES, Interval
from benchmarks.accuracy.shortcuts import Shortcuts, warning
from benchmarks.accuracy.tables import (
    Table,
    evidence_rows,
    interval,
    region_rows,
    shortcut_table,
    threshold_notes,
    thresholds_table,
)
from runtime.threshold import Threshold, explain

Pairs = list[tuple[str, str]]
NO_SHORTCUT = (
    "None of these tells good and defective images apart by itself, beyond chance and to a degree that matters."
)

BY_REGION = (
    "An image that is rejected in several regions counts in each, and one that the frame as a whole rejects in none. "
    "Figures of pixels are of whole maps, also where nothing is inspected."
)


def figures(accuracy: Accuracy, threshold: Threshold, intervals: Intervals) -> Pairs:
    """The figures in words, with their names."""
    return [
        ("images", f"{accuracy.false_rejects.total} good, {accuracy.detected.total} defective"),
        ("image AUROC", f"{accuracy.image_auroc:.4f} (95 % interval {interval(intervals.image_auroc)})"),
        *_of_pixels(accuracy, intervals),
        ("false rejects", f"{in_words(accuracy.false_rejects)}, budget {percent(threshold.budget)}"),
        ("budget", budget_verdict(accuracy.false_rejects, threshold)),
        ("detected", in_words(accuracy.detected)),
        ("at the threshold", _quality(accuracy.at_threshold)),
        ("best F1", f"{_quality(accuracy.best)}; chosen with hindsight, at {accuracy.best.threshold:.4f}"),
        ("no decision", f"{accuracy.undecided}, counted above as rejected" if accuracy.undecided else "none"),
        *_of_small(accuracy),
        ("threshold", f"{threshold.value:.4f}. {explain(threshold)}"),
    ]


def report(accuracy: Accuracy, threshold: Threshold, findings: Findings) -> str:
    """The figures as text, a line each, and the tables that go with them."""
    pairs = figures(accuracy, threshold, findings.intervals)
    by_defect = findings.intervals.image_auroc_by_defect.items()
    pairs[2:2] = [
        (f"  {kind} ({accuracy.images[kind]})", f"{found.auroc:.4f} ({interval(found)})") for kind, found in by_defect
    ]
    alone = ", ".join(f"{each.name} {each.auroc.auroc:.2f}" for each in findings.shortcuts.values)
    pairs.append(("size and light alone", f"image AUROC by {alone}"))
    lines = [f"{name:<20} {text}" for name, text in pairs]
    for title, table, notes in tables(findings):
        lines += [title, table.as_text(), *(f"  {note}" for note in notes)]
    return "\n".join(lines)


def tables(findings: Findings) -> list[tuple[str, Table, list[str]]]:
    """The tables that go with the figures: title, cells, and what is to be known of them."""
    detector = findings.intervals.image_auroc
    said = warning(findings.shortcuts, detector.auroc)
    found = [
        ("What other thresholds would do", thresholds_table(findings.thresholds), threshold_notes(findings.thresholds)),
        (
            "Told apart without looking at the part",
            shortcut_table(findings.shortcuts, detector),
            [_compared(findings.shortcuts), f"{said[0].upper()}{said[1:]}" if said else NO_SHORTCUT],
        ),
    ]
    if findings.image_evidence:
        found.append(("What each kind of evidence tells", evidence_rows(findings.image_evidence), []))
    if findings.regions:
        found.append(("Rejects by region of interest", region_rows(findings.regions), [BY_REGION]))
    return found


def _compared(shortcuts: Shortcuts) -> str:
    if shortcuts.training_images:
        return f"Unusual means far from what {shortcuts.training_images} good training images show."
    return (
        "No good training images lie beside these, so that only higher and lower values were tried, not unusual ones."
    )


def _of_pixels(accuracy: Accuracy, intervals: Intervals) -> Pairs:
    if accuracy.pixel_auroc is None or accuracy.au_pro_30 is None or accuracy.au_pro_5 is None:
        return [("pixel figures", f"none: no mask is known of the {accuracy.without_mask} defective images")]
    left_out = f"; {accuracy.without_mask} defective images without a mask left out" if accuracy.without_mask else ""
    return [
        ("pixel AUROC", f"{accuracy.pixel_auroc:.4f}{left_out}"),
        ("AU-PRO to 30 % FPR", f"{accuracy.au_pro_30:.4f} ({_bootstrap(intervals.au_pro_30)}){left_out}"),
        ("AU-PRO to 5 % FPR", f"{accuracy.au_pro_5:.4f} ({_bootstrap(intervals.au_pro_5)}){left_out}"),
    ]


def _of_small(accuracy: Accuracy) -> Pairs:
    if not accuracy.too_small:
        return []
    return [
        ("too small", f"{accuracy.too_small} score above the threshold and are OK: no region is large enough to count")
    ]


def _bootstrap(found: Interval | None) -> str:
    if found is None:
        return f"no interval: it takes {LEAST_IMAGES} good and {LEAST_IMAGES} defective images with masks"
    return f"95 % interval {found.low:.3f} to {found.high:.3f}"


def _quality(decisions: Decisions) -> str:
    precision = "none (nothing is rejected)" if decisions.precision is None else f"{decisions.precision:.4f}"
    return f"F1 {decisions.f1:.4f}, precision {precision}, recall {decisions.recall:.4f}"


def as_document(
    accuracy: Accuracy, findings: Findings, inspections: Sequence[Inspection], data: Path
) -> dict[str, object]:
    """Figures and findings, and every image's score, decision and reason, ready for JSON; paths are below `data`."""
    return {
        "accuracy": asdict(accuracy),
        "no_better_than_chance": no_better_than_chance(accuracy),
        "image_auroc_at_random": auroc_at_random(accuracy.false_rejects.total, accuracy.detected.total),
        **asdict(findings),
        "shortcut_warning": warning(findings.shortcuts, accuracy.image_auroc),
        "inspections": [
            {
                "path": name_in(data, each.image),
                "defect": each.image.defect,
                "score": each.score,
                "decision": each.verdict.decision.value,
                "reason": each.verdict.reason,
                **({"rejected_in": list(each.verdict.rejected_in)} if findings.regions else {}),
            }
            for each in inspections
        ],
    }


def lead(accuracy: Accuracy) -> str:
    """What matters most, in a sentence or two."""
    found, false, chance = accuracy.detected, accuracy.false_rejects, no_better_than_chance(accuracy)
    decisions = (
        f"At its calibrated threshold the detector rejects {found.count} of {found.total} defective images"
        f" and {false.count} of {false.total} good ones."
    )
    return f"{chance}. {decisions}" if chance else decisions

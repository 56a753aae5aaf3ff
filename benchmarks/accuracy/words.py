"""A detector's accuracy in words and for JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.accuracy.chance import auroc_at_random, no_better_than_chance
from benchmarks.accuracy.decisions import Decisions, budget_verdict, in_words, percent
from benchmarks.accuracy.evaluation import Accuracy, Inspection, name_in
from runtime.threshold import Threshold, explain

Pairs = list[tuple[str, str]]


def figures(accuracy: Accuracy, threshold: Threshold) -> Pairs:
    """The figures in words, with their names."""
    return [
        ("images", f"{accuracy.false_rejects.total} good, {accuracy.detected.total} defective"),
        ("image AUROC", f"{accuracy.image_auroc:.4f}"),
        *_of_pixels(accuracy),
        ("false rejects", f"{in_words(accuracy.false_rejects)}, budget {percent(threshold.budget)}"),
        ("budget", budget_verdict(accuracy.false_rejects, threshold)),
        ("detected", in_words(accuracy.detected)),
        ("at the threshold", _quality(accuracy.at_threshold)),
        ("best F1", f"{_quality(accuracy.best)}; chosen with hindsight, at {accuracy.best.threshold:.4f}"),
        ("no decision", f"{accuracy.undecided}, counted above as rejected" if accuracy.undecided else "none"),
        *_of_small(accuracy),
        ("threshold", f"{threshold.value:.4f}. {explain(threshold)}"),
    ]


def report(accuracy: Accuracy, threshold: Threshold) -> str:
    """The figures as text, a line each."""
    pairs = figures(accuracy, threshold)
    by_defect = accuracy.image_auroc_by_defect.items()
    pairs[2:2] = [(f"  {kind} ({accuracy.images[kind]})", f"{value:.4f}") for kind, value in by_defect]
    return "\n".join(f"{name:<20} {text}" for name, text in pairs)


def _of_pixels(accuracy: Accuracy) -> Pairs:
    if accuracy.pixel_auroc is None or accuracy.au_pro_30 is None or accuracy.au_pro_5 is None:
        return [("pixel figures", f"none: no mask is known of the {accuracy.without_mask} defective images")]
    left_out = f"; {accuracy.without_mask} defective images without a mask left out" if accuracy.without_mask else ""
    return [
        ("pixel AUROC", f"{accuracy.pixel_auroc:.4f}{left_out}"),
        ("AU-PRO to 30 % FPR", f"{accuracy.au_pro_30:.4f}{left_out}"),
        ("AU-PRO to 5 % FPR", f"{accuracy.au_pro_5:.4f}{left_out}"),
    ]


def _of_small(accuracy: Accuracy) -> Pairs:
    if not accuracy.too_small:
        return []
    return [
        ("too small", f"{accuracy.too_small} score above the threshold and are OK: no region is large enough to count")
    ]


def _quality(decisions: Decisions) -> str:
    precision = "none (nothing is rejected)" if decisions.precision is None else f"{decisions.precision:.4f}"
    return f"F1 {decisions.f1:.4f}, precision {precision}, recall {decisions.recall:.4f}"


def as_document(accuracy: Accuracy, inspections: Sequence[Inspection], data: Path) -> dict[str, object]:
    """Figures, and every image's score, decision and reason, ready for JSON; paths are below `data`."""
    return {
        "accuracy": asdict(accuracy),
        "no_better_than_chance": no_better_than_chance(accuracy),
        "image_auroc_at_random": auroc_at_random(accuracy.false_rejects.total, accuracy.detected.total),
        "inspections": [
            {
                "path": name_in(data, each.image),
                "defect": each.image.defect,
                "score": each.score,
                "decision": each.verdict.decision.value,
                "reason": each.verdict.reason,
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

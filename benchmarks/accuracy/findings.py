"""What goes with the figures of `Accuracy`: how sure they are, what might explain them, what other thresholds do."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.accuracy.auroc_interval import AurocInterval, auroc_interval, intervals_by_defect
from benchmarks.accuracy.by_region import RegionRow, rejects_by_region
from benchmarks.accuracy.evaluation import Inspection, defects_of, scores_and_labels
from benchmarks.accuracy.held_out import HeldOut
from benchmarks.accuracy.image_evidence import EvidenceRow, ImageEvidence, evidence_table
from benchmarks.accuracy.pro_interval import RESAMPLES, Interval, pro_intervals
from benchmarks.accuracy.shortcuts import Pictures, Shortcuts, find_shortcuts
from benchmarks.accuracy.thresholds import ThresholdTable, threshold_table
from calibration.metrics import PixelRanking
from runtime.threshold import Threshold


@dataclass(frozen=True)
class Intervals:
    """95 % intervals of a detector's figures; None for an AU-PRO that is not known, or of too few images."""

    image_auroc: AurocInterval
    image_auroc_by_defect: dict[str, AurocInterval]
    au_pro_30: Interval | None
    au_pro_5: Interval | None
    au_pro_resamples: int = RESAMPLES


@dataclass(frozen=True)
class Findings:
    """All of it."""

    intervals: Intervals
    shortcuts: Shortcuts
    thresholds: ThresholdTable
    image_evidence: Sequence[EvidenceRow]  # none of a detector that gives one score alone
    regions: Sequence[RegionRow] = ()  # none of a detector without named regions of interest


def find(
    inspections: Sequence[Inspection],
    ranking: PixelRanking | None,
    threshold: Threshold,
    held_out: HeldOut,
    training: Pictures,
    image_evidence: ImageEvidence | None = None,
    sized: bool = False,
) -> Findings:
    """The findings of a test set.

    `ranking` is that of its pixels, None where no mask is known; `training` is of good training images, if any.
    `image_evidence` is what the detector said of each image by kind, in the order of `inspections`, None where it gives
    one score alone. `sized` says whether the detector leaves regions out, for their size or their place. Raises
    `InputError` unless good and defective images are there.
    """
    _, labels = scores_and_labels(inspections)
    rows = [] if image_evidence is None else evidence_table(image_evidence, labels)
    return Findings(
        intervals=intervals_of(inspections, ranking),
        shortcuts=find_shortcuts(inspections, training),
        thresholds=threshold_table(inspections, threshold, held_out, sized),
        image_evidence=rows,
        regions=rejects_by_region(inspections),
    )


def intervals_of(inspections: Sequence[Inspection], ranking: PixelRanking | None) -> Intervals:
    """The intervals of the figures of `inspections`."""
    scores, labels = scores_and_labels(inspections)
    pro = None if ranking is None else pro_intervals(inspections, ranking, (0.3, 0.05))
    au_pro_30, au_pro_5 = pro or (None, None)
    by_defect = intervals_by_defect(scores, labels, defects_of(inspections))
    return Intervals(auroc_interval(scores, labels), by_defect, au_pro_30, au_pro_5)

"""What other thresholds would do: the share of defects found beside the rate of false rejects that is proven.

Two sorts of images speak. The good ones held out for the threshold prove a rate of false rejects (`proof`). The test
images show how many defects are found, and how many good ones among them are rejected. Each row holds by itself, at its
confidence: whoever picks a row because its threshold looks good has tried many, and proves less.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.decisions import Rate, rate_of
from benchmarks.accuracy.evaluation import Inspection, scores_and_labels
from benchmarks.accuracy.held_out import HeldOut
from benchmarks.accuracy.proof import Proof, images_to_prove, most_above, proven
from runtime.threshold import Threshold
from runtime.verdict import Decision

BUDGETS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1)
LEAST_SHOWN = 3  # the lowest k, whatever they prove
CONFIDENCE = 0.95  # where a threshold set by hand names none


@dataclass(frozen=True)
class Row:
    """One threshold. The detector's own has the detector's decisions. At any other an image is rejected when its score
    is above, as if every region counted, or when it cannot be judged."""

    threshold: float
    above: int | None  # held-out images above, at most; None where the threshold is set by hand
    proof: Proof | None
    budgets: tuple[float, ...]  # of BUDGETS, those that this threshold is the lowest for
    found: Rate  # of the defective test images
    false_rejects: Rate  # of the good ones
    own: bool  # whether it is the detector's


@dataclass(frozen=True)
class ThresholdTable:
    """Rows from the highest threshold to the lowest; the detector's own among them, `own`."""

    rows: Sequence[Row]
    sample_size: int  # held-out good images; 0 where nothing is known of them
    source: str  # what the rows are known by, in words
    unproven: dict[float, int | None]  # budgets that no threshold is proven for, and how many images would do it
    not_kept: tuple[float, ...]  # budgets that one is proven for, which the file alone does not keep
    sized: bool = False  # whether the detector leaves regions out, for their size or their place

    @property
    def own(self) -> Row:
        """The detector's own threshold."""
        return next(row for row in self.rows if row.own)

    @property
    def proven(self) -> list[Row]:
        """The rows that something is proven of, but for the detector's own."""
        return [row for row in self.rows if row.proof is not None and not row.own]


def threshold_table(
    inspections: Sequence[Inspection], threshold: Threshold, held_out: HeldOut, sized: bool = False
) -> ThresholdTable:
    """The table for a detector's `threshold`; see `ThresholdTable` for `sized`.

    Raises `InputError` unless good and defective images are there.
    """
    method, confidence = threshold.method, threshold.confidence
    if method == "manual":  # of which neither is checked, and the scores prove what they do whatever was set
        method = "jackknife-minmax" if held_out.left_out else "order-statistic"
        confidence = confidence if 0 < confidence < 1 else CONFIDENCE
    lowest = {budget: most_above(budget, held_out.sample_size, confidence, method) for budget in BUDGETS}
    last = max([LEAST_SHOWN - 1, *(above for above in lowest.values() if above is not None)])
    rows = [_own(inspections, threshold)]
    for above, value in held_out.thresholds:
        proof = proven(above, held_out.sample_size, confidence, method)
        if above <= last and proof is not None:
            budgets = tuple(budget for budget, most in lowest.items() if most == above)
            rows.append(_row(inspections, value, above, proof, budgets))
    in_rows = {budget for row in rows for budget in row.budgets}
    return ThresholdTable(
        rows=sorted(rows, key=lambda row: -row.threshold),
        sample_size=held_out.sample_size,
        source=held_out.source,
        unproven={
            budget: images_to_prove(budget, confidence, method) for budget, most in lowest.items() if most is None
        },
        not_kept=tuple(budget for budget, most in lowest.items() if most is not None and budget not in in_rows),
        sized=sized,
    )


def shown(table: ThresholdTable) -> list[Row]:
    """The rows that tell most: the detector's own, the lowest k, and the lowest threshold for each budget."""
    return [row for row in table.rows if row.own or row.budgets or (row.above is not None and row.above < LEAST_SHOWN)]


def _own(inspections: Sequence[Inspection], threshold: Threshold) -> Row:
    proof = above = None
    if threshold.vouched and threshold.method != "manual":
        # what no k is proven for is a threshold above all held-out images
        above = most_above(threshold.budget, threshold.sample_size, threshold.confidence, threshold.method) or 0
        proof = proven(above, threshold.sample_size, threshold.confidence, threshold.method)
    rejected = np.array([each.verdict.decision is not Decision.OK for each in inspections], bool)
    return _counted(inspections, rejected, threshold.value, above, proof, (), own=True)


def _row(
    inspections: Sequence[Inspection],
    value: float,
    above: int | None,
    proof: Proof | None,
    budgets: tuple[float, ...],
) -> Row:
    undecided = np.array([each.verdict.decision is Decision.NO_DECISION for each in inspections], bool)
    rejected = (scores_and_labels(inspections)[0] > value) | undecided
    return _counted(inspections, rejected, value, above, proof, budgets, own=False)


def _counted(
    inspections: Sequence[Inspection],
    rejected: NDArray[np.bool_],
    value: float,
    above: int | None,
    proof: Proof | None,
    budgets: tuple[float, ...],
    own: bool,
) -> Row:
    labels = scores_and_labels(inspections)[1]
    return Row(value, above, proof, budgets, rate_of(rejected[labels]), rate_of(rejected[~labels]), own)

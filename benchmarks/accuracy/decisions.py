"""What a threshold makes of image scores: precision, recall, F1, and rates with their intervals."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.threshold import rate_interval
from runtime.threshold import Threshold


@dataclass(frozen=True)
class Rate:
    """A share of images, with its 95 % Clopper–Pearson interval."""

    count: int
    total: int
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Decisions:
    """How well rejecting at one threshold tells defective images from good ones."""

    threshold: float  # an image is rejected when its score is above
    precision: float | None  # of the rejected images, the share that is defective; None where none is rejected
    recall: float  # of the defective images, the share that is rejected
    f1: float  # harmonic mean of both, 0 where no defective image is rejected


def rate_of(cases: NDArray[np.bool_]) -> Rate:
    """The rate of true among `cases`, bool [n], n ≥ 1."""
    count, total = int(cases.sum()), int(cases.size)
    return Rate(count, total, count / total, *rate_interval(count, total))


def decided(rejected: NDArray[np.bool_], labels: NDArray[np.bool_], threshold: float) -> Decisions:
    """The quality of decisions made, whatever made them; both are bool [n], `labels` true for defective."""
    found, rejects, defective = int((rejected & labels).sum()), int(rejected.sum()), int(labels.sum())
    precision = found / rejects if rejects else None
    return Decisions(threshold, precision, found / defective, 2 * found / (rejects + defective))


def best_decisions(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> Decisions:
    """The decisions of highest F1 over all thresholds, which only hindsight knows; the highest threshold among equals.

    `scores` is float [n], `labels` bool [n] with a defective one among them. Every distinct score is tried as the
    lowest that is rejected. The threshold returned lies halfway to the next score below, or just below all of them.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, found = scores[order], np.cumsum(labels[order])
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))  # equal scores are rejected together
    f1 = 2 * found[last] / (last + 1 + labels.sum())
    place = last[int(np.argmax(f1))]
    lowest = float(ranked[place])
    below = float(ranked[place + 1]) if place + 1 < len(ranked) else None
    threshold = float(np.nextafter(lowest, -np.inf)) if below is None else (lowest + below) / 2
    return decided(scores >= lowest, labels, threshold)


def budget_verdict(false_rejects: Rate, threshold: Threshold) -> str:
    """What the false rejects that were seen say about the budget, in one sentence."""
    if not threshold.vouched:
        return "Nobody vouches for the threshold (see below), so there is no budget to hold it to."
    if threshold.method == "manual":
        return "The threshold was set by hand, so there is no budget to hold it to."
    budget = f"The budget of {percent(threshold.budget)}"
    interval = f"{percent(false_rejects.low)} to {percent(false_rejects.high)}"
    if false_rejects.low > threshold.budget:
        return f"{budget} is below the interval, {interval}: more good parts like these are rejected than allowed."
    if false_rejects.high < threshold.budget:
        return f"{budget} is above the interval, {interval}: fewer good parts like these are rejected than allowed."
    return f"{budget} is inside the interval, {interval}: {false_rejects.total} good images do not contradict it."


def percent(rate: float) -> str:
    """A rate in words."""
    return f"{100 * rate:.3g} %"


def in_words(rate: Rate) -> str:
    """A rate with its interval in words."""
    interval = f"95 % interval {percent(rate.low)} to {percent(rate.high)}"
    return f"{rate.count} of {rate.total}, {percent(rate.share)} ({interval})"

"""How often the order statistic of images held out keeps its budget: as often as its confidence says, or more."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from calibration.threshold import fit_threshold

CASES = ((59, 0.05), (200, 0.05), (299, 0.01), (500, 0.01))  # images held out, budget


@dataclass(frozen=True)
class Broken:
    """Over many sets of n scores."""

    sample_size: int
    budget: float
    confidence: float
    share: float  # of sets with a rate above the budget
    share_error: float  # standard error of it
    rate_mean: float  # of good parts rejected


def count_broken(
    splits: int, seed: int, confidence: float = 0.95, cases: Sequence[tuple[int, float]] = CASES
) -> list[Broken]:
    """Of scores spread evenly from 0 to 1, so that the true rate above t is 1 − t. For others the shares are the same:
    only the scores' order has a part in them."""
    found = []
    for n, budget in cases:
        scores = np.random.default_rng((seed, n)).random((splits, n))
        rates = np.array([1 - fit_threshold(each, budget, confidence).value for each in scores])
        share = float(np.mean(rates > budget))
        error = float(np.sqrt(share * (1 - share) / splits))
        found.append(Broken(n, budget, confidence, share, error, float(rates.mean())))
    return found


def lines(broken: Iterable[Broken]) -> list[str]:
    """The figures as text."""
    rows = ["held out  budget  sets above the budget   mean rate"]
    rows += [
        f"{one.sample_size:8} {one.budget:7.1%} {one.share:11.2%} ± {one.share_error:.2%} {one.rate_mean:11.3%}"
        for one in broken
    ]
    return rows

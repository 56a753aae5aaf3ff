"""A small world with a real memory bank, in which the promise of left-out scores can be checked.

Good parts are points of a normal distribution in three dimensions. A detector remembers n of them, and scores a part by
its distance to the nearest, or by that and its leverage under their scatter. Both can only fall as points are added.
Defects are good parts that were moved.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.threshold import fit_threshold
from runtime.threshold import Threshold

Array = NDArray[np.float64]
DIMENSIONS = 3
MOVED = 4.0  # deviations, along one axis
HELD_OUT = 0.2  # share, as `python -m train` does
SIZES, BUDGETS = (20, 50, 100, 200), (0.01, 0.02, 0.05, 0.1)
FRESH, DEFECTS = 2000, 200  # parts that each split is tried on
LEVERAGE = 20.0  # its weight beside the distance, so that both decide


@dataclass(frozen=True)
class Kept:
    """How a way to a threshold kept its budget over many sets of n good points."""

    score: str
    way: str
    sample_size: int
    budget: float
    proven: bool
    promised: float  # (k + 1) / (n + 1) for left-out scores, else the budget
    rate_mean: float  # of good parts rejected, over sets and parts
    rate_error: float  # standard error of it
    above_budget: float  # share of sets with a rate above the budget
    found: float  # mean share of defects that are rejected

    @property
    def within(self) -> bool:
        """Whether the mean rate is at most what is promised, within three standard errors."""
        return self.rate_mean <= self.promised + 3 * self.rate_error


class Bank:
    """Remembered points, float64 [n, 3]."""

    def __init__(self, points: Array, leverage: bool) -> None:
        self._points, self._leverage = points, leverage
        # about the origin and with a ridge, both fixed before a point is seen: each point more only adds to it
        self._inverse = np.linalg.inv(np.eye(DIMENSIONS) + points.T @ points)

    def scores(self, parts: Array) -> Array:
        """Of parts [m, 3]; [m]."""
        return self._added(np.sqrt(self._squares(parts).min(axis=1)), self._leverages(parts))

    def left_out(self) -> Array:
        """Of each remembered point by a bank without it, [n]."""
        squares = self._squares(self._points)
        np.fill_diagonal(squares, np.inf)
        own = self._leverages(self._points)
        return self._added(np.sqrt(squares.min(axis=1)), own / (1 - own))  # Sherman and Morrison

    def _squares(self, parts: Array) -> Array:
        lengths = (parts**2).sum(axis=1)[:, None] + (self._points**2).sum(axis=1)
        return np.asarray(np.maximum(lengths - 2 * parts @ self._points.T, 0))

    def _leverages(self, parts: Array) -> Array:
        return np.asarray(np.einsum("mi,ij,mj->m", parts, self._inverse, parts))

    def _added(self, distances: Array, leverages: Array) -> Array:
        return distances + LEVERAGE * leverages if self._leverage else distances


WAYS = ("left out", "left out, then thinned", "held out")


def banks_and_scores(points: Array, leverage: bool) -> dict[str, tuple[Bank, Array, bool]]:
    """By each way: the bank that is used, the scores a threshold is fitted to, whether they are of points left out.

    The second way breaks what the proof needs: half of the bank is dropped after its points were left out in turn.
    """
    whole, held = Bank(points, leverage), max(2, round(HELD_OUT * len(points)))
    part = Bank(points[held:], leverage)
    left_out = whole.left_out()
    ways = (
        (whole, left_out, True),
        (Bank(points[::2], leverage), left_out, True),
        (part, part.scores(points[:held]), False),
    )
    return dict(zip(WAYS, ways, strict=True))


def keep(
    leverage: bool, splits: int, seed: int, sizes: Sequence[int] = SIZES, budgets: Sequence[float] = BUDGETS
) -> list[Kept]:
    """Thresholds of `splits` sets of each size, each tried on parts of its own."""
    found = []
    for n in sizes:
        random = np.random.default_rng((seed, n))
        tried: dict[tuple[str, float], list[tuple[Threshold, float, float]]] = {}
        for _ in range(splits):
            points, fresh, moved = (random.normal(size=(count, DIMENSIONS)) for count in (n, FRESH, DEFECTS))
            moved[:, 0] += MOVED
            for way, (bank, scores, left_out) in banks_and_scores(points, leverage).items():
                good, bad = bank.scores(fresh), bank.scores(moved)
                for budget in budgets:
                    fitted = fit_threshold(scores, budget, left_out=left_out)
                    rejected, caught = (float((some > fitted.value).mean()) for some in (good, bad))
                    tried.setdefault((way, budget), []).append((fitted, rejected, caught))
        name = "distance and leverage" if leverage else "distance"
        found += [_kept(name, way, n, budget, each) for (way, budget), each in tried.items()]
    return found


def _kept(score: str, way: str, n: int, budget: float, tried: Iterable[tuple[Threshold, float, float]]) -> Kept:
    thresholds, rates, found = zip(*tried, strict=True)
    first: Threshold = thresholds[0]  # what is proven is settled by n and budget
    promised = budget
    if first.supported and first.left_out:
        promised = max(above / (n + 1) for above in range(1, n + 1) if above / (n + 1) <= budget)
    return Kept(
        score,
        way,
        n,
        budget,
        first.supported,
        promised,
        float(np.mean(rates)),
        float(np.std(rates, ddof=1) / math.sqrt(len(rates))),
        float(np.mean(np.array(rates) > budget)),
        float(np.mean(found)),
    )


def lines(kept: Iterable[Kept]) -> list[str]:
    """The figures as text."""
    rows = [f"{'score':<22} {'way':<23} {'n':>4} {'budget':>7} proven {'promised':>8} {'mean rate':>17} above  found"]
    for one in kept:
        rate = f"{one.rate_mean:8.3%} ± {one.rate_error:.3%}"
        rows.append(
            f"{one.score:<22} {one.way:<23} {one.sample_size:4} {one.budget:7.0%} {'yes' if one.proven else 'no':<6} "
            f"{one.promised:8.2%} {rate:>17}{' ' if one.within else '!'}{one.above_budget:5.0%} {one.found:6.1%}"
        )
    return rows

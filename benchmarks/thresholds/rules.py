"""Thresholds for too few scores to prove a budget: the rule of `calibration.threshold` and others it was chosen among.

All move and scale with the scores. Models of all scores fit a distribution; a *prediction* limit is the threshold whose
expected false-reject rate is the budget, a *confidence* limit lies above the distribution's quantile in 95 of 100 sets.
"""

import math
from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import stdtrit

from calibration.threshold import exponential_tail

Array = NDArray[np.float64]
Rule = Callable[[Array, float], Array]
BOOTSTRAP_SAMPLES = 4000  # a limit's own Monte-Carlo error is then about 0.03 standard errors of the quantile
CONFIDENCE = 0.95


def gumbel_confidence(ordered: Array, budget: float) -> Array:
    """Upper confidence limit of a Gumbel distribution's (1 − budget) quantile: the rule of the method "gumbel"."""
    return _gumbel(ordered, _quantile_pivot(ordered.shape[-1], budget))


def gumbel_prediction(ordered: Array, budget: float) -> Array:
    """The threshold at which a Gumbel distribution's expected false-reject rate is the budget."""
    return _gumbel(ordered, _observation_pivot(ordered.shape[-1], budget))


def normal_prediction(ordered: Array, budget: float) -> Array:
    """The same of a normal distribution: mean + t √(1 + 1/n) deviations, t of n − 1 degrees of freedom."""
    n = ordered.shape[-1]
    factor = float(stdtrit(n - 1, 1 - budget)) * math.sqrt(1 + 1 / n)
    return _no_lower(ordered.mean(axis=-1) + factor * ordered.std(axis=-1, ddof=1), ordered)


def largest(ordered: Array, budget: float) -> Array:
    """The largest score, whatever the budget."""
    return _no_lower(ordered[..., -1], ordered)


def largest_and_half_the_range(ordered: Array, budget: float) -> Array:
    """The largest score and half the range above it, whatever the budget."""
    return np.asarray(largest(ordered, budget) + 0.5 * np.ptp(ordered, axis=-1))


def pareto_tail(ordered: Array, budget: float) -> Array:
    """The (1 − budget) quantile of a generalized Pareto distribution that is fitted to the upper half.

    By probability-weighted moments (Hosking and Wallis, Technometrics 1987).
    """
    n = ordered.shape[-1]
    r = min(n - 1, max(3, n // 2))
    start = ordered[..., n - 1 - r]
    excesses = ordered[..., n - r :] - start[..., None]
    mean, weighted = excesses.mean(axis=-1), excesses @ (r - 1 - np.arange(r)) / (r * (r - 1))
    shape = mean / (mean - 2 * weighted) - 2
    scale = 2 * mean * weighted / (mean - 2 * weighted)
    shape = np.where(np.abs(shape) < 1e-9, 1e-9, shape)
    return _no_lower(start - scale * np.expm1(shape * math.log(budget * n / r)) / shape, ordered)


RULES: Mapping[str, Rule] = {
    "exponential tail": exponential_tail,
    "Gumbel, 95 % confidence": gumbel_confidence,
    "Gumbel, prediction": gumbel_prediction,
    "normal, prediction": normal_prediction,
    "generalized Pareto tail": pareto_tail,
    "largest and half the range": largest_and_half_the_range,
    "largest": largest,
}


def fit_gumbel(ordered: Array) -> tuple[Array, Array]:
    """Location and scale by L-moments, along the last axis of ascending samples [..., n], n ≥ 2; both [...].

    Hosking, J. R. Statist. Soc. B 1990.
    """
    n = ordered.shape[-1]
    l_scale = ordered @ (2 * np.arange(n) - (n - 1)) / (n * (n - 1))  # λ2 = 2 b1 − b0, half the mean difference of two
    scale = l_scale / math.log(2)
    return ordered.mean(axis=-1) - np.euler_gamma * scale, scale


def _gumbel(ordered: Array, pivot: float) -> Array:
    location, scale = fit_gumbel(ordered)
    return _no_lower(location + scale * pivot, ordered)


def _no_lower(value: Array, ordered: Array) -> Array:
    return np.maximum(value, ordered[..., -1])


@lru_cache
def _fits(n: int) -> tuple[Array, Array]:
    """Fits to samples of a Gumbel distribution of location 0 and scale 1.

    Divided by the fitted scale, what such a family gives has one distribution, whatever location and scale are.
    """
    return fit_gumbel(np.sort(np.random.default_rng(0).gumbel(size=(BOOTSTRAP_SAMPLES, n)), axis=1))


def _quantile_pivot(n: int, budget: float) -> float:
    locations, scales = _fits(n)
    quantile = -math.log(-math.log1p(-budget))
    return float(np.quantile((quantile - locations) / scales, CONFIDENCE))


def _observation_pivot(n: int, budget: float) -> float:
    locations, scales = _fits(n)

    def excess(pivot: float) -> float:
        return float(-np.expm1(-np.exp(-(locations + pivot * scales))).mean()) - budget

    return float(brentq(excess, -10, 1e6))

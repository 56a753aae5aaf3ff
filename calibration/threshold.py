"""The image threshold, from the scores of good images alone, as a budget of false rejects.

A part is rejected when its score is above the threshold. Nothing is known of defects when a detector is calibrated, so
the threshold is chosen to reject at most a stated fraction of good parts, the *budget*, with a stated confidence. Both
are statements about parts drawn from the same process as the images that were scored, and no others.

**Order statistic.** With the n scores sorted and t = X_(n−k), k of them lie above t (fewer, when scores tie). The
false-reject rate 1 − F(t) then follows Beta(k + 1, n − k) for every continuous F, so that its one-sided upper
confidence limit is that distribution's quantile (Clopper and Pearson, Biometrika 1934; for order statistics: Wilks,
Ann. Math. Statist. 1941). For an F with steps the true rate is lower still. The lowest t whose limit meets the budget
is taken. k is settled by n, budget and confidence, before a score is seen, which the confidence needs. Even k = 0 has a
limit, 1 − (1 − confidence)^(1/n): 80 images support 3.7 % at 95 %, and 1 in 1,000 needs 2,995.

**Gumbel tail.** Where n cannot support the budget, a model has to stand in for the parts not seen, and the result is
marked unsupported. An image score is the maximum of a map, so extreme value theory suggests the Gumbel distribution. It
is fitted by L-moments (Hosking, J. R. Statist. Soc. B 1990), and the threshold is the one-sided upper confidence limit
of its (1 − budget) quantile, found by a parametric bootstrap, and never below the largest score seen.
"""

import bisect
import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv

from runtime.errors import InputError
from runtime.threshold import Threshold, bound_when_none_rejected, check_rates

BOOTSTRAP_SAMPLES = 4000  # the limit's own Monte-Carlo error is then about 0.03 standard errors of the quantile
BOOTSTRAP_SEED = 0
BOOTSTRAP_CHUNK = 1 << 20  # scores drawn at a time: 8 MiB


def fit_threshold(scores: ArrayLike, budget: float, confidence: float = 0.95) -> Threshold:
    """Lowest threshold that keeps false rejects within `budget`, as the module's docstring defines it.

    A part is rejected when its score is above the result's `value`. `scores` holds the image scores of good images that
    no stage has learned from, float [n], n ≥ 2, in any order. Raises `InputError` for fewer than two scores, one that
    is not finite, and a budget or confidence outside (0, 1).
    """
    check_rates(budget, confidence)
    ordered = _checked(scores)
    n = ordered.size
    supported_budget = rate_bound(0, n, confidence)
    supported = supported_budget <= budget
    if supported:
        above = bisect.bisect_right(range(n), budget, key=lambda k: rate_bound(k, n, confidence)) - 1
        value = ordered[n - 1 - above]
    else:
        value = max(ordered[-1], gumbel_limit(ordered, budget, confidence))
    return Threshold(
        value=float(value),
        budget=budget,
        confidence=confidence,
        sample_size=n,
        method="order-statistic" if supported else "gumbel",
        supported=supported,
        supported_budget=supported_budget,
    )


def rate_bound(above: int, sample_size: int, confidence: float) -> float:
    """Upper confidence limit of a rate of which `above` cases were seen in `sample_size` (Clopper–Pearson, one-sided).

    `above` is at least 0 and below `sample_size`; the limit rises with it.
    """
    if above == 0:
        return bound_when_none_rejected(sample_size, confidence)
    return float(betaincinv(above + 1, sample_size - above, confidence))


def rate_interval(count: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided Clopper–Pearson interval of a rate of which `count` cases were seen in `total`, 0 ≤ count ≤ total."""
    one_sided = (1 + confidence) / 2
    low = 1 - rate_bound(total - count, total, one_sided) if count else 0.0
    high = rate_bound(count, total, one_sided) if count < total else 1.0
    return low, high


def gumbel_limit(ordered: NDArray[np.float64], budget: float, confidence: float) -> float:
    """Upper confidence limit of the (1 − `budget`) quantile of a Gumbel distribution fitted to `ordered`.

    `ordered` is float64 [n], ascending. For a sample of a location-scale family, (q − q̂) / scale has the same
    distribution whatever location and scale are. Bootstrapping that ratio, rather than q̂ itself, gives a limit of the
    stated confidence at every n, if the scores do follow the model. Seeded: equal scores give an equal limit.
    """
    n = ordered.size
    reduced = -math.log(-math.log1p(-budget))  # the quantile at location 0, scale 1
    location, scale = (float(value) for value in fit_gumbel(ordered))
    random = np.random.default_rng(BOOTSTRAP_SEED)
    ratios: list[NDArray[np.float64]] = []
    rows = max(1, BOOTSTRAP_CHUNK // n)
    for start in range(0, BOOTSTRAP_SAMPLES, rows):
        samples = np.sort(random.gumbel(size=(min(rows, BOOTSTRAP_SAMPLES - start), n)), axis=1)
        locations, scales = fit_gumbel(samples)
        ratios.append((reduced - locations) / scales - reduced)
    return location + scale * (reduced + float(np.quantile(np.concatenate(ratios), confidence)))


def fit_gumbel(ordered: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Location and scale by L-moments, along the last axis of ascending samples [..., n], n ≥ 2; both [...]."""
    n = ordered.shape[-1]
    lowest = ordered[..., 0]
    above = ordered - lowest[..., None]  # equal scores then give a scale of exactly 0, whatever their value
    l_scale = above @ (2 * np.arange(n) - (n - 1)) / (n * (n - 1))  # λ2 = 2 b1 − b0, half the mean difference of two
    scale = l_scale / math.log(2)
    return lowest + above.mean(axis=-1) - np.euler_gamma * scale, scale


def _checked(scores: ArrayLike) -> NDArray[np.float64]:
    ordered = np.sort(np.asarray(scores, np.float64), axis=None)
    if ordered.size < 2:
        raise InputError(f"{ordered.size} good images; a threshold needs two at the very least, better 100 or more")
    bad = np.count_nonzero(~np.isfinite(ordered))
    if bad:
        raise InputError(f"{bad} of {ordered.size} image scores are NaN or infinite; a threshold needs finite scores")
    return ordered

"""The image threshold, from the scores of good images alone, as a budget of false rejects.

A part is rejected when its score is above the threshold. Nothing is known of defects when a detector is calibrated, so
the threshold is chosen to reject at most a stated fraction of good parts, the *budget*. All that is said here is about
parts drawn independently from the same process as the images that were scored, and no others.

**Order statistic**, of n images held out, from which no stage has learned. With their scores sorted and t = X_(n−k), k
of them lie above t (fewer, when scores tie). The false-reject rate 1 − F(t) then follows Beta(k + 1, n − k) for every
continuous F, so that its one-sided upper confidence limit is that distribution's quantile (Clopper and Pearson,
Biometrika 1934; for order statistics: Wilks, Ann. Math. Statist. 1941). For an F with steps the true rate is lower
still. The lowest t whose limit meets the budget is taken. k is settled by n, budget and confidence, before a score is
seen, which the confidence needs. Even k = 0 has a limit, 1 − (1 − confidence)^(1/n): 80 images support 3.7 % at 95 %,
and 1 in 1,000 needs 2,995.

**Jackknife-minmax**, of n images that were all learned from, each scored by a detector without it (Barber, Candès,
Ramdas and Tibshirani, "Predictive inference with the jackknife+", Annals of Statistics 49(1), 2021, 486–507, Theorem 3;
here one-sided and with scores in place of residuals). Let s(x; D) be the score of x by a detector of the images D,
whatever their order, and R_i = s(x_i; D∖x_i) the left-out scores. Let another image never raise a score: s(x; D) ≤
s(x; D∖x_i) for every x and i. So it is with the distance to the nearest of D, and with a leverage under the scatter of
D about a fixed point; not with a distance that D itself normalizes, nor with one to a part of D. With t = R_(n−k), the
(n − k)-th smallest, P(s(x; D) > t) ≤ (k + 1) / (n + 1) for a new good part x. k is the largest for which this is at
most the budget.

*Proof.* Call x point n + 1. Let R_ij be the score of point i by a detector of all n + 1 without i and j, and m_i its
smallest over j. Say that i beats j when m_i > R_ji. If s(x; D) > t, then R_i ≤ t < s(x; D) ≤ m_{n+1} for n − k of the
i ≤ n or more, and R_i = R_{i,n+1}: the new point beats n − k others at least. How many of the n + 1 points can do so?
If i beats j, then m_i > R_ji ≥ m_j. So the one of them with the smallest m beats none of the rest of them; the n − k
that it beats are not among them, and they are k + 1 at most. The points are exchangeable, so that the new one is among
them with a chance of (k + 1) / (n + 1) at most. ∎

The chance is over the n images *and* the new part: it is the rate on average over such sets of images. Of the very set
at hand nothing is said, its own rate may lie above the budget, and `confidence` has no part in it. It takes
n ≥ 1 / budget − 1: 99 images for 1 %, where the order statistic takes 299, held out beside those that are learned from.

**Exponential tail.** Where n cannot support the budget, an assumption has to stand in for the parts not seen, and the
result is marked unsupported. Let u be the (r + 1)-th largest score, and S the sum of what the r larger ones exceed it
by. The threshold is u + c S with (1 + c)^r = (r + 1) / ((n + 1) budget), and never below the largest score seen. Of
independent scores whose hazard rate f / (1 − F) does not fall (a tail no heavier than an exponential one: normal,
Gumbel and exponential distributions), at most the budget is rejected, on average over such sets of images, at every n.

*Proof.* A new score is one of the r + 1 largest of all n + 1 with a chance of (r + 1) / (n + 1). It and the r others
then exceed u by independent e = φ(E), with E exponential, φ(0) = 0 and φ concave, as the hazard rate does not fall. If
e_new is the largest, e_i / e_new ≥ E_i / E_new for all i. So e_new > c Σ e_i implies E_new > c Σ E_i, which has a
chance of (1 + c)^(−r). ∎ (Barlow and Proschan, Ann. Math. Statist. 1966, bound quantiles of such distributions alike.)

A small r wastes what is known of the tail, a large one takes the body for tail; r ≈ 1.5 √n is about the best. Rules
were compared by `python -m benchmarks.thresholds` at 1 %, with 5 to 60 scores. The threshold at which the expected rate
of a Gumbel distribution, fitted to all scores, is the budget, is lower, at n = 15 by a fifth. But it rejects 1.3 to
2.5 % of scores with an exponential tail, and 1.2 to 2.2 % of the demo line's; the like of a normal distribution rejects
1.6 to 3.1 % of Gumbel scores. The 95 % confidence limit of the Gumbel quantile, which files of the method "gumbel"
have, is about as high where tails are exponential, and where scores are Gumbel it is up to a seventh higher. With 5
scores, each rule tried that keeps the budget on exponential tails has thresholds 2.6 times as high as they should be
where scores are Gumbel. Left-out scores depend on each other a little; the tail takes them for independent.
"""

import bisect
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv

from runtime.errors import InputError
from runtime.threshold import Threshold, bound_when_none_rejected, check_rates, least_provable

TAIL = 1.5  # of the square root of the number of scores: how many excesses speak for the tail


def fit_threshold(scores: ArrayLike, budget: float, confidence: float = 0.95, *, left_out: bool = False) -> Threshold:
    """Lowest threshold that keeps false rejects within `budget`, as the module's docstring defines it.

    A part is rejected when its score is above the result's `value`. `scores` holds the image scores of good images,
    float [n], n ≥ 2, in any order: of images that no stage has learned from or, with `left_out`, of all that the
    detector has learned from, each scored without it; `confidence` then has no part in the threshold and is only
    kept. Raises `InputError` for fewer than two scores, one that is not finite, and a budget or confidence outside
    (0, 1).
    """
    check_rates(budget, confidence)
    ordered = _checked(scores)
    n = ordered.size

    supported_budget = least_provable(n, confidence, left_out)
    supported = supported_budget <= budget
    if supported:
        bound = partial(proven_rate, sample_size=n, confidence=confidence, left_out=left_out)
        value = ordered[n - bisect.bisect_right(range(n), budget, key=bound)]
        method = "jackknife-minmax" if left_out else "order-statistic"
    else:
        value = exponential_tail(ordered, budget)
        method = "left-out-exponential-tail" if left_out else "exponential-tail"
    return Threshold(
        value=float(value),
        budget=budget,
        confidence=confidence,
        sample_size=n,
        method=method,
        supported=supported,
        supported_budget=supported_budget,
    )


def proven_rate(above: int, sample_size: int, confidence: float, left_out: bool = False) -> float:
    """The false-reject rate that is proven of a threshold with `above` of `sample_size` scores above it.

    With `confidence` or, of images left out in turn, on average: (k + 1) / (n + 1); see the module's docstring.
    """
    return (above + 1) / (sample_size + 1) if left_out else rate_bound(above, sample_size, confidence)


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


def exponential_tail(ordered: NDArray[np.float64], budget: float) -> NDArray[np.float64]:
    """The threshold of the exponential tail, along the last axis of ascending samples [..., n], n ≥ 2; [...]."""
    n = ordered.shape[-1]
    r = min(n - 1, round(TAIL * n**0.5))
    start = ordered[..., n - 1 - r]
    excesses = (ordered[..., n - r :] - start[..., None]).sum(axis=-1)  # exactly 0 where scores are equal
    value = start + excesses * (((r + 1) / ((n + 1) * budget)) ** (1 / r) - 1)
    return np.asarray(np.maximum(value, ordered[..., -1]))


def _checked(scores: ArrayLike) -> NDArray[np.float64]:
    ordered = np.sort(np.asarray(scores, np.float64), axis=None)
    if ordered.size < 2:
        raise InputError(f"{ordered.size} good images; a threshold needs two at the very least, better 100 or more")
    bad = np.count_nonzero(~np.isfinite(ordered))
    if bad:
        raise InputError(f"{bad} of {ordered.size} image scores are NaN or infinite; a threshold needs finite scores")
    return ordered

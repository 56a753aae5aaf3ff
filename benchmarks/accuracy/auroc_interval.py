"""How sure an image AUROC is: its 95 % interval over the images that might have been tested.

**DeLong.** The AUROC is a mean over pairs of a good and a defective image. Of each image, a share of the pairs is in
order; the variances of these shares within either class give the variance of the AUROC (DeLong, DeLong and
Clarke-Pearson, Biometrics 1988; by ranks, as Sun and Xu, IEEE Signal Process. Lett. 2014, so that no table of pairs is
made). The interval is taken on the logit scale, where it stays inside 0 to 1 (Qin and Hotilovac, Stat. Methods Med.
Res. 2008).

**Near 0 and 1.** A perfect ranking has the variance 0, and one of a few wrong pairs nearly so: the images that would
show the error are not among those tested. Where fewer than `LEAST_MIXED` images of either class take part in a pair of
the rarer order (ties count), Hoeffding's bound for U-statistics stands in (J. Am. Stat. Assoc. 1963, section 5 with
theorem 1): with s images of the smaller class, the limits are the θ at which s · KL(AUROC ‖ θ) = ln(2 / 0.05). It holds
for every distribution and number of images, and is wide. For an AUROC of 1 it is 0.025^(1/s), the limit of Clopper and
Pearson for s of s: a share of the smaller class that lies beyond all of the other is missed by s images just so often.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtri

from calibration.metrics import auroc

LEAST_MIXED = 5
HALVINGS = 60  # of the bracket around a limit of Hoeffding's, far below what is printed
Method = Literal["delong", "hoeffding"]


@dataclass(frozen=True)
class AurocInterval:
    """An AUROC with its 95 % interval, and what the interval was made by."""

    auroc: float
    low: float
    high: float
    method: Method


def auroc_interval(scores: NDArray[np.floating], labels: NDArray[np.bool_], confidence: float = 0.95) -> AurocInterval:
    """The AUROC of `scores` [n] and its two-sided interval; `labels` [n] is true for defective.

    Raises `InputError` as `calibration.metrics.auroc`.
    """
    value = auroc(scores, labels)
    good, defective = np.sort(scores[~labels]), np.sort(scores[labels])
    if min(_mixed(good, defective)) < LEAST_MIXED:
        low, high = hoeffding_limits(value, min(good.size, defective.size), confidence)
        return AurocInterval(value, low, high, "hoeffding")
    centre, variance = float(logit(value)), delong_variance(scores, labels)
    margin = float(ndtri((1 + confidence) / 2)) * math.sqrt(variance) / (value * (1 - value))
    return AurocInterval(value, float(expit(centre - margin)), float(expit(centre + margin)), "delong")


def intervals_by_defect(
    scores: NDArray[np.floating], labels: NDArray[np.bool_], defects: NDArray[np.str_]
) -> dict[str, AurocInterval]:
    """The AUROC of each kind of defect against all good images with its interval, by kind. All [n]."""
    kinds = (str(kind) for kind in np.unique(defects[labels]))
    chosen = ((kind, ~labels | (defects == kind)) for kind in kinds)
    return {kind: auroc_interval(scores[which], labels[which]) for kind, which in chosen}


def delong_variance(scores: NDArray[np.floating], labels: NDArray[np.bool_]) -> float:
    """DeLong's variance of the AUROC, equation 5 of their paper for one curve; two images of either class at least."""
    good, defective = np.sort(scores[~labels]), np.sort(scores[labels])
    of_defective = _below(good, defective) / good.size
    of_good = 1 - _below(defective, good) / defective.size
    return float(of_defective.var(ddof=1) / defective.size + of_good.var(ddof=1) / good.size)


def hoeffding_limits(value: float, smaller: int, confidence: float) -> tuple[float, float]:
    """The limits of an AUROC of which `smaller` images of the rarer class are known, as the module's docstring says."""
    allowed = math.log(2 / (1 - confidence)) / smaller
    return _limit(value, 0.0, allowed), _limit(value, 1.0, allowed)


def _limit(value: float, end: float, allowed: float) -> float:
    """Where, from `value` towards `end`, the divergence reaches what is allowed; `end` itself where they are one."""
    inside, outside = value, end
    for _ in range(HALVINGS if value != end else 0):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if _divergence(value, middle) <= allowed else (inside, middle)
    return inside


def _divergence(value: float, theta: float) -> float:
    """Kullback–Leibler divergence of two coins, 0 ln 0 being 0."""
    parts = [(share, of) for share, of in ((value, theta), (1 - value, 1 - theta)) if share > 0]
    return sum(share * math.log(share / of) if of > 0 else math.inf for share, of in parts)


def _mixed(good: NDArray[np.floating], defective: NDArray[np.floating]) -> tuple[int, int]:
    """How many images of either class, both sorted, stand in a pair of the rarer order or a tie."""
    wrong = int((good >= defective[0]).sum()), int((defective <= good[-1]).sum())
    right = int((good <= defective[-1]).sum()), int((defective >= good[0]).sum())
    return min(wrong, right, key=min)


def _below(ordered: NDArray[np.floating], values: NDArray[np.floating]) -> NDArray[np.float64]:
    """How many of `ordered` lie below each of `values`, ties counted half."""
    ends = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    return np.asarray((ends[0] + ends[1]) / 2, np.float64)

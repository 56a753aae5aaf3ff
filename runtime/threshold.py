"""The threshold, and what it promises: how many good images prove a false-reject rate, and the same in words."""

import math
from dataclasses import dataclass, field

from runtime.bounds import check_between
from runtime.errors import InputError

NOT_VOUCHED = (
    "NOT VOUCHED FOR: the file has no recipe_sha256, so nobody can tell whether this is the threshold that was fitted, "
    "and nothing is proven of it. Export the detector again, or set it with python -m runtime.set_threshold."
)
PROVING = ("order-statistic", "jackknife-minmax")  # the methods that assume nothing of how scores are distributed
OF_LEFT_OUT = ("jackknife-minmax", "left-out-exponential-tail")  # of scores of each image with itself left out
TAIL_MODELS = {
    "exponential-tail": "an exponential tail",
    "left-out-exponential-tail": "an exponential tail",
    "gumbel": "a Gumbel tail",  # of files from before the exponential tail
}
ROUNDED = 1e-2  # relative: how far `supported_budget` may be rounded from what it is said to be
LEAST_BUDGET = 1e-9  # three billion images would prove it; far below, rounding hides the number that is needed


@dataclass(frozen=True)
class Threshold:
    """How the decision is made: a part is rejected when its score is above `value`."""

    value: float  # unit of the anomaly score, finite
    budget: float  # false-reject rate asked for, 0 to 1
    # 0 to 1, as it was asked for: of the order statistic's bound. No part of what "jackknife-minmax" proves, an average
    confidence: float
    sample_size: int  # good images the threshold was fitted on, 2 or more; any number where it was set by hand
    method: str = field(metadata={"choices": (*PROVING, *TAIL_MODELS, "manual")})
    supported: bool  # whether `sample_size` good images can prove the budget, as the methods of `PROVING` alone do
    supported_budget: float  # the smallest false-reject rate that `sample_size` can prove, above 0, at most 1
    # no field of the document: false where no hash says that this is the threshold that was written
    vouched: bool = field(default=True, compare=False)

    def __post_init__(self) -> None:
        check_between("the threshold", self.value)
        if self.method == "manual":  # which promises nothing
            if self.supported:
                raise InputError("the threshold is said to be set by hand and proven; expected one of both")
            return
        check_rates(self.budget, self.confidence)
        if not 0 < self.supported_budget <= 1:
            raise InputError(f"supported_budget is {self.supported_budget:g}; expected a share above 0, at most 1")
        check_between("sample_size", self.sample_size, 2)
        least = least_provable(self.sample_size, self.confidence, self.left_out)
        if not math.isclose(self.supported_budget, least, rel_tol=ROUNDED):
            raise InputError(
                f"supported_budget is {self.supported_budget:g}; expected {least:g}, what {self.sample_size:,} images "
                f"can prove"
            )
        if self.supported != (self.method in PROVING) or (
            self.supported and self.supported_budget > self.budget * (1 + ROUNDED)
        ):
            raise InputError(
                f"supported is {self.supported} of a budget of {self.budget:g} by the method {self.method}; expected "
                f"true for {' or '.join(PROVING)} alone, of images that can prove the budget ({least:g})"
            )

    @property
    def left_out(self) -> bool:
        """Whether it was fitted to scores of images that were each left out of the detector in turn."""
        return self.method in OF_LEFT_OUT


def check_rates(budget: float, confidence: float) -> None:
    """Raise `InputError` unless both are fractions between 0 and 1, and the budget is no less than `LEAST_BUDGET`."""
    for name, rate, usual in (("false-reject budget", budget, 0.01), ("confidence", confidence, 0.95)):
        if not 0 < rate < 1:
            raise InputError(f"the {name} is {rate}; it is a fraction between 0 and 1, such as {usual}")
    if budget < LEAST_BUDGET:
        raise InputError(f"the false-reject budget is {budget:g}; give {LEAST_BUDGET:g} or more, 0.01 for 1 in 100")


def bound_when_none_rejected(sample_size: int, confidence: float) -> float:
    """Upper confidence limit of the false-reject rate when none of `sample_size` good images is rejected.

    1 − (1 − confidence)^(1/n), the Clopper–Pearson bound for no case in n: the least that n images can prove.
    """
    return -math.expm1(math.log1p(-confidence) / sample_size)


def least_provable(sample_size: int, confidence: float, left_out: bool = False) -> float:
    """The smallest false-reject rate that `sample_size` good images can prove.

    Of images held out it is proven with `confidence`. Of images left out in turn it is 1 / (n + 1), on average over
    such sets of images, and `confidence` has no part in it. `calibration.threshold` derives both.
    """
    return 1 / (sample_size + 1) if left_out else bound_when_none_rejected(sample_size, confidence)


def rate_bound(above: int, sample_size: int, confidence: float) -> float:
    """Upper confidence limit of a rate of which `above` cases were seen in `sample_size` (Clopper–Pearson, one-sided).

    `above` is at least 0 and below `sample_size`; the limit rises with it. It is the rate at which so few cases, or
    fewer, have a chance of 1 − `confidence`, found by halving: `calibration.threshold` has it from SciPy, which the
    runtime does without.
    """
    if above == 0:
        return bound_when_none_rejected(sample_size, confidence)
    low, high = above / sample_size, 1.0
    for _ in range(60):  # to the last bit
        middle = (low + high) / 2
        if _chance_of_no_more(above, sample_size, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _chance_of_no_more(above: int, sample_size: int, rate: float) -> float:
    """The chance of `above` cases or fewer in `sample_size`, each with a chance of `rate`, between 0 and 1."""
    return 0.0 if rate >= 1 else math.fsum(chance_of(k, sample_size, rate) for k in range(above + 1))


def chance_of(cases: int, count: int, rate: float) -> float:
    """The chance of just so many cases in `count`, each with a chance of `rate`, between 0 and 1, neither included."""
    choices = math.lgamma(count + 1) - math.lgamma(cases + 1) - math.lgamma(count - cases + 1)
    return math.exp(choices + cases * math.log(rate) + (count - cases) * math.log1p(-rate))


def proven_rate(above: int, sample_size: int, confidence: float, left_out: bool = False) -> float:
    """The false-reject rate that is proven of a threshold with `above` of `sample_size` scores above it.

    With `confidence` or, of images left out in turn, on average: (k + 1) / (n + 1). `calibration.threshold` derives
    both.
    """
    return (above + 1) / (sample_size + 1) if left_out else rate_bound(above, sample_size, confidence)


def images_needed(budget: float, confidence: float = 0.95, left_out: bool = False) -> int:
    """Smallest number of good images that can prove `budget`, held out or, with `left_out`, left out in turn.

    The latter is the smallest n ≥ 1 / budget − 1. Raises `InputError` as `check_rates` does.
    """
    check_rates(budget, confidence)
    exact = 1 / budget - 1 if left_out else math.log1p(-confidence) / math.log1p(-budget)
    n = math.ceil(exact) + 1
    # the closed form may round to the wrong side of an integer: the bound itself decides
    while n > 1 and least_provable(n - 1, confidence, left_out) <= budget:
        n -= 1
    return n


def explain(threshold: Threshold) -> str:
    """What a threshold promises, and what would make it promise more, for whoever runs the line."""
    if not threshold.vouched:
        return NOT_VOUCHED
    if threshold.method == "manual":
        return "It was set by hand: no good images vouch for it."
    sample, aim = f"{threshold.sample_size:,} good images", _rate(threshold.budget)
    if threshold.left_out:
        sample += ", each scored by a detector without it,"
    if threshold.method == "jackknife-minmax":
        return (
            f"{sample} show that on average over such sets of images at most {aim} of good parts like theirs are "
            "rejected. They do not show what the rate is for this very set."
        )
    if threshold.supported:
        return f"{sample} show that at most {aim} of good parts like theirs are rejected ({_confidence(threshold)})."
    needed = images_needed(threshold.budget, threshold.confidence, threshold.left_out)
    least = _rate(threshold.supported_budget)
    if threshold.left_out:
        least = f"{least} on average over such sets of images"
        advice = f"train on {2 * needed:,} different images, of which half are left out in turn"
    else:
        least, advice = f"{least} ({_confidence(threshold)})", f"hold out {needed:,} for the threshold"
    return (
        f"NOT PROVEN: {aim} of good parts rejected is the aim, by {TAIL_MODELS[threshold.method]} model of "
        f"{sample.rstrip(',')}; so many prove no less than {least}. To prove the aim, {advice}."
    )


def _confidence(threshold: Threshold) -> str:
    return f"{100 * threshold.confidence:g} % confidence"


def _rate(rate: float) -> str:
    return f"{100 * rate:.3g} %" + (f" (1 in {1 / rate:,.0f})" if rate <= 0.2 else "")  # '1 in 1' says nothing

"""What held-out good images prove of a threshold, by the method that the threshold was found with."""

import bisect
from dataclasses import dataclass

from calibration.threshold import proven_rate
from runtime.threshold import OF_LEFT_OUT, PROVING, TAIL_MODELS, images_needed


@dataclass(frozen=True)
class Proof:
    """A bound on the share of good parts that are rejected."""

    rate: float
    confidence: float | None  # with which it holds; None where it holds on average over calibrations


def proven(above: int, sample_size: int, confidence: float, method: str) -> Proof | None:
    """What `sample_size` good images prove of a threshold that `above` of them exceed, `above` being settled before.

    None for a method that proves nothing, and where every image lies above. "jackknife-minmax" bounds the rate on
    average, (k + 1) / (n + 1); see `calibration.threshold` for the others.
    """
    if not 0 <= above < sample_size:
        return None
    left_out = method in OF_LEFT_OUT
    if method not in (*PROVING, *TAIL_MODELS):  # a tail's limit is never below the highest score
        return None
    return Proof(proven_rate(above, sample_size, confidence, left_out), None if left_out else confidence)


def most_above(budget: float, sample_size: int, confidence: float, method: str) -> int | None:
    """The largest k of which `budget` is proven; None where no k is."""

    def rate(above: int) -> float:
        proof = proven(above, sample_size, confidence, method)
        return proof.rate if proof else 1.0

    found = bisect.bisect_right(range(sample_size), budget, key=rate) - 1
    return found if found >= 0 else None


def images_to_prove(budget: float, confidence: float, method: str) -> int | None:
    """How many held-out images it takes until `budget` is proven; None where no number of them does."""
    return images_needed(budget, confidence, method in OF_LEFT_OUT) if method in (*PROVING, *TAIL_MODELS) else None

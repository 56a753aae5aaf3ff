"""A threshold before it is set: what it would have changed, and what the good parts of the calibration prove of it.

A detector file keeps a few quantiles of the good parts' scores. Of a threshold between two of them it is known that no
more than the share above the lower one lies above it; that bound is taken, never an estimate.
"""

import bisect
import math
from collections.abc import Mapping, Sequence
from typing import Any

from runtime.threshold import OF_LEFT_OUT, proven_rate

UNKNOWN = "the file does not say of which good parts its scores are: its threshold was set by hand, or nothing vouches"


def most_above(quantiles: Mapping[str, float], sample_size: int, value: float) -> int:
    """Of the calibration's good parts, the largest number that can score above `value`.

    With scores sorted, X_1 … X_n, the quantile q lies between X_j and X_(j+1), where j = ⌊q (n − 1)⌋ + 1: at and above
    it n − j parts at most are above.
    """
    most = sample_size
    for probability, score in quantiles.items():
        if score <= value:
            rank = math.floor(float(probability) * (sample_size - 1)) + 1
            most = min(most, sample_size - rank)
    return most


def proof(camera: Mapping[str, Any], value: float) -> dict[str, Any]:
    """The false-reject rate that the good parts prove of a threshold, or why none is."""
    quantiles, method, size = camera["score_quantiles"], camera["method"], camera["sample_size"]
    if method == "manual" or not camera["vouched"] or not quantiles or size < 2:
        return {"rate": None, "why": UNKNOWN}
    above, left_out = most_above(quantiles, size, value), method in OF_LEFT_OUT
    if above >= size:
        return {"rate": 1.0, "above": above, "of": size, "confidence": None if left_out else camera["confidence"]}
    return {
        "rate": proven_rate(above, size, camera["confidence"], left_out),
        "above": above,
        "of": size,
        "confidence": None if left_out else camera["confidence"],  # on average over such sets of images
    }


def change(scores: Sequence[Mapping[str, Any]], threshold: float, value: float) -> dict[str, Any]:
    """What another threshold would have changed, of verdicts by score; and of the marked parts among them.

    A part that nobody could judge stays rejected. A smallest area, which lets parts above the threshold pass, is not
    looked at: the counts are of scores.
    """
    judged = [each["score"] for each in scores]
    ordered = sorted(judged)
    before, after = (len(ordered) - bisect.bisect_right(ordered, each) for each in (threshold, value))
    defects = [each["score"] for each in scores if each.get("mark") in ("real defect", "missed")]
    good = [each["score"] for each in scores if each.get("mark") == "false reject"]
    return {
        "parts": len(judged),
        "rejected_before": before,
        "rejected_after": after,
        "newly_rejected": max(0, after - before),
        "newly_passed": max(0, before - after),
        "marked_defects": len(defects),
        "defects_found": sum(each > value for each in defects),
        "marked_false_rejects": len(good),
        "false_rejects_left": sum(each > value for each in good),
    }

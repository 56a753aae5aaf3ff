"""How far values stand out, by medians: a few outliers do not hide themselves by moving the scale."""

import numpy as np
from numpy.typing import NDArray

GAUSSIAN = 1.4826  # makes a median absolute deviation the standard deviation of a Gaussian


def deviations_above(values: NDArray[np.floating], least: float) -> NDArray[np.float64]:
    """How many deviations each value lies above the median, float64 [n], from the upper half's own spread.

    The spread is a median absolute deviation of the values above the median, scaled as a Gaussian's, and `least` at
    least, so that a folder of equal images has no suspects. Scores are skewed: both halves' spread would reject too
    many.
    """
    over = np.asarray(values, np.float64) - np.median(values)
    above = over[over > 0]
    spread = GAUSSIAN * float(np.median(above)) if above.size else 0.0
    return np.asarray(over / max(spread, least), np.float64)

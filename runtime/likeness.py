"""How much a prepared frame is like the good images as a whole: whether a part lies there as theirs did.

Frames are compared at 8×8 pixels, where a defect is hardly seen, and each colour without its mean, so that neither the
light nor the colour of an empty belt makes a frame like another: a frame without anything in it has a likeness of 0.
"""

import numpy as np
from numpy.typing import NDArray

from runtime.preparation import scaled
from runtime.recipe import TYPICAL_SIDE

FLOOR = 2.0  # grey levels, root mean square: what varies by no more is noise and rounding
FEWEST = 8  # good images, below which nothing is known of what they have in common
LEAST_IN_COMMON = 0.5  # likeness of the least alike image to the others, below which they have no pattern in common


def pattern(prepared: NDArray[np.uint8], seen: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
    """A prepared frame uint8 [H, W, 3] at 8×8 pixels, BGR, row by row: float32 [192], 0 to 255.

    With `seen` [H, W] the rest has the mean colour of what is seen, so that a frame without anything in it is flat.
    """
    if seen is not None:
        colour = np.rint(prepared[seen].mean(axis=0)).astype(np.uint8)
        prepared = np.where(seen[:, :, None], prepared, colour)
    return scaled(prepared, (TYPICAL_SIDE, TYPICAL_SIDE)).astype(np.float32).reshape(-1)


def centred(patterns: NDArray[np.floating]) -> NDArray[np.float64]:
    """Patterns [..., 192], each without the mean of each of its colours."""
    colours = np.asarray(patterns, np.float64).reshape(*patterns.shape[:-1], TYPICAL_SIDE**2, 3)
    return np.asarray(colours - colours.mean(axis=-2, keepdims=True)).reshape(patterns.shape)


def likeness(found: NDArray[np.float64], typical: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlation [...] of centred patterns [..., 192] with a typical one each, [..., 192] or [192]; -1 to 1.

    The length of `found` is `FLOOR` longer, in grey levels of a value: a flat frame, noise included, is like nothing.
    """
    floor = FLOOR * np.sqrt(found.shape[-1])
    lengths = (np.linalg.norm(found, axis=-1) + floor) * np.maximum(np.linalg.norm(typical, axis=-1), 1e-9)
    return np.asarray((found * typical).sum(axis=-1) / lengths)


def left_out_likeness(patterns: NDArray[np.float32]) -> NDArray[np.float64]:
    """Likeness [n] of each pattern [n, 192] to the mean of the others."""
    each = centred(patterns)
    return likeness(each, each.sum(axis=0) - each)


def likeness_limit(patterns: NDArray[np.float32]) -> tuple[float, tuple[float, ...]]:
    """The limit, and the typical pattern it is of, from those of good images [n, 192]; 0 and none where they set none.

    The distance from 1 of the limit is the geometric mean of that of the least alike image, left out, and of 1, which a
    frame without anything in it has.
    """
    alike = left_out_likeness(patterns)
    if len(patterns) < FEWEST or alike.min() < LEAST_IN_COMMON:
        return 0.0, ()
    typical = patterns.astype(np.float64).mean(axis=0)
    return float(1 - np.sqrt(1 - alike.min())), tuple(round(float(value), 2) for value in typical)

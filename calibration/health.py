"""Frame health limits from good images: what no frame of this line should exceed."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from runtime.health import brightness, saturated_share
from runtime.preparation import prepare
from runtime.recipe import HealthLimits

# Limits are for frames that show no part as intended (lamp off, wide open aperture, other camera), so they leave the
# range of the good images by a wide margin: a slow drift of the light is the score's business, not theirs.
BRIGHTNESS_MARGIN = 0.5  # of the distance from the good images' extreme to black, or to white
SATURATED_MARGIN = 0.5  # of the distance from the good images' largest share to all pixels
ASPECT_MARGIN = 0.05  # of the extreme aspect
HEIGHT_MARGIN = 0.5  # of the smallest height: a thumbnail hides what the good images would have shown


def fit_health(images: Iterable[NDArray[np.uint8]], size_hw: tuple[int, int]) -> HealthLimits:
    """Limits from good images uint8 [H, W, 3], BGR, of any size; one at least."""
    means, shares, aspects, heights = [], [], [], []
    for image in images:
        prepared = prepare(image, size_hw)
        means.append(brightness(prepared))
        shares.append(saturated_share(prepared))
        aspects.append(image.shape[1] / image.shape[0])
        heights.append(image.shape[0])
    return HealthLimits(
        brightness_low=min(means) * BRIGHTNESS_MARGIN,
        brightness_high=max(means) + (255 - max(means)) * BRIGHTNESS_MARGIN,
        saturated_high=max(shares) + (1 - max(shares)) * SATURATED_MARGIN,
        aspect_low=min(aspects) * (1 - ASPECT_MARGIN),
        aspect_high=max(aspects) * (1 + ASPECT_MARGIN),
        height_low=min(heights) * HEIGHT_MARGIN,
    )

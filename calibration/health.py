"""Frame health limits from good images: what no frame of this line should exceed."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from runtime import likeness, sharpness
from runtime.health import brightness, lit_part, saturated_share
from runtime.interest import Inspected
from runtime.likeness import likeness_limit, pattern
from runtime.preparation import scaled
from runtime.recipe import BRIGHTNESS_MARGIN, SMALLEST_SHARP_SIDE, HealthLimits
from runtime.sharpness import DIRECTIONS, SharpnessMeter, sharpness_limits

# Limits are for frames that show no part as intended (lamp off, wide open aperture, other camera), so they leave the
# range of the good images by a wide margin (`BRIGHTNESS_MARGIN`): a slow drift of the light is the score's business.
SATURATED_MARGIN = 0.5  # of the distance from the good images' largest share to all pixels
ASPECT_MARGIN = 0.05  # of the extreme aspect
HEIGHT_MARGIN = 0.5  # of the smallest height: a thumbnail hides what the good images would have shown


def fit_health(
    images: Iterable[NDArray[np.uint8]], size_hw: tuple[int, int], seen: Inspected | None = None
) -> HealthLimits:
    """Limits from good images uint8 [H, W, 3], BGR, of any size; one at least. Of light, likeness and sharpness where
    it is `seen`; None: everywhere.

    Of the picture as it came: the runtime checks a frame's health before the part is found in it. `unlimited` says
    which limits they do not set.
    """
    means, shares, aspects, heights = [], [], [], []
    found, patterns = list[tuple[float, float]](), list[NDArray[np.float32]]()
    mask = None if seen is None else seen.mask
    meter = SharpnessMeter(size_hw, mask) if min(size_hw) >= SMALLEST_SHARP_SIDE else None
    for image in images:
        prepared = scaled(image, size_hw)
        lit = lit_part(prepared, seen)
        means.append(brightness(lit))
        shares.append(saturated_share(lit))
        aspects.append(image.shape[1] / image.shape[0])
        heights.append(image.shape[0])
        patterns.append(pattern(prepared, mask))
        found.append(meter.measure(prepared) if meter else (0.0, 0.0))
    likeness_low, typical = likeness_limit(np.stack(patterns))
    return HealthLimits(
        brightness_low=min(means) * BRIGHTNESS_MARGIN,
        brightness_high=max(means) + (255 - max(means)) * BRIGHTNESS_MARGIN,
        saturated_high=max(shares) + (1 - max(shares)) * SATURATED_MARGIN,
        aspect_low=min(aspects) * (1 - ASPECT_MARGIN),
        aspect_high=max(aspects) * (1 + ASPECT_MARGIN),
        height_low=min(heights) * HEIGHT_MARGIN,
        sharpness_low=sharpness_limits(found),
        likeness_low=likeness_low,
        typical=typical,
    )


def unlimited(limits: HealthLimits) -> list[str]:
    """Sentences on what a detector with these limits does not notice, since its good images set no limit."""
    said = []
    blind = [direction for low, direction in zip(limits.sharpness_low, DIRECTIONS, strict=True) if not low]
    if blind:
        said.append(
            f"blur {' and '.join(blind)} is not noticed: the good images are too few ({sharpness.FEWEST} are "
            "needed) or have no fine detail there"
        )
    if not limits.likeness_low:
        said.append(
            "a frame without a part is not noticed before it is scored: the good images are too few "
            f"({likeness.FEWEST} are needed) or too unlike each other"
        )
    return said

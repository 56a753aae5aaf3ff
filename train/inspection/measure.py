"""What is measured of each image, once, while it is decoded; a few milliseconds and 7 kB each."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.health import brightness, saturated_share
from runtime.likeness import pattern
from runtime.preparation import scaled
from runtime.recipe import SMALLEST_SHARP_SIDE
from runtime.sharpness import SharpnessMeter
from train.inspection.copies import small_picture

SHARPNESS_SIDE = 1024  # longer side, pixels; larger images are shrunk, so a blur below their pixel cannot be seen
LIGHT_SIDE = 128  # where exposure is measured
COLOUR_SIDE = 32  # of the thumbnail, both ways, whatever the aspect
FRAME_HW = (256, 256)  # of a detector's frames, as most presets have them
DARK = 5  # pixel value up to which a channel counts as black


@dataclass(frozen=True)
class Measurement:
    """One image, measured."""

    size_hw: tuple[int, int]
    sharpness: float  # variance of the Laplacian over that of the grey levels, so that light does not change it
    brightness: float  # mean of all channels, 0 to 255
    contrast: float  # standard deviation of all channels
    black: float  # share of pixels with every channel at most DARK
    saturated: float  # share of pixels that are saturated in every channel, as in runtime.health
    grey: NDArray[np.uint8]  # [64, 64]; what copies are told by
    colour: NDArray[np.uint8]  # [32, 32, 3], BGR
    fine: tuple[
        float, float
    ]  # sharpness of the prepared frame in both directions, as in runtime.sharpness; 0 of small ones
    pattern: NDArray[np.float32]  # [192], of the prepared frame, as in runtime.likeness


def measure(image: NDArray[np.uint8], size_hw: tuple[int, int] = FRAME_HW) -> Measurement:
    """Measure uint8 [H, W, 3], BGR; also as it is when it is prepared to `size_hw`."""
    prepared = scaled(image, size_hw)
    large = _at_most(image, SHARPNESS_SIDE)
    grey = cv2.cvtColor(large, cv2.COLOR_BGR2GRAY)
    light = _at_most(large, LIGHT_SIDE)
    thumbnail = cv2.resize(light, (COLOUR_SIDE, COLOUR_SIDE), interpolation=cv2.INTER_AREA)
    _, edges = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))
    _, deviation = cv2.meanStdDev(grey)
    return Measurement(
        size_hw=(image.shape[0], image.shape[1]),
        sharpness=float(edges[0, 0] ** 2 / (deviation[0, 0] ** 2 + 1)),
        brightness=brightness(light),
        contrast=float(light.std()),
        black=float((light.max(axis=2) <= DARK).mean()),
        saturated=saturated_share(light),
        grey=small_picture(image),
        colour=np.asarray(thumbnail, np.uint8),
        fine=SharpnessMeter(size_hw).measure(prepared) if min(size_hw) >= SMALLEST_SHARP_SIDE else (0.0, 0.0),
        pattern=pattern(prepared),
    )


def _at_most(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    scale = side / max(image.shape[:2])
    if scale >= 1:
        return image
    size_wh = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), np.uint8)

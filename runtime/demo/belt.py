"""The belt under the parts: woven dark rubber, endless, with the streaks that wear leaves along its travel."""

import cv2
import numpy as np
from numpy.typing import NDArray

TURN = 4  # length of the belt in frame widths, before it comes round again
WEAVE_PITCH = 5.0  # units
BRIGHTNESS, WEAVE, GRIT, CLOUDS, STREAKS = 0.175, 0.028, 0.020, 0.012, 0.012


def belt_surface(size_hw: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Reflectance of the whole belt, float32 [H, TURN·W]; its left end continues its right end."""
    height, width = size_hw
    length = TURN * width
    unit = min(size_hw) / 256  # pixels
    # A whole number of periods, so that the weave closes
    pitch = length / round(length / (WEAVE_PITCH * unit))
    y, x = np.mgrid[0:height, 0:length].astype(np.float32) * np.float32(np.pi / pitch)
    weave = np.sin(x + y) * np.sin(x - y)
    grit = _endless_noise((height, length), rng, (0.7 * unit, 0.7 * unit))
    clouds = _endless_noise((height, length), rng, (14 * unit, 14 * unit))
    streaks = _endless_noise((height, length), rng, (60 * unit, 1.2 * unit))
    surface = BRIGHTNESS + WEAVE * weave + GRIT * grit + CLOUDS * clouds + STREAKS * streaks
    return np.asarray(surface, np.float32)


def belt_view(belt: NDArray[np.float32], travel: int, width: int) -> NDArray[np.float32]:
    """The [H, width] of the belt under the camera once it has travelled `travel` pixels."""
    return np.take(belt, np.arange(travel, travel + width), axis=1, mode="wrap")


def _endless_noise(
    shape_hw: tuple[int, int], rng: np.random.Generator, sigma_xy: tuple[float, float]
) -> NDArray[np.float32]:
    """Gaussian noise of unit deviation, smoothed by `sigma_xy` pixels, whose columns close into a ring."""
    margin = int(np.ceil(4 * sigma_xy[0]))
    noise = rng.standard_normal(shape_hw, dtype=np.float32)
    ring = np.pad(noise, ((0, 0), (margin, margin)), mode="wrap")
    smooth = cv2.GaussianBlur(ring, (0, 0), sigmaX=sigma_xy[0], sigmaY=sigma_xy[1])
    cut = smooth[:, margin : margin + shape_hw[1]]
    return np.asarray(cut / cut.std(), np.float32)

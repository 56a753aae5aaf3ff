"""The camera over the belt: layers of light from the part, through a lens, onto pixels, with the sensor's noise."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

DEFOCUS = 0.55  # deviation of the lens's blur, pixels
READ_NOISE = 1.6  # deviation, grey levels
VIGNETTE = 0.14  # share of the light lost in the corners of a square frame

LAYERS = ("steel", "brass", "film", "belt")
# What the camera makes of one unit of light from each layer: columns as in LAYERS, rows B, G, R
COLOURS = np.array(
    [
        [1.02, 0.42, 0.16, 1.07],
        [1.00, 0.78, 0.27, 1.00],
        [0.97, 1.06, 0.40, 0.97],
    ]
)


@dataclass(frozen=True)
class Pose:
    """Where the part lies: turned by `rotation` radians, from x to y, and moved by `shift_xy` pixels off the centre."""

    rotation: float
    shift_xy: tuple[float, float]


def photograph(
    layers: NDArray[np.float32], samples_per_pixel: float, pose: Pose, belt: NDArray[np.float32], exposure: float
) -> NDArray[np.uint8]:
    """The noise-free frame, uint8 [H, W, 3], BGR, of a part's `layers`, [G, G, 4] in its own frame.

    `belt`: reflectance of the belt in the frame, [H, W]; its layer holds the light that falls on it, 1 where nothing
    shades or covers it. `exposure` scales all light.
    """
    height, width = belt.shape
    on_sensor = _project(layers, samples_per_pixel, pose, (height, width))
    on_sensor[..., LAYERS.index("belt")] *= belt
    on_sensor *= _lens_falloff(height, width)
    return cv2.transform(on_sensor, 255 * exposure * COLOURS).clip(0, 255).round().astype(np.uint8)


def add_noise(clean: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The frame with the sensor's read noise, independent in each pixel and colour, and of the signal."""
    noise = rng.standard_normal(clean.shape, dtype=np.float32)
    noise *= READ_NOISE
    noise += clean
    return noise.round().clip(0, 255).astype(np.uint8)


def _project(
    layers: NDArray[np.float32], samples_per_pixel: float, pose: Pose, size_hw: tuple[int, int]
) -> NDArray[np.float32]:
    """The layers blurred, in pose, on the camera's pixels: [H, W, 4]."""
    height, width = size_hw
    blurred = cv2.GaussianBlur(layers, (5, 5), DEFOCUS * samples_per_pixel)
    cos, sin = np.cos(pose.rotation), np.sin(pose.rotation)
    turn = samples_per_pixel * np.array([[cos, sin], [-sin, cos]])
    part_centre = np.array([width - 1, height - 1]) / 2 + pose.shift_xy
    grid_from_frame = np.column_stack([turn, (layers.shape[0] - 1) / 2 - turn @ part_centre])
    projected = cv2.warpAffine(
        blurred,
        grid_from_frame,
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(0, 0, 0, 1),  # beyond the part's grid the belt lies open
    )
    return np.asarray(projected, np.float32)


@lru_cache(maxsize=4)
def _lens_falloff(height: int, width: int) -> NDArray[np.float32]:
    """Share of the light that reaches each pixel: [H, W, 1]."""
    y, x = np.mgrid[0:height, 0:width]
    squared = np.square(y - (height - 1) / 2) + np.square(x - (width - 1) / 2)
    corner = min(height, width) ** 2 / 2
    return np.asarray(np.maximum(1 - VIGNETTE * squared / corner, 0)[..., None], np.float32)

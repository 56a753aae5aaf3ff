"""Pictures as a camera would deliver them out of focus, moved during the exposure, noisy, or compressed."""

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
SUPERSAMPLING = 9  # of a kernel's pixels, each way


def disc(radius: float) -> NDArray[np.float32]:
    """The kernel of a lens out of focus: a disc of `radius` pixels, any fraction of one."""
    side = 2 * int(np.ceil(radius)) + 1
    y, x = np.mgrid[0 : side * SUPERSAMPLING, 0 : side * SUPERSAMPLING] - (side * SUPERSAMPLING - 1) / 2
    inside = (np.hypot(x, y) <= radius * SUPERSAMPLING).astype(np.float32)
    kernel = inside.reshape(side, SUPERSAMPLING, side, SUPERSAMPLING).mean(axis=(1, 3))
    return np.asarray(kernel / kernel.sum(), np.float32)


def line(length: float) -> NDArray[np.float32]:
    """The kernel of a part that moves by `length` pixels from left to right, 1 or more, any fraction."""
    side = 2 * int(np.ceil((length - 1) / 2)) + 1
    kernel = np.ones((1, side), np.float32)
    if side > 1:
        kernel[0, 0] = kernel[0, -1] = (length - (side - 2)) / 2
    return np.asarray(kernel / kernel.sum(), np.float32)


def defocused(image: Image, radius: float, size_hw: tuple[int, int]) -> Image:
    """A picture under a disc of `radius` pixels of the frame of `size_hw` that it is prepared to; 0 for none."""
    return _filtered(image, disc(radius * _scale(image, size_hw))) if radius else image


def gaussian(image: Image, sigma: float, size_hw: tuple[int, int]) -> Image:
    """The same under a Gaussian."""
    scaled = sigma * _scale(image, size_hw)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), scaled, borderType=cv2.BORDER_REFLECT), np.uint8)


def moved(image: Image, length: float, size_hw: tuple[int, int], upright: bool) -> Image:
    """The same under a motion by `length` pixels of the prepared frame, from left to right or `upright`."""
    axis = 0 if upright else 1
    kernel = line(max(1.0, length * image.shape[axis] / size_hw[axis]))
    return _filtered(image, kernel.T if upright else kernel)


def noisy(image: Image, deviation: float, seed: int) -> Image:
    """A picture with noise, independent in each pixel and colour; `deviation` in grey levels."""
    noise = np.random.default_rng(seed).standard_normal(image.shape, np.float32) * deviation
    return np.asarray((image + noise).round().clip(0, 255), np.uint8)


def compressed(image: Image, quality: int) -> Image:
    """A picture through JPEG."""
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1), np.uint8)


def _filtered(image: Image, kernel: NDArray[np.float32]) -> Image:
    return np.asarray(cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT), np.uint8)


def _scale(image: Image, size_hw: tuple[int, int]) -> float:
    """Pixels of the picture in one of the prepared frame: the geometric mean of both ways."""
    return float(np.sqrt(image.shape[0] * image.shape[1] / (size_hw[0] * size_hw[1])))

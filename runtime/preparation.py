"""How a camera's frame becomes the network's input: one function for training, calibration, parity and the line."""

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.arguments import described
from runtime.errors import ImageError


def as_bgr(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    """A frame as uint8 [H, W, 3], BGR: grey [H, W] or [H, W, 1] is repeated. Raises `ImageError` for anything else."""
    check_array(image)
    if image.dtype != np.uint8:
        raise ImageError(f"a frame holds {image.dtype} pixels; expected uint8")
    pixels = np.asarray(image, np.uint8)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.size == 0 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)):
        raise ImageError(f"a frame has shape {list(image.shape)}; expected [H, W, 3] in BGR order or [H, W]")
    return np.repeat(pixels[:, :, None], 3, axis=2) if pixels.ndim == 2 else pixels


def check_array(image: object) -> None:
    """Raise `ImageError` for what is no array, before anything is asked of it."""
    if image is None:
        raise ImageError("the frame is None; cv2.imread returns None for a file it cannot read: check the path")
    if not isinstance(image, np.ndarray):
        raise ImageError(f"the frame is {described(image)}; expected a NumPy array, uint8 [H, W, 3] in BGR order")


def prepare(
    image: NDArray[np.generic], size_hw: tuple[int, int], out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """A frame of any size as the contiguous uint8 [H, W, 3], BGR, that a detector of `size_hw` takes.

    Aspect rule ``stretch``: both sides are scaled on their own. Interpolation ``area``: OpenCV's INTER_AREA where
    neither side grows (it averages, so that shrinking does not alias), INTER_LINEAR otherwise. A frame that is fit
    already is returned as it is; any other is written to `out`, contiguous uint8 [H, W, 3], where that is given.
    """
    bgr = as_bgr(image)
    height, width = size_hw
    if bgr.shape[:2] != (height, width):
        shrinks = bgr.shape[0] >= height and bgr.shape[1] >= width
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(bgr, (width, height), out, interpolation=interpolation), np.uint8)
    if out is not None and not bgr.flags.c_contiguous:
        np.copyto(out, bgr)
        return out
    return np.ascontiguousarray(bgr, np.uint8)

"""How a camera's frame becomes the network's input: one function for training, calibration, parity and the line."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.alignment import Alignment, decoded_reference
from runtime.arguments import described
from runtime.errors import ImageError
from runtime.finder import Finder
from runtime.placement import Placement

FINDERS_KEPT = 4  # of as many detectors in one process


@dataclass(frozen=True, eq=False)
class Prepared:
    """A frame as the network takes it, and what was found of the part on the way.

    Of a frame with a `problem` the part was not found, or not within the limits: `frame` then shows it as if the best
    place that was found were right, and is not to be judged by.
    """

    frame: NDArray[np.uint8]  # [H, W, 3], BGR, contiguous
    scaled: NDArray[np.uint8]  # [H, W, 3], BGR: the whole picture at that size; the same array where nothing is aligned
    placed: Placement | None = None  # where the recipe has an alignment
    problem: str | None = None  # in words


def prepare(
    image: NDArray[np.generic],
    size_hw: tuple[int, int],
    alignment: Alignment | None,
    out: NDArray[np.uint8] | None = None,
) -> Prepared:
    """A frame of any size as a detector of `size_hw` takes it: `scaled` and, with an `alignment`, aligned.

    `out`, contiguous uint8 [H, W, 3], is used as in `scaled`. Raises `ImageError` for what is no picture.
    """
    whole = scaled(image, size_hw, out)
    if alignment is None:
        return Prepared(whole, whole)
    placed = finder_of(alignment).find(whole)
    problem = alignment.problem(placed, (image.shape[0], image.shape[1]))
    return Prepared(placed.aligned(whole, alignment.border_bgr), whole, placed, problem)


@lru_cache(FINDERS_KEPT)
def finder_of(alignment: Alignment) -> Finder:
    """The finder of a recipe's alignment. Raises `InputError` for a reference in which nothing could be found."""
    return Finder(decoded_reference(alignment.reference), alignment.mode, alignment.largest_angle)


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


def scaled(
    image: NDArray[np.generic], size_hw: tuple[int, int], out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """A frame of any size as contiguous uint8 [H, W, 3], BGR, of `size_hw`: the first step of `prepare`.

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

"""What each reader of a file format gives: pixels as they are stored, and what else the file says of them."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.errors import ImageError
from runtime.opencv_log import quiet_opencv

TRUNCATED = "truncated"
AS_STORED = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION


@dataclass(frozen=True)
class Stored:
    """`pixels`: [H, W, 3], BGR, uint8 or uint16. `orientation`: the EXIF value, 1 to 8, that is still to be applied.
    `full_range`: the file states that its 16 bits are all in use, so that dark values are dark and not raw ones."""

    pixels: NDArray[np.generic]
    orientation: int = 1
    full_range: bool = False


def refuse_several(count: int, noun: str = "pictures") -> None:
    """Raises `ImageError` when a file holds more than one picture: which of them is the part, nobody can tell."""
    if count > 1:
        raise ImageError(f"holds {count} {noun}; save each as a file of its own")


def refuse_transparent(alpha: NDArray[np.integer[Any]]) -> None:
    """Raises `ImageError` unless every value of `alpha` is the largest of its type."""
    if alpha.min() < np.iinfo(alpha.dtype).max:
        raise ImageError("has transparent pixels; flatten it onto a background first")


def decoded(data: bytes, flags: int = AS_STORED) -> NDArray[np.generic]:
    """The pixels as OpenCV decodes them. Raises `ImageError` where it cannot; its own words about it are held back."""
    try:
        with quiet_opencv:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ImageError(f"cannot be decoded ({error.err}); re-save it as PNG or JPEG") from error
    if image is None:
        raise ImageError("cannot be decoded; re-save it as PNG or JPEG")
    return np.asarray(image)


def refuse_transparent_in(data: bytes) -> None:
    """As `refuse_transparent`, of the fourth channel that OpenCV finds in the file."""
    image = decoded(data, cv2.IMREAD_UNCHANGED)
    if image.ndim == 3 and image.shape[2] == 4:
        refuse_transparent(np.asarray(image[:, :, 3], np.uint16 if image.dtype == np.uint16 else np.uint8))

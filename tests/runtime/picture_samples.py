"""Pictures that tests of image files are made of, and changes to their bytes."""

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.pictures.jpeg import segments


def picture(height: int = 90, width: int = 140, seed: int = 0) -> NDArray[np.uint8]:
    """Uint8 [H, W, 3]: soft blobs over a ramp, with grain, so that every part of the coded bytes matters."""
    rng = np.random.default_rng(seed)
    blobs = cv2.GaussianBlur(rng.normal(128, 255, (height, width, 3)), (0, 0), 3)
    ramp = np.linspace(-40, 40, width)[None, :, None]
    return np.clip(blobs + ramp + rng.normal(0, 4, (height, width, 1)), 0, 255).astype(np.uint8)


def without_segment(jpeg: bytes, marker: int) -> bytes:
    """`jpeg` without its header segments of one kind."""
    for _, begin, end in reversed([segment for segment in segments(jpeg) if segment.marker == marker]):
        jpeg = jpeg[: begin - 4] + jpeg[end:]
    return jpeg

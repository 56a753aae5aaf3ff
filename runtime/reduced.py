"""A picture or map made smaller, for people and for the disk: never for what is scored."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def reduced(image: NDArray[Any], longest: int) -> NDArray[Any]:
    """At most `longest` pixels a side, [H, W] or [H, W, C], of the same type, and its memory in one piece.

    What is no larger stays as it is.
    """
    height, width = image.shape[:2]
    share = longest / max(height, width)
    if share < 1:
        size_wh = max(1, round(width * share)), max(1, round(height * share))
        image = cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(image)

"""A camera that changes its resolution under way: its pictures are of another size than those before."""

import numpy as np
from numpy.typing import NDArray


class FirstSize:
    """The size of a source's first whole picture, which all others must have. Reopening a camera does not reset it."""

    def __init__(self, owner: str) -> None:
        """`owner` is who changes its resolution, for the message: ``the camera``, ``the video``."""
        self._owner = owner
        self._first: tuple[int, int] | None = None  # width, height

    def problem(self, image: NDArray[np.uint8]) -> str | None:
        """What is wrong with a picture of another size, in words, or None."""
        height, width = image.shape[:2]
        if self._first is None:
            self._first = width, height
        if self._first == (width, height):
            return None
        before = f"{self._first[0]}×{self._first[1]}"
        return f"wrong size: {self._owner} changed its resolution from {before} to {width}×{height}"

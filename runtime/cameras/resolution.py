"""A camera that changes its resolution or format under way: its pictures are not what those before were."""

import logging

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)


class FirstSize:
    """The size of a source's first whole picture, which all others must have. Reopening a camera does not reset it.

    The same holds for how the camera sends its pictures, where it says so: another format has other colours.
    """

    def __init__(self, owner: str, remedy: str = "", accept: str | None = None) -> None:
        """`owner` is who changes its resolution, for the message: ``the camera``, ``the video``. `remedy` follows it.

        With `accept`, the name of a source for the log, the new size or format is logged and from then on the one that
        all others must have.
        """
        self._owner, self._remedy, self._accept = owner, remedy, accept
        self._first: tuple[int, int] | None = None  # width, height
        self._format: str | None = None

    def problem(self, image: NDArray[np.uint8], sent_as: str | None = None) -> str | None:
        """What is wrong with a picture of another size or format, in words, or None.

        `sent_as` is how the camera sent it, such as ``MJPG``, ``h264`` or ``NV12``; None where it does not say.
        """
        height, width = image.shape[:2]
        change = self._change((width, height), sent_as)
        if change is None or self._accept is not None:
            if change:
                log.warning("%s: %s changed its %s; accepted", self._accept, self._owner, change.partition(": ")[2])
            self._first, self._format = (width, height), sent_as or self._format
            return None
        kind, _, what = change.partition(": ")
        return f"wrong {kind}: {self._owner} changed its {what}{self._remedy}"

    def _change(self, size: tuple[int, int], sent_as: str | None) -> str | None:
        if self._first not in (None, size):
            before = "×".join(map(str, self._first or ()))
            return f"size: resolution from {before} to {size[0]}×{size[1]}"
        if sent_as is not None and self._format not in (None, sent_as):
            return f"format: format from {self._format} to {sent_as}"
        return None

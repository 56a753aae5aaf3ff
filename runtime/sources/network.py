"""Network cameras: what they sent before somebody looked is dropped, at the start and whenever reading falls behind."""

import time

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.errors import SourceError
from runtime.sources.backlog import LONGEST_S, decodes_here, skip_backlog, timed_grab
from runtime.sources.capture import OpenCVCapture, open_video

WATCHED_S, WATCHED_GRABS = 1.0, 3
LEAST_WAITING = 0.02  # share of the time; who keeps up with a camera waits for it


class NetworkCapture(OpenCVCapture):
    """An MJPEG camera that no read has waited for during a second sends faster than this machine reads: its pictures
    pile up on the way, seconds old. They are dropped until one has to be waited for.

    Other streams are decoded in threads of FFmpeg's own, and waiting for these looks like waiting for the camera.
    """

    def __init__(self, capture: cv2.VideoCapture) -> None:
        """`capture` is open; what waits to be read is dropped, and not counted: nobody watched yet."""
        super().__init__(capture)
        self.drops = 0
        skip_backlog(capture)
        self._since_s, self._grabs, self._waited_s = time.monotonic(), 0, 0.0

    def read(self) -> NDArray[np.uint8] | None:
        """See `Capture.read`."""
        watched_s = time.monotonic() - self._since_s
        if watched_s >= WATCHED_S and self._grabs >= WATCHED_GRABS:
            if self._waited_s < LEAST_WAITING * watched_s and decodes_here(self._capture):
                self._catch_up()
            self._since_s, self._grabs, self._waited_s = time.monotonic(), 0, 0.0
        grabbed, waited_s = timed_grab(self._capture)
        self._grabs, self._waited_s = self._grabs + 1, self._waited_s + waited_s
        return self._retrieved() if grabbed else None

    def _catch_up(self) -> None:
        started_s = time.monotonic()
        self.drops += skip_backlog(self._capture)
        if time.monotonic() - started_s >= LONGEST_S:
            raise SourceError("this machine is too slow for it; ask the camera for fewer or smaller pictures")


def open_network(url: str) -> NetworkCapture:
    """A network camera, from the picture that it takes now. Raises `SourceError` as `open_ffmpeg` does.

    The parts on the pictures before are gone; nobody may take their verdicts for those of the parts that are there now.
    """
    return NetworkCapture(open_video(url))

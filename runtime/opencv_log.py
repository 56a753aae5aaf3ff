"""OpenCV's own log, which it writes to stderr past everything else."""

import threading
from typing import Any

import cv2

SILENT = 0  # of OpenCV's log levels


class _Quiet:
    """OpenCV's log is silent while any thread is inside, and as it was before when the last one leaves.

    Its complaints would land between the verdicts, where ours say the same in words that help.
    """

    def __init__(self) -> None:
        self._lock, self._inside, self._level = threading.Lock(), 0, 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._level = _log().getLogLevel()
                _log().setLogLevel(SILENT)
            self._inside += 1

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                _log().setLogLevel(self._level)


def _log() -> Any:
    """The module that has OpenCV's log level: `cv2` itself up to version 4, JetPack's among them."""
    return cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging


quiet_opencv = _Quiet()

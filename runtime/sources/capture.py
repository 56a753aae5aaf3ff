"""OpenCV's captures behind one door: opened with finite timeouts, read without vendor errors or noise on stderr."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.errors import ImageError, SourceError
from runtime.preparation import as_bgr

OPEN_TIMEOUT_MS = 3000
# FFmpeg keeps to it over HTTP and may take three times as long over RTSP. V4L2 has no such option and fails after 10 s
READ_TIMEOUT_MS = 2000


class Capture(Protocol):
    """An open camera or video. For one thread at a time."""

    @property
    def drops(self) -> int:
        """Pictures that were left out because they came too late."""

    def read(self) -> NDArray[np.uint8] | None:
        """The next picture, uint8 [H, W, 3], BGR. None when the capture ended or failed, or if one cannot be decoded.

        Raises `SourceError` when the capture is of no use any more, with the reason.
        """

    def release(self) -> None:
        """Close it."""


class OpenCVCapture:
    """A `Capture` over `cv2.VideoCapture`."""

    drops = 0

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture

    def read(self) -> NDArray[np.uint8] | None:
        """See `Capture.read`."""
        try:
            return self._retrieved() if self._capture.grab() else None
        except cv2.error:
            return None

    def _retrieved(self) -> NDArray[np.uint8] | None:
        try:
            arrived, image = self._capture.retrieve()
            return as_bgr(np.asarray(image)) if arrived else None
        except (cv2.error, ImageError):
            return None

    def get(self, what: int) -> float:
        """A property of the capture, by OpenCV's number for it (``cv2.CAP_PROP_…``)."""
        return self._capture.get(what)

    def release(self) -> None:
        """See `Capture.release`."""
        self._capture.release()


def open_v4l2(device: str) -> OpenCVCapture:
    """A V4L2 camera by number (``0``) or path (``/dev/video0``). Raises `SourceError` when it cannot be opened."""
    path = f"/dev/video{device}" if re.fullmatch("[0-9]+", device) else device
    with quiet_opencv():
        capture = cv2.VideoCapture(path, cv2.CAP_V4L2)
        # one buffer in the driver: a second would show each part one frame late
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    if not capture.isOpened():
        raise SourceError(f"camera {device} cannot be opened; {_device_advice(path)}")
    return OpenCVCapture(capture)


def open_ffmpeg(url: str) -> OpenCVCapture:
    """A network stream or a video file. Raises `SourceError` when it cannot be opened or holds no video."""
    return OpenCVCapture(open_video(url))


def open_video(url: str) -> cv2.VideoCapture:
    """OpenCV's own capture for `open_ffmpeg`."""
    with quiet_opencv():
        timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_TIMEOUT_MS]
        capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, timeouts)
    if not capture.isOpened():
        raise SourceError(f"{without_password(url)} cannot be opened as video; check the address and that it plays")
    return capture


def without_password(url: str) -> str:
    """A URL fit for messages and logs: ``rtsp://user:secret@host/video?pwd=secret`` as ``rtsp://user@host/video?…``.

    A password may hold a ``/`` that should have been escaped: where an ``@`` follows it, rather too much is left out.
    """
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]*:/+)?([^/?#]*)(.*)", url, re.DOTALL)
    assert match is not None  # it matches anything
    scheme, authority, rest = match[1] or "", match[2], match[3]
    if "@" not in authority and ":" in authority and "@" in rest:
        authority, rest = authority + rest, ""
    credentials, at, host = authority.rpartition("@")
    user = credentials.partition(":")[0]
    place, mark, _ = f"{host}{rest}".partition("?")
    return f"{scheme}{user}{at}{place}{mark and '?…'}"


def _device_advice(path: str) -> str:
    if not os.path.exists(path):
        found = sorted(str(device) for device in Path("/dev").glob("video*"))
        return f"there is no {path} (found {', '.join(found) or 'no cameras'}); plug it in or give another --camera"
    if not os.access(path, os.R_OK | os.W_OK):
        return f"you may not read {path}; add the user to the group 'video'"
    return f"{path} is in use or delivers no pictures; close other programs that use it"


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """Keep OpenCV's and FFmpeg's own warnings off stderr, where ours say the same in words that help."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET; OpenCV reads it when FFmpeg starts
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)

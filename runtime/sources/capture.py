"""What a camera's capture delivers: pictures as they were sent, or word of those that were not whole; and V4L2's."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.errors import DamagedImage, ImageError, SourceError
from runtime.jpeg import decode_jpeg
from runtime.preparation import as_bgr

JPEG_CODES = {cv2.VideoWriter.fourcc(*"MJPG"), cv2.VideoWriter.fourcc(*"JPEG")}


@dataclass(frozen=True)
class Damaged:
    """The place of a picture that did not arrive whole, or whose decoder would have had to guess."""

    cause: str


Picture: TypeAlias = NDArray[np.uint8] | Damaged  # pixels are [H, W, 3], BGR


class Capture(Protocol):
    """An open camera. For one thread at a time."""

    @property
    def drops(self) -> int:
        """Pictures that were left out because they came too late."""

    def read(self) -> Picture | None:
        """The next picture, as it was sent or as `Damaged`; None when the capture ended or failed, for good.

        Raises `SourceError` instead where there is more to say about the failure.
        """

    def release(self) -> None:
        """Close it."""


class V4L2Capture:
    """A `Capture` over `cv2.VideoCapture`. JPEG is taken from it as the bytes that the camera sent."""

    drops = 0

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture
        self._sends_jpeg = int(capture.get(cv2.CAP_PROP_FOURCC)) in JPEG_CODES
        if self._sends_jpeg:
            capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)

    def read(self) -> Picture | None:
        """See `Capture.read`."""
        try:
            if not self._capture.grab():
                return None
            arrived, image = self._capture.retrieve()
        except cv2.error as error:
            return Damaged(str(error.err))
        if not arrived:
            return Damaged("the driver delivered no pixels")
        if self._sends_jpeg:
            return as_picture(np.asarray(image, np.uint8).tobytes())
        try:
            return as_bgr(np.asarray(image))
        except ImageError as error:
            return Damaged(str(error))

    def release(self) -> None:
        """See `Capture.release`."""
        self._capture.release()


def as_picture(jpeg: bytes) -> Picture:
    """One JPEG of a camera or video, decoded if it is whole; an end marker is part of that."""
    try:
        return decode_jpeg(jpeg)
    except DamagedImage as error:
        return Damaged(error.reason)
    except ImageError as error:
        return Damaged(str(error))


def open_v4l2(device: str) -> V4L2Capture:
    """A V4L2 camera by number (``0``) or path (``/dev/video0``). Raises `SourceError` when it cannot be opened."""
    path = f"/dev/video{device}" if re.fullmatch("[0-9]+", device) else device
    with quiet_opencv():
        capture = cv2.VideoCapture(path, cv2.CAP_V4L2)
        # one buffer in the driver: a second would show each part one frame late
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    if not capture.isOpened():
        raise SourceError(f"camera {device} cannot be opened; {_device_advice(path)}")
    return V4L2Capture(capture)


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

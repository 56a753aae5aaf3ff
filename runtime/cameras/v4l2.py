"""V4L2 cameras: USB and others that the Linux kernel knows as ``/dev/video…``."""

import os
import re
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from runtime.cameras.capture import Damaged, Picture, as_picture
from runtime.cameras.live import LiveSource
from runtime.errors import ImageError, SourceError
from runtime.opencv_log import quiet_opencv
from runtime.preparation import as_bgr

JPEG_CODES = {cv2.VideoWriter.fourcc(*"MJPG"), cv2.VideoWriter.fourcc(*"JPEG")}


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


def open_v4l2(uri: str, reconnect_limit: int | None = None, wait: bool = False) -> LiveSource:
    """``0``, ``v4l2:0`` or ``v4l2:/dev/video0``. Raises `SourceError` when it cannot be opened."""
    device = uri.removeprefix("v4l2:")
    return LiveSource(f"camera {device}", partial(capture_of, device), reconnect_limit, wait=wait)


def capture_of(device: str) -> V4L2Capture:
    """A V4L2 camera by number (``0``) or path (``/dev/video0``). Raises `SourceError` when it cannot be opened."""
    path = f"/dev/video{device}" if re.fullmatch("[0-9]+", device) else device
    with quiet_opencv:
        capture = cv2.VideoCapture(path, cv2.CAP_V4L2)
        # one buffer in the driver: a second would show each part one frame late
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    if not capture.isOpened():
        raise SourceError(f"camera {device} cannot be opened; {_device_advice(path)}")
    return V4L2Capture(capture)


def _device_advice(path: str) -> str:
    if not os.path.exists(path):
        found = sorted(str(device) for device in Path("/dev").glob("video*"))
        return f"there is no {path} (found {', '.join(found) or 'no cameras'}); plug it in or give another --camera"
    if not os.access(path, os.R_OK | os.W_OK):
        return f"you may not read {path}; add the user to the group 'video'"
    return f"{path} is in use or delivers no pictures; close other programs that use it"

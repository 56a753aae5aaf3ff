"""V4L2 cameras: USB and others that the Linux kernel knows as ``/dev/video…``."""

import os
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from runtime.cameras.base import Found
from runtime.cameras.capture import Damaged, Picture, as_picture
from runtime.cameras.live import LiveSource
from runtime.cameras.v4l2_controls import card_of, set_controls
from runtime.doctor.cameras import examine_cameras
from runtime.errors import ImageError, SourceError
from runtime.opencv_log import quiet_opencv
from runtime.preparation import as_bgr

NOT_PERMITTED = (
    "you may not read {}; add the user to the group 'video': sudo usermod -aG video $USER, then log in again"
)
JPEG_CODES = {cv2.VideoWriter.fourcc(*"MJPG"), cv2.VideoWriter.fourcc(*"JPEG")}


class V4L2Capture:
    """A `Capture` over `cv2.VideoCapture`. JPEG is taken from it as the bytes that the camera sent."""

    drops = 0

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture
        code = int(capture.get(cv2.CAP_PROP_FOURCC))
        self.sent_as = code.to_bytes(4, "little", signed=True).decode("ascii", "replace").strip("\0 ") or None
        self._sends_jpeg = code in JPEG_CODES
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


def open_v4l2(
    uri: str,
    reconnect_limit: int | None = None,
    wait: bool = False,
    accept_size_change: bool = False,
    settings: Mapping[str, str] | None = None,
) -> LiveSource:
    """``0``, ``v4l2:0`` or ``v4l2:/dev/video0``. Raises `SourceError` when it cannot be opened.

    `settings` are its driver's controls by the names of v4l2-ctl. A camera forgets them when it is unplugged: they are
    set whenever it is opened.
    """
    device = uri.removeprefix("v4l2:")
    opener = partial(capture_of, device, settings or {})
    return LiveSource(f"camera {device}", opener, reconnect_limit, wait=wait, accept_size_change=accept_size_change)


def capture_of(device: str, settings: Mapping[str, str] = {}) -> V4L2Capture:
    """A V4L2 camera by number (``0``) or path (``/dev/video0``). Raises `SourceError` when it cannot be opened."""
    path = f"/dev/video{device}" if re.fullmatch("[0-9]+", device) else device
    if settings and os.access(path, os.R_OK | os.W_OK):
        set_controls(path, settings)  # before the first picture
    with quiet_opencv:
        capture = cv2.VideoCapture(path, cv2.CAP_V4L2)
        # one buffer in the driver: a second would show each part one frame late
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    if not capture.isOpened():
        raise SourceError(f"camera {device} cannot be opened; {_device_advice(path)}")
    return V4L2Capture(capture)


def list_v4l2(root: Path = Path("/")) -> list[Found]:
    """The V4L2 devices of this machine that deliver pictures, by the names that their drivers give them."""
    found = []
    for camera in examine_cameras(is_jetson=False, root=root).devices:
        card = card_of(str(root / camera.device[1:]))
        if card is not None and not card[1]:  # it describes the pictures of another device
            continue
        refused = "" if camera.permitted else f"; {NOT_PERMITTED.format(camera.device)}"
        found.append(Found(f"v4l2:{camera.device.removeprefix('/dev/video')}", f"{camera.name}{refused}"))
    none = "no /dev/video*: plug a camera in; in a container, start it with --device /dev/video0"
    return found or [Found(None, f"V4L2: {none}")]


def _device_advice(path: str) -> str:
    if not os.path.exists(path):
        found = sorted(str(device) for device in Path("/dev").glob("video*"))
        return f"there is no {path} (found {', '.join(found) or 'no cameras'}); plug it in or give another --camera"
    if not os.access(path, os.R_OK | os.W_OK):
        return NOT_PERMITTED.format(path)
    if (card := card_of(path)) is not None and not card[1]:
        return f"{path} of {card[0]} delivers no pictures, as the second device of many cameras; give another --camera"
    if holder := holder_of(path):
        return f"{path} is in use by {holder}; close that program"
    return f"{path} is in use or delivers no pictures; close other programs that use it"


def holder_of(path: str, processes: Path = Path("/proc")) -> str | None:
    """A process that has the device open, by number and name. None where none is seen, as those of other users."""
    device = os.path.realpath(path)
    for link in processes.glob("[0-9]*/fd/*"):
        process = link.parent.parent
        try:
            if os.readlink(link) == device and process.name != str(os.getpid()):
                return f"process {process.name} ({(process / 'comm').read_text().strip()})"
        except OSError:  # it ended, or closed the file
            continue
    return None

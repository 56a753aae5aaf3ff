"""Frame sources: cameras, streams, files and the demo line, opened by URI."""

import re
import sys
from functools import partial
from pathlib import Path

from runtime.arguments import as_number, as_text, as_whole_number
from runtime.demo import DemoLine
from runtime.errors import InputError, SourceError
from runtime.images import is_picture
from runtime.sources.base import Source
from runtime.sources.capture import open_v4l2, without_password
from runtime.sources.demo import DemoSource
from runtime.sources.folder import FolderSource
from runtime.sources.live import LiveSource

__all__ = ["Source", "open_source"]

KNOWN = "0 or v4l2:0 (a camera), a video file, a folder of images, rtsp://…, http://… and demo"
_NETWORK = ("rtsp", "rtsps", "http", "https")


def open_source(
    uri: str | Path,
    reconnect_limit: int | None = None,
    seed: int | None = None,
    defect_rate: float | None = None,
    wait: bool = False,
    size_hw: tuple[int, int] | None = None,
    max_pixels: int | None = None,
) -> Source:
    """Open the source that `uri` names.

    ``0``, ``v4l2:0``, ``v4l2:/dev/video0``: a V4L2 camera. ``rtsp://…``, ``http://…``: a network camera. ``demo``: the
    rendered line, of frames of `size_hw` (256×256), with parts by `seed` (0) and a share `defect_rate` (0.3) of them
    defective. Anything else: a folder of images, an image or a video file, told apart by their content; an image of
    more than `max_pixels` (None: `pixel_limit.max_pixels`) is no picture but a problem. Live sources give up after
    `reconnect_limit` failed attempts in a row to reopen (None: never); with `wait`, one that is absent at the start is
    waited for in the same way. Raises `SourceError` when the source cannot be opened or its scheme is not known,
    `InputError` for a value out of range, for an option of the demo line with another source, and for `wait` where
    nothing is to be waited for.
    """
    uri = as_text("the camera", uri)
    if reconnect_limit is not None:
        as_whole_number("reconnect_limit", reconnect_limit, 1, sys.maxsize)
    if uri == "demo":
        _refuse_to_wait(uri, wait)
        return DemoSource(_demo_line(seed, size_hw, defect_rate))
    _refuse_demo_options(uri, {"--seed": seed, "--defect-rate": defect_rate, "size_hw": size_hw})
    scheme, _, rest = uri.partition(":")
    if uri in ("", "v4l2:"):
        raise SourceError(f"camera {uri!r} names nothing to open; expected {KNOWN}")
    if re.fullmatch(r"[0-9]+", uri) or scheme == "v4l2":
        device = rest or uri
        return LiveSource(f"camera {device}", partial(open_v4l2, device), reconnect_limit, wait=wait)
    if scheme.lower() in _NETWORK and rest.startswith("//"):
        from runtime.sources.network import open_network  # FFmpeg takes time to load

        return LiveSource(without_password(uri), partial(open_network, uri), reconnect_limit, wait=wait)
    _refuse_to_wait(uri, wait)
    return _open_path(uri, max_pixels)


def _demo_line(seed: int | None, size_hw: tuple[int, int] | None, defect_rate: float | None) -> DemoLine:
    size = (256, 256) if size_hw is None else size_hw
    if not isinstance(size, tuple) or len(size) != 2:
        raise InputError(f"size_hw is {size!r}; expected height and width, as in (256, 256)")
    height, width = (as_whole_number("a side of size_hw", side, 1, 2**31 - 1) for side in size)
    number = 0 if seed is None else as_whole_number("the demo line's seed", seed, 0, 2**32 - 1)
    rate = 0.3 if defect_rate is None else as_number("the demo line's defect rate", defect_rate)
    return DemoLine(number, (height, width), rate)


def _refuse_demo_options(uri: str, options: dict[str, object]) -> None:
    """Raise `InputError` when an option was given that means nothing for this source: it would be ignored unseen."""
    given = next((name for name, value in options.items() if value is not None), None)
    if given is not None:
        raise InputError(f"{given} is for --camera demo, and this camera is {without_password(uri)!r}; leave it out")


def _refuse_to_wait(uri: str, wait: bool) -> None:
    if wait:
        raise InputError(f"--wait-for-camera waits for cameras; {without_password(uri)} is none, leave it out")


def _open_path(uri: str, max_pixels: int | None) -> Source:
    path, shown = Path(uri), without_password(uri)
    try:
        if path.is_dir() or is_picture(path):
            return FolderSource(path, max_pixels)
        if path.is_file():
            from runtime.sources.video import VideoFileSource  # FFmpeg takes time to load

            return VideoFileSource(path)
    except OSError as error:
        reason = f"camera {shown!r} cannot be read: {error.strerror}; check the path and who may read it"
        raise SourceError(reason) from error
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", uri):
        raise SourceError(f"camera {shown!r} has a scheme that is not known; expected {KNOWN}")
    raise SourceError(f"camera {shown!r} is no file or folder; expected {KNOWN}")

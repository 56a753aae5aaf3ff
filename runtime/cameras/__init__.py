"""Cameras: live ones, streams, files and the demo line, opened by URI.

A camera is a file here with a function that opens it, and a row in `ROWS`: the schemes of its URIs, and the options
that mean something for it.
"""

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from runtime.arguments import as_text, as_whole_number
from runtime.cameras.base import Source
from runtime.cameras.capture import without_password
from runtime.errors import InputError, SourceError

__all__ = ["KNOWN", "ROWS", "CameraRow", "Source", "open_camera", "open_source"]

LIVE_OPTIONS = ("reconnect_limit", "wait")


@dataclass(frozen=True)
class CameraRow:
    """A kind of camera."""

    shown: str  # its URIs, for people
    schemes: tuple[str, ...]  # what stands before the colon, or is the whole URI; none for paths
    opener: str  # module:function of the URI and the options that were given, by name
    options: tuple[str, ...]  # that mean something for it


ROWS = (
    CameraRow("0 or v4l2:0 (a camera)", ("v4l2",), "runtime.cameras.v4l2:open_v4l2", LIVE_OPTIONS),
    CameraRow(
        "rtsp://… and http://…",
        ("rtsp", "rtsps", "http", "https"),
        "runtime.cameras.network:open_network",
        LIVE_OPTIONS,
    ),
    CameraRow(
        "demo, also as demo?seed=3&defect_rate=0.5",
        ("demo",),
        "runtime.cameras.demo:open_demo",
        ("seed", "defect_rate", "size_hw"),
    ),
    CameraRow("a video file, an image or a folder of images", (), "runtime.cameras.path:open_path", ("max_pixels",)),
)
KNOWN = ", ".join(row.shown for row in ROWS)


def open_source(
    uri: str | Path,
    reconnect_limit: int | None = None,
    seed: int | None = None,
    defect_rate: float | None = None,
    wait: bool | None = None,
    size_hw: tuple[int, int] | None = None,
    max_pixels: int | None = None,
) -> Source:
    """Open the source that `uri` names; see `open_camera`, which it calls with the options that are not None.

    Live cameras give up after `reconnect_limit` failed attempts in a row to reopen (None: never); with `wait`, one that
    is absent at the start is waited for in the same way. The demo line has parts by `seed` (0), a share `defect_rate`
    (0.3) of them defective, in frames of `size_hw` (256×256). An image file of more than `max_pixels` (None:
    `pixel_limit.max_pixels`) is no picture but a problem.
    """
    given = {name: value for name, value in locals().items() if name != "uri" and value is not None}
    return open_camera(uri, given)


def open_camera(uri: str | Path, options: Mapping[str, Any], spelled: Callable[[str], str] = str) -> Source:
    """Open the source that `uri` names, with the options that were given, by name.

    A whole number is a V4L2 camera, and what has none of the schemes in `ROWS` a path. `spelled` is how whoever gave an
    option writes its name. Raises `SourceError` when the source cannot be opened or its scheme is not known,
    `InputError` for a value out of range, and for an option that means nothing for this camera.
    """
    uri = as_text("the camera", uri)
    if (limit := options.get("reconnect_limit")) is not None:
        as_whole_number(spelled("reconnect_limit"), limit, 1, sys.maxsize)
    row = _row_of(uri)
    options = {name: value for name, value in options.items() if value is not False}  # an option that was not taken
    foreign = next((name for name in options if name not in row.options), None)
    if foreign is not None:
        owners = " and ".join(each.shown for each in ROWS if foreign in each.options) or "no camera"
        raise InputError(
            f"{spelled(foreign)} is for {owners}, and this camera is {without_password(uri)!r}; leave it out"
        )
    module, _, function = row.opener.partition(":")
    source: Source = getattr(import_module(module), function)(uri, **options)
    return source


def _row_of(uri: str) -> CameraRow:
    """The kind of camera that `uri` names."""
    scheme, colon, rest = uri.partition(":")
    if re.fullmatch("[0-9]+", uri):
        return ROWS[0]
    if uri in ("", "v4l2:"):
        raise SourceError(f"camera {uri!r} names nothing to open; expected {KNOWN}")
    for row in ROWS:
        if colon and scheme.lower() in row.schemes and (row is ROWS[0] or rest.startswith("//")):
            return row
        if uri.partition("?")[0] in row.schemes and not colon:
            return row
    return ROWS[-1]

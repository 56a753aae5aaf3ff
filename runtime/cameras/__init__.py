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

from runtime.arguments import as_number, as_seconds, as_text, as_whole_number, described
from runtime.bounds import check_above_zero
from runtime.cameras.base import EXTERNAL, HARDWARE, TRIGGERS, Source
from runtime.cameras.capture import without_password
from runtime.cameras.settings import as_settings
from runtime.cameras.still import WatchedSource
from runtime.errors import InputError, OptionError, SourceError

__all__ = [
    "KNOWN",
    "ROWS",
    "STILL_LIMIT",
    "CameraRow",
    "Source",
    "check_camera",
    "open_camera",
    "open_source",
    "why_no_parts",
]

_ALONE = {"pylon", "gentl", "aravis"}  # schemes that may stand alone, for the only camera there is
_BY_COLON = {"v4l2", "gst", "csi", "watch", *_ALONE}  # schemes that no // need follow
LIVE_OPTIONS = ("reconnect_limit", "wait", "accept_size_change")
STILL_LIMIT = "still_limit"  # for the frames of a live camera, whatever opens it
TRIGGER_OPTIONS = ("trigger", "deadline_s")  # of a camera that can be triggered
NO_PART = "nothing in a picture tells which part it was taken for"


@dataclass(frozen=True)
class CameraRow:
    """A kind of camera."""

    shown: str  # its URIs, for people
    schemes: tuple[str, ...]  # what stands before the colon, or is the whole URI; none for paths
    opener: str  # module:function of the URI and the options that were given, by name
    options: tuple[str, ...]  # that mean something for it
    runs_free_since: str = ""  # why it cannot be triggered, where it cannot
    names_parts: bool = False  # whether each of its frames has a part's id, also when nobody triggers it
    lister: str | None = None  # module:function of the cameras of its kind that are found here, as a list of `Found`

    @property
    def known(self) -> tuple[str, ...]:
        """The options that may be given: the opener's own, and what is done to the frames of a live camera."""
        return (*self.options, STILL_LIMIT) if set(LIVE_OPTIONS) <= set(self.options) else self.options


ROWS = (
    CameraRow(
        "0 or v4l2:0 (a camera)",
        ("v4l2",),
        "runtime.cameras.v4l2:open_v4l2",
        (*LIVE_OPTIONS, "settings"),
        f"V4L2 has no trigger, and {NO_PART}",
        lister="runtime.cameras.v4l2:list_v4l2",
    ),
    CameraRow(
        "rtsp://…",
        ("rtsp", "rtsps"),
        "runtime.cameras.network:open_network",
        (*LIVE_OPTIONS, "rtsp_transport"),
        f"a video stream has no trigger, and {NO_PART}",
    ),
    CameraRow(
        "http://…",
        ("http", "https"),
        "runtime.cameras.network:open_network",
        LIVE_OPTIONS,
        f"a video stream has no trigger, and {NO_PART}",
    ),
    CameraRow(
        "gst:PIPELINE (GStreamer)",
        ("gst",),
        "runtime.cameras.gstreamer:open_gst",
        LIVE_OPTIONS,
        f"a pipeline has no trigger, and {NO_PART}",
        lister="runtime.cameras.gstreamer:list_gst",
    ),
    CameraRow(
        "csi:0 (a Jetson's camera)",
        ("csi",),
        "runtime.cameras.csi:open_csi",
        LIVE_OPTIONS,
        f"a Jetson's camera service has no trigger, and {NO_PART}",
        lister="runtime.cameras.csi:list_csi",
    ),
    CameraRow(
        "watch:FOLDER (pictures as they come)",
        ("watch",),
        "runtime.cameras.watch:open_watched",
        ("max_pixels",),
        "another program takes its pictures",
    ),
    CameraRow(
        "pylon:SERIAL (Basler)",
        ("pylon",),
        "runtime.cameras.genicam.pylon:open_pylon",
        (*LIVE_OPTIONS, "settings", *TRIGGER_OPTIONS),
        lister="runtime.cameras.genicam.pylon:found_here",
    ),
    CameraRow(
        "gentl:PRODUCER.cti#ID (GenTL)",
        ("gentl",),
        "runtime.cameras.genicam.gentl:open_gentl",
        (*LIVE_OPTIONS, "settings", *TRIGGER_OPTIONS),
        lister="runtime.cameras.genicam.gentl:found_here",
    ),
    CameraRow(
        "aravis:IP (GigE Vision)",
        ("aravis",),
        "runtime.cameras.genicam.aravis:open_aravis",
        (*LIVE_OPTIONS, "settings", *TRIGGER_OPTIONS),
        lister="runtime.cameras.genicam.aravis:found_here",
    ),
    CameraRow(
        "demo, also as demo?seed=3&defect_rate=0.5",
        ("demo",),
        "runtime.cameras.demo:open_demo",
        ("seed", "defect_rate", "size_hw", *TRIGGER_OPTIONS),
        names_parts=True,
    ),
    CameraRow(
        "a video file, an image or a folder of images",
        (),
        "runtime.cameras.path:open_path",
        ("max_pixels",),
        "its pictures were taken before",
    ),
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
    trigger: str | None = None,
    deadline_s: float | None = None,
    settings: Mapping[str, object] | None = None,
    accept_size_change: bool | None = None,
    rtsp_transport: str | None = None,
    still_limit: float | None = None,
) -> Source:
    """Open the source that `uri` names; see `open_camera`, which it calls with the options that are not None.

    Live cameras give up after `reconnect_limit` failed attempts in a row to reopen (None: never); with `wait`, one that
    is absent at the start is waited for in the same way; with `accept_size_change`, pictures of another size or format
    than the first are taken; pictures that change by less than `still_limit` grey levels are frozen (see
    `runtime.cameras.still`). `rtsp_transport` is ``tcp`` (the default) or ``udp``. The demo line has parts by `seed`
    (0), a share `defect_rate` (0.3) of them defective, in frames of `size_hw` (256×256). An image file of more than
    `max_pixels` (None: `pixel_limit.max_pixels`) is no picture but a problem. `settings` are a camera's own, by their
    names, such as ``{"ExposureTime": 2000}``; they are made whenever it is opened, in this order.

    `trigger` has the camera take pictures when it is told to: ``software`` and ``external``, by `Source.trigger`;
    ``hardware``, by its own input. Each trigger is one frame, whose verdict is due `deadline_s` (1) after it.
    """
    given = {name: value for name, value in locals().items() if name != "uri" and value is not None}
    return open_camera(uri, given)


def open_camera(uri: str | Path, options: Mapping[str, Any], spelled: Callable[[str], str] = str) -> Source:
    """Open the source that `uri` names, with the options that were given, by name.

    A whole number is a V4L2 camera, and what has none of the schemes in `ROWS` a path. `spelled` is how whoever gave an
    option writes its name. Raises `SourceError` when the source cannot be opened or its scheme is not known,
    `InputError` for a value out of range, and for an option that means nothing for this camera. Settings arrive at the
    opener as texts by name, `dict[str, str]`.
    """
    row, given = check_camera(uri, options, spelled)
    module, _, function = row.opener.partition(":")
    still_limit = given.pop(STILL_LIMIT, None)
    source: Source = getattr(import_module(module), function)(as_text("the camera", uri), **given)
    return source if still_limit is None else WatchedSource(source, still_limit)


def check_camera(
    uri: str | Path, options: Mapping[str, Any], spelled: Callable[[str], str] = str
) -> tuple[CameraRow, dict[str, Any]]:
    """The kind of camera that `uri` names, and the options to open it with; what needs no camera to be seen is checked.

    Raises what `open_camera` raises.
    """
    uri = as_text("the camera", uri)
    if (limit := options.get("reconnect_limit")) is not None:
        as_whole_number(spelled("reconnect_limit"), limit, 1, sys.maxsize)
    if (limit := options.get(STILL_LIMIT)) is not None:
        check_above_zero(spelled(STILL_LIMIT), as_number(spelled(STILL_LIMIT), limit))
        if "trigger" in options:
            why = "is for a camera in free run: a trigger may come twice to one part; leave it out"
            raise OptionError(f"{spelled(STILL_LIMIT)} {why}", STILL_LIMIT)
    row = _row_of(uri)
    options = {name: value for name, value in options.items() if value is not False}  # an option that was not taken
    if not row.runs_free_since or "trigger" not in options:
        _check_trigger(options, spelled)
    else:
        able = " or ".join(each.shown for each in ROWS if "trigger" in each.options)
        free = (
            f"leave out {spelled('trigger')}" if options["trigger"] != EXTERNAL else "use the stream, without a line,"
        )
        raise InputError(
            f"{without_password(uri)!r} cannot be triggered: {row.runs_free_since}; {free} to let it run free, or take "
            f"a camera that can be ({able})"
        )
    if "settings" in options:
        options["settings"] = as_settings(spelled("settings"), options["settings"])
    foreign = next((name for name in options if name not in row.known), None)
    if foreign is not None:
        owners = " and ".join(each.shown for each in ROWS if foreign in each.known) or "no camera"
        raise OptionError(
            f"{spelled(foreign)} is for {owners}, and this camera is {without_password(uri)!r}; leave it out", foreign
        )
    return row, options


def why_no_parts(uri: str, options: Mapping[str, Any]) -> str | None:
    """Why the frames of this camera cannot be those of the same parts as another camera's, by their part ids; or None.

    The demo line numbers its parts, and whoever triggers several cameras gives them one id for one part.
    """
    trigger = options.get("trigger")
    if trigger == HARDWARE:
        return "its own input triggers it, and its count of parts need not be that of another camera"
    return None if trigger or _row_of(uri).names_parts else "it runs free, and no frame says of which part it is"


def _check_trigger(options: Mapping[str, Any], spelled: Callable[[str], str]) -> None:
    """Raises `InputError` for a way of triggering and a deadline that are none."""
    trigger, deadline_s = options.get("trigger"), options.get("deadline_s")
    if trigger is not None and trigger not in TRIGGERS:
        raise InputError(f"{spelled('trigger')} is {described(trigger)}; expected one of {', '.join(TRIGGERS)}")
    if deadline_s is None:
        return
    if trigger is None:
        raise InputError(f"{spelled('deadline_s')} is from a trigger to its verdict; give {spelled('trigger')}, too")
    if as_seconds(spelled("deadline_s"), deadline_s) == 0:
        raise InputError(f"{spelled('deadline_s')} is 0, and no verdict is out at once; give more")


def _row_of(uri: str) -> CameraRow:
    """The kind of camera that `uri` names."""
    scheme, colon, rest = uri.partition(":")
    if re.fullmatch("[0-9]+", uri):
        return ROWS[0]
    if not uri or (not rest and uri.removesuffix(":") in _BY_COLON - _ALONE):
        raise SourceError(f"camera {uri!r} names nothing to open; expected {KNOWN}")
    for row in ROWS:
        if colon and scheme.lower() in row.schemes and (scheme.lower() in _BY_COLON or rest.startswith("//")):
            return row
        if uri.partition("?")[0] in row.schemes and not colon:
            return row
    return ROWS[-1]

"""A Jetson's CSI cameras: ``csi:0``, or ``csi:1?width=1280&height=720&framerate=60``, as a GStreamer pipeline."""

from functools import partial

from runtime.cameras.base import Found
from runtime.cameras.gstreamer import GstCapture, capture_of, has_element
from runtime.cameras.live import LiveSource
from runtime.errors import InputError, SetupError
from runtime.query import with_options

ELEMENT = "nvarguscamerasrc"
EXPECTED = "expected csi:0, or as in csi:0?width=1920&height=1080&framerate=30"
DEFAULTS = {"width": 1920, "height": 1080, "framerate": 30}  # pixels, pixels, frames a second
MOST = {"width": 16384, "height": 16384, "framerate": 1000}


def open_csi(
    uri: str, reconnect_limit: int | None = None, wait: bool = False, accept_size_change: bool = False
) -> LiveSource:
    """Raises `InputError` for options that are none or out of range, `SourceError` when it cannot be opened."""
    opener = partial(_capture, pipeline_of(uri), uri)
    return LiveSource(f"camera {uri}", opener, reconnect_limit, wait=wait, accept_size_change=accept_size_change)


def list_csi() -> list[Found]:
    """Whether this machine has a Jetson's camera element; its sensors can only be found by opening them. Nothing where
    the machine is no Jetson."""
    if not has_element(ELEMENT):
        return []
    return [Found("csi:0", "a Jetson's CSI camera, where one is connected; csi:1 is the next")]


def pipeline_of(uri: str) -> str:
    """The pipeline, without its sink: the sensor's picture in the camera unit's memory, copied out as BGRx."""
    place, given = with_options("the camera", uri, DEFAULTS, EXPECTED)
    number = place.partition(":")[2]
    options = {name: _whole(given.get(name, str(value)), MOST[name]) for name, value in DEFAULTS.items()}
    if not number.isdecimal() or None in options.values():
        raise InputError(f"the camera is {uri!r}; {EXPECTED}")
    return (
        f"{ELEMENT} sensor-id={int(number)} ! video/x-raw(memory:NVMM),format=NV12,"
        f"width={options['width']},height={options['height']},framerate={options['framerate']}/1 "
        "! nvvidconv ! video/x-raw,format=BGRx"
    )


def _whole(text: str, most: int) -> int | None:
    return int(text) if text.isdecimal() and 1 <= int(text) <= most else None


def _capture(text: str, uri: str) -> GstCapture:
    try:
        return capture_of(text, f"camera {uri}")
    except SetupError as error:
        if f'no element "{ELEMENT}"' not in str(error):
            raise
        raise SetupError(
            f"camera {uri} cannot be opened: this GStreamer has no {ELEMENT}, which a Jetson has from JetPack "
            "(package nvidia-l4t-gstreamer; in a container: -v /tmp/argus_socket:/tmp/argus_socket and NVIDIA's "
            "runtime); for another camera give its own --camera"
        ) from error

"""GigE Vision and USB3 Vision cameras by Aravis, Debian's: ``aravis:IP``, or ``aravis`` for the only one.

A camera of the network is opened by its address: by its name Aravis connects and no picture comes.
"""

import ipaddress
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import numpy as np

from runtime.cameras.base import Found
from runtime.cameras.driver.hosted import Driver
from runtime.cameras.genicam.capture import GenICamCapture, Trigger
from runtime.cameras.genicam.device import Buffer, Feature, Value
from runtime.cameras.genicam.opening import open_by
from runtime.errors import SetupError, SourceError

INSTALL = (
    "apt install aravis-tools gir1.2-aravis-0.8 libgirepository1.0-dev libcairo2-dev python3-dev gcc pkg-config, "
    "then pip install 'PyGObject<3.52'"
)
BUFFERS = 10
HEARTBEAT_S = 4.0  # longer than the 3 s after which GigE Vision has a camera give up a silent program
FAULTS = {
    "TIMEOUT": "a packet came too late",
    "MISSING_PACKETS": "packets were lost on the way; a larger network buffer or a smaller GevSCPSPacketSize may help",
    "WRONG_PACKET_ID": "a packet of another frame came",
    "SIZE_MISMATCH": "it is larger than the camera said",
    "FILLING": "it was not full yet",
    "ABORTED": "it was given up",
}


def aravis_driver(uri: str, settings: dict[str, str] | None = None, trigger: Trigger | None = None) -> Driver:
    """What opens the camera in a process of its own."""
    options = {"address": uri.partition(":")[2], "settings": settings or {}, "trigger": trigger}
    return Driver(uri, f"{__name__}:capture_of", options)


open_aravis = partial(open_by, aravis_driver)


def capture_of(address: str, settings: dict[str, str], trigger: Trigger | None = None) -> GenICamCapture:
    """A camera, opened in this process. Raises `SourceError`."""
    aravis = _library()
    shown = f"aravis:{address or _only(aravis)}"
    address = shown.partition(":")[2]
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise SetupError(
            f"{shown} is no address of a camera; give its IP address, such as aravis:192.168.0.10. "
            f"The cameras that answer are: {_listed(aravis)}"
        ) from None
    start_s = time.monotonic()
    try:
        with _said_as(f"opening {shown}"):
            camera = aravis.Camera.new(address)
    except SourceError as error:
        raise SourceError(f"{error}; the cameras that answer are: {_listed(aravis)}") from error
    device = camera.get_device()
    if isinstance(device, aravis.GvDevice) and not _has_control(device, start_s + HEARTBEAT_S):
        raise SourceError(f"{shown} is in use by another program; close it")
    with _said_as(f"stopping {shown}"):
        camera.stop_acquisition()  # it still sends to a program that died, and would not send here
    return GenICamCapture(AravisDevice(aravis, camera, shown), settings, trigger)


def _has_control(device: Any, end_s: float) -> bool:
    """Whether a GigE Vision camera obeys this program. One of a program that died is free after some seconds."""
    while not device.is_controller():
        with suppress(SourceError), _said_as("taking control"):
            if device.take_control():
                break
        if time.monotonic() >= end_s:
            return False
        time.sleep(0.25)
    return True


class AravisDevice:
    """A `Device` over `Aravis.Camera`."""

    def __init__(self, aravis: Any, camera: Any, shown: str) -> None:
        self.shown, self.drops = shown, 0
        self._aravis, self._camera = aravis, camera
        self._device = camera.get_device()
        self._stream: Any = None
        self._newest_only = self._lost = False
        self._device.connect("control-lost", self._note_loss)

    def _note_loss(self, device: Any) -> None:
        self._lost = True

    def feature(self, name: str) -> Feature | None:
        """See `Device.feature`."""
        aravis, device = self._aravis, self._device
        with _said_as(f"reading {name}"):
            if not device.is_feature_available(name):
                return None
            node = device.get_feature(name)
            if isinstance(node, aravis.GcCommand):
                return Feature(name, "command", None)
            if isinstance(node, aravis.GcEnumeration):
                entries = tuple(device.dup_available_enumeration_feature_values_as_strings(name))
                value, number = device.get_string_feature_value(name), device.get_integer_feature_value(name)
                return Feature(name, "enumeration", value, entries=entries, number=number)
            if isinstance(node, aravis.GcBoolean):
                return Feature(name, "boolean", device.get_boolean_feature_value(name))
            if isinstance(node, aravis.GcFloat):
                least, most = device.get_float_feature_bounds(name)
                return Feature(name, "float", device.get_float_feature_value(name), least, most)
            if isinstance(node, aravis.GcInteger):
                least, most = device.get_integer_feature_bounds(name)
                step = float(device.get_integer_feature_increment(name))
                return Feature(name, "integer", device.get_integer_feature_value(name), float(least), float(most), step)
            if isinstance(node, aravis.GcString):
                return Feature(name, "string", device.get_string_feature_value(name))
            return None

    def names(self) -> list[str]:
        """See `Device.names`."""
        return _names(self._device.get_genicam(), "Root")

    def write(self, feature: Feature, value: Value) -> None:
        """See `Device.write`."""
        write = {
            "integer": self._device.set_integer_feature_value,
            "float": self._device.set_float_feature_value,
            "boolean": self._device.set_boolean_feature_value,
            "enumeration": self._device.set_string_feature_value,
            "string": self._device.set_string_feature_value,
        }
        with _said_as(f"setting {feature.name}"):
            write[feature.kind](feature.name, value)

    def execute(self, name: str) -> None:
        """See `Device.execute`."""
        with _said_as(f"executing {name}"):
            self._device.execute_command(name)

    def start(self, newest_only: bool) -> None:
        """See `Device.start`."""
        self._newest_only = newest_only
        with _said_as("starting it"):
            self._stream = self._camera.create_stream(None, None)
            if self._stream is None:
                raise SourceError(f"{self.shown} cannot be started: Aravis has no stream for it")
            size = self._camera.get_payload()
            for _ in range(BUFFERS):
                self._stream.push_buffer(self._aravis.Buffer.new_allocate(size))
            self._camera.start_acquisition()

    def fetch(self, timeout_s: float) -> Buffer | None:
        """See `Device.fetch`."""
        if self._lost:
            raise SourceError(f"{self.shown} is gone: control of it was lost; check its cable and its power")
        fetched = self._stream.timeout_pop_buffer(round(timeout_s * 1e6))
        while fetched is not None and self._newest_only and self._is_whole(fetched):
            newer = self._stream.try_pop_buffer()
            if newer is None:
                break
            self._give_back(fetched)
            self.drops += 1
            fetched = newer
        if fetched is None:
            return None
        try:
            return self._buffer(fetched)
        finally:
            self._give_back(fetched)

    def is_alive(self) -> bool:
        """See `Device.is_alive`."""
        try:
            with _said_as("asking it"):
                return not self._lost and bool(self._device.get_integer_feature_value("Width"))
        except SourceError:
            return False

    def close(self) -> None:
        """See `Device.close`."""
        with _said_as("closing it"):
            if not self._lost:
                if self._stream is not None:
                    self._camera.stop_acquisition()
                if isinstance(self._device, self._aravis.GvDevice):
                    self._device.leave_control()  # else the camera is in use until it notices, for 3 s
        self._stream = None

    def _give_back(self, fetched: Any) -> None:
        # one whose first packet is lost later would have the number of the frame that it held before (0.8.26)
        fetched.set_frame_id(0)
        self._stream.push_buffer(fetched)

    def _is_whole(self, fetched: Any) -> bool:
        return bool(fetched.get_status() == self._aravis.BufferStatus.SUCCESS)

    def _buffer(self, fetched: Any) -> Buffer:
        counter = fetched.get_frame_id() or None
        camera_ns = fetched.get_timestamp() or None if counter else None
        if not self._is_whole(fetched):
            name = fetched.get_status().value_nick.upper().replace("-", "_")
            fault = f"an incomplete buffer: {FAULTS.get(name, name)}"
            return Buffer(np.zeros(0, np.uint8), 0, 0, 0, counter=counter, camera_ns=camera_ns, fault=fault)
        x_padding, _ = fetched.get_image_padding()
        return Buffer(
            np.frombuffer(fetched.get_image_data(), np.uint8),
            fetched.get_image_height(),
            fetched.get_image_width(),
            fetched.get_image_pixel_format() & 0xFFFFFFFF,
            x_padding,
            counter,
            camera_ns,
        )


def _library() -> Any:
    """Aravis with its Python bindings. Raises `SetupError` where they are missing."""
    try:
        import gi

        gi.require_version("Aravis", "0.8")
        from gi.repository import Aravis
    except (ImportError, ValueError) as error:
        raise SetupError(f"Aravis cannot be loaded ({error}); {INSTALL}") from error
    return Aravis


def _only(aravis: Any) -> str:
    """The address of the only camera there is. Raises `SourceError` where there is none or more than one."""
    aravis.update_device_list()
    if aravis.get_n_devices() != 1:
        raise SourceError(f"aravis names no camera and these answer: {_listed(aravis)}; give one as aravis:IP")
    return str(aravis.get_device_address(0))


def found_here() -> list[Found]:
    """The cameras that answer. Raises `SetupError` without Aravis."""
    found = _answering(_library())
    return found or [Found(None, "aravis:IP: no camera answers; check its cable, its power and its address")]


def _answering(aravis: Any) -> list[Found]:
    aravis.update_device_list()
    return [
        Found(f"aravis:{aravis.get_device_address(each)}", str(aravis.get_device_id(each)))
        for each in range(aravis.get_n_devices())
    ]


def _listed(aravis: Any) -> str:
    """The cameras that answer, for messages."""
    return ", ".join(f"{each.uri} ({each.text})" for each in _answering(aravis)) or "none"


def _names(genicam: Any, category: str) -> list[str]:
    """The names of the features in a category of the camera's description and in those below it."""
    node = genicam.get_node(category)
    if not hasattr(node, "get_features"):
        return [category]
    return [name for each in node.get_features() for name in _names(genicam, each)]


@contextmanager
def _said_as(what: str) -> Iterator[None]:
    """Errors of Aravis raised as `SourceError`, in one line."""
    from gi.repository import GLib

    try:
        yield
    except GLib.GError as error:
        raise SourceError(f"{what} failed: Aravis says {error.message!r}") from error

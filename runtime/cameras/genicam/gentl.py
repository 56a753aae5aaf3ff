"""Cameras of any maker by its GenTL producer: ``gentl:PRODUCER.cti``, ``gentl:PRODUCER.cti#ID``, or ``gentl``.

Without a file the producers are those in the folders of ``GENICAM_GENTL64_PATH``, where makers' installers put them.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from runtime.cameras.base import Found
from runtime.cameras.driver.hosted import Driver
from runtime.cameras.genicam.capture import GenICamCapture, Trigger
from runtime.cameras.genicam.device import Buffer, Feature, Kind, Value
from runtime.cameras.genicam.opening import open_by
from runtime.errors import SetupError, SourceError

PATH_VARIABLE = "GENICAM_GENTL64_PATH"
BUFFERS = 8
KINDS: dict[int, Kind] = {2: "integer", 3: "boolean", 4: "command", 5: "float", 6: "string", 9: "enumeration"}
READABLE, WRITABLE = (3, 4), (2, 4)  # GenApi's access modes: read only 3, write only 2, both 4
BUSY, NO_ACCESS = (4, 5, 6), 3  # GenTL's access status of a device
POLL_S = 1e-3  # the shortest fetch: a timeout of 0 waits for ever


def gentl_driver(uri: str, settings: dict[str, str] | None = None, trigger: Trigger | None = None) -> Driver:
    """What opens the camera in a process of its own."""
    producer, _, device = uri.partition(":")[2].partition("#")
    options = {"producer": producer, "device": device, "settings": settings or {}, "trigger": trigger}
    return Driver(uri, f"{__name__}:capture_of", options)


open_gentl = partial(open_by, gentl_driver)


def capture_of(producer: str, device: str, settings: dict[str, str], trigger: Trigger | None = None) -> GenICamCapture:
    """A camera, opened in this process; `device` is its id, serial number or model. Raises `SourceError`."""
    harvester = _harvester([str(path) for path in producers(producer)])
    found = harvester.device_info_list
    chosen = [each for each in found if device in ("", *_names(each))]
    if len(chosen) != 1:
        listed = ", ".join(f"#{_names(each)[0]} ({each.model})" for each in found) or "none"
        what = f"no camera #{device}" if device and not chosen else f"{len(chosen)} cameras"
        advice = "give one of them as gentl:PRODUCER.cti#ID" if found else "check its cable, its power and its address"
        raise SourceError(
            f"found {what} at {producer or PATH_VARIABLE}; the cameras that answer are: {listed}; {advice}"
        )
    shown = f"gentl:#{_names(chosen[0])[0]}"
    status = _or_none(lambda: int(chosen[0].access_status))
    if status in BUSY:
        raise SourceError(f"{shown} is in use by another program; close it")
    if status == NO_ACCESS:
        raise SourceError(f"{shown} may not be opened; check its address, and this user's right to its device")
    with _said_as(f"opening {shown}"):
        acquirer = harvester.create(found.index(chosen[0]))
    return GenICamCapture(GenTLDevice(harvester, acquirer, shown), settings, trigger)


def found_here() -> list[Found]:
    """The cameras that answer to the producers of `PATH_VARIABLE`, each asked alone. Raises `SetupError` without
    harvesters or producers, `SourceError` where a producer fails."""
    found = []
    for path in producers(""):
        harvester = _harvester([str(path)])
        cameras = [Found(f"gentl:{path}#{_names(each)[0]}", str(each.model)) for each in harvester.device_info_list]
        harvester.reset()
        none = f"gentl:{path}: no camera answers, or it is no producer; check the camera's cable, power and address"
        found += cameras or [Found(None, none)]
    return found


def _harvester(files: list[str]) -> Any:
    """Harvesters over producers, with a list of their cameras."""
    try:
        from harvesters.core import Harvester
    except ImportError as error:
        raise SetupError(
            f"harvesters cannot be loaded ({error}); pip install 'proctor[gentl]' (from a checkout: '.[gentl]')"
        ) from error
    logging.getLogger("harvesters").setLevel(logging.CRITICAL)  # what it logs is raised or counted here
    harvester = Harvester()
    for file in files:
        harvester.add_file(file)
    with _said_as("looking for cameras"):
        harvester.update()
    return harvester


def producers(given: str) -> list[Path]:
    """The producer's file that was given, or all in the folders of `PATH_VARIABLE`. Raises `SetupError` for none."""
    if given:
        path = Path(given)
        if not path.is_file():
            raise SetupError(
                f"there is no GenTL producer {given}; give the path of the .cti file of the camera's maker"
            )
        return [path]
    folders = [folder for folder in os.environ.get(PATH_VARIABLE, "").split(os.pathsep) if folder]
    found = [path for folder in folders for path in sorted(Path(folder).glob("*.cti"))]
    if not found:
        where = f"in {', '.join(folders)}" if folders else f"since {PATH_VARIABLE} is not set"
        raise SetupError(
            f"no GenTL producer was found {where}; install the one of the camera's maker, or give its path: "
            f"gentl:/path/of/producer.cti"
        )
    return found


class GenTLDevice:
    """A `Device` over `harvesters.core.ImageAcquirer`."""

    def __init__(self, harvester: Any, acquirer: Any, shown: str) -> None:
        self.shown, self.drops = shown, 0
        self._harvester, self._acquirer = harvester, acquirer
        self._nodes = acquirer.remote_device.node_map
        self._newest_only = False
        with suppress(SourceError):
            if self.feature("AcquisitionStop") is not None:
                self.execute("AcquisitionStop")  # it may still send to a program that died
        self._incomplete = 0
        acquirer.add_callback(acquirer.Events.INCOMPLETE_BUFFER, _Counted(self))

    def note_incomplete(self) -> None:
        """Called by harvesters, which gives such a buffer back by itself."""
        self._incomplete += 1

    def feature(self, name: str) -> Feature | None:
        """See `Device.feature`."""
        with _said_as(f"reading {name}"):
            node: Any = getattr(self._nodes, name, None)
            if not hasattr(node, "node"):
                return None
            kind, access = KINDS.get(int(node.node.principal_interface_type)), int(node.get_access_mode())
            if kind is None or access not in (*READABLE, *WRITABLE):
                return None
            writable = access in WRITABLE
            if kind == "command":
                return Feature(name, kind, None, writable=writable)
            value = node.value if access in READABLE else None
            if kind == "enumeration":
                return Feature(
                    name,
                    kind,
                    value,
                    entries=tuple(node.symbolics),
                    number=node.get_int_value() if value is not None else None,
                    writable=writable,
                )
            if kind in ("integer", "float"):
                step = float(node.inc) if kind == "integer" else None
                return Feature(name, kind, value, float(node.min), float(node.max), step, writable=writable)
            return Feature(name, kind, value, writable=writable)

    def names(self) -> list[str]:
        """See `Device.names`."""
        return [name for name in dir(self._nodes) if name[:1].isupper()]

    def write(self, feature: Feature, value: Value) -> None:
        """See `Device.write`."""
        with _said_as(f"setting {feature.name}"):
            getattr(self._nodes, feature.name).value = value

    def execute(self, name: str) -> None:
        """See `Device.execute`."""
        with _said_as(f"executing {name}"):
            getattr(self._nodes, name).execute()

    def start(self, newest_only: bool) -> None:
        """See `Device.start`."""
        self._newest_only = newest_only
        with _said_as("starting it"):
            self._acquirer.num_buffers = max(BUFFERS, self._acquirer.min_num_buffers)
            self._acquirer.start()

    def fetch(self, timeout_s: float) -> Buffer | None:
        """See `Device.fetch`. Of a buffer that is not whole harvesters tells no more than that it came."""
        with _said_as("waiting for a picture"):
            fetched = None if self._incomplete else self._acquirer.try_fetch(timeout=max(timeout_s, POLL_S))
            if fetched is None:
                return self._damaged() if self._incomplete else None
            while self._newest_only and _or_none(lambda: self._acquirer.data_streams[0].num_awaiting_delivery):
                newer = self._acquirer.try_fetch(timeout=POLL_S)
                if newer is None:
                    break
                fetched.queue()
                self.drops += 1
                fetched = newer
            return self._buffer(fetched)

    def is_alive(self) -> bool:
        """See `Device.is_alive`."""
        try:
            with _said_as("asking it"):
                node = self._nodes.PixelFormat
                node.node.invalidate_node()  # else the value is that of the last time
                return bool(node.value)
        except SourceError:
            return False

    def close(self) -> None:
        """See `Device.close`."""
        with _said_as("closing it"):
            self._acquirer.destroy()
            self._harvester.reset()

    def _damaged(self) -> Buffer:
        self._incomplete -= 1
        return Buffer(np.zeros(0, np.uint8), 0, 0, 0, fault="an incomplete buffer: parts of it were lost on the way")

    def _buffer(self, fetched: Any) -> Buffer:
        """Its bytes are copied, since the buffer goes back at once."""
        try:
            images = fetched.payload.components
            if not images:
                raise SourceError("a buffer without a picture came; turn chunk data and other components off")
            image = images[0]
            data = np.array(image.data, copy=True).view(np.uint8).reshape(-1)
            return Buffer(
                data,
                int(image.height),
                int(image.width),
                int(image.data_format_value) & 0xFFFFFFFF,
                int(_or_none(lambda: image.x_padding) or 0),
                _or_none(lambda: int(fetched.module.frame_id)),
                _or_none(lambda: int(fetched.module.timestamp_ns)),
            )
        finally:
            fetched.queue()


class _Counted:
    """What harvesters calls for a buffer that is not whole."""

    def __init__(self, device: GenTLDevice) -> None:
        self._device = device

    def emit(self, context: object = None) -> None:
        """See `harvesters.core.Callback`."""
        self._device.note_incomplete()


def _names(info: Any) -> list[str]:
    """What a camera can be called by: its id, serial number and model, those that its producer tells."""
    given = [_or_none(lambda name=name: str(getattr(info, name))) for name in ("id_", "serial_number", "model")]
    return [name for name in given if name]


def _or_none(read: Any) -> Any:
    """What `read` returns, or None where a producer does not tell it."""
    from genicam.gentl import GenericException

    try:
        return read()
    except GenericException:
        return None


@contextmanager
def _said_as(what: str) -> Iterator[None]:
    """Errors of the producer and of GenApi raised as `SourceError`, in one line."""
    from genicam import genapi, gentl

    try:
        yield
    except (gentl.GenericException, genapi.GenericException) as error:
        said = " ".join(str(error).split("(file")[0].split())
        raise SourceError(f"{what} failed: {said!r}") from error

"""Basler's cameras by pylon: ``pylon:SERIAL``, or ``pylon`` for the only one.

``PYLON_CAMEMU=2`` in the environment gives two emulated cameras.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime.cameras.base import Found
from runtime.cameras.driver.hosted import Driver
from runtime.cameras.genicam.capture import GenICamCapture, Trigger
from runtime.cameras.genicam.device import Buffer, Feature, Kind, Value
from runtime.cameras.genicam.opening import open_by
from runtime.errors import SetupError, SourceError

if TYPE_CHECKING:
    from pypylon import pylon

BUFFERS = 10  # that wait for the reader; of a triggered camera none is dropped before they are full
READY_MS = 1000
# the numbers of GenApi's interface types
KINDS: dict[int, Kind] = {2: "integer", 3: "boolean", 4: "command", 5: "float", 6: "string", 9: "enumeration"}
GONE = ("was removed", "device has been removed", "not open")


def pylon_driver(uri: str, settings: dict[str, str] | None = None, trigger: Trigger | None = None) -> Driver:
    """What opens the camera in a process of its own."""
    serial = uri.partition(":")[2]
    options = {"serial": serial, "settings": settings or {}, "trigger": trigger}
    return Driver(uri, f"{__name__}:capture_of", options)


open_pylon = partial(open_by, pylon_driver)


def capture_of(serial: str, settings: dict[str, str], trigger: Trigger | None = None) -> GenICamCapture:
    """A camera of Basler's, opened in this process. Raises `SourceError`."""
    pylon = _library()
    with _said_as("opening it"):
        factory = pylon.TlFactory.GetInstance()
        found = factory.EnumerateDevices()
    chosen = [each for each in found if serial in ("", each.GetSerialNumber())]
    if len(chosen) != 1:
        listed = ", ".join(f"pylon:{each.GetSerialNumber()} ({each.GetModelName()})" for each in found) or "none"
        what = f"no camera pylon:{serial}" if serial else f"{len(found)} cameras of Basler's"
        advice = "give one of them" if found else "check its cable, its power and its address"
        raise SourceError(f"found {what}; the cameras that answer are: {listed}; {advice}")
    info = chosen[0]
    shown = f"pylon:{info.GetSerialNumber()}"
    if not factory.IsDeviceAccessible(info):
        raise SourceError(
            f"{shown} is in use by another program or this user may not open it; close other programs that use it "
            f"(pylon Viewer), and for USB run pylon's setup-usb.sh once"
        )
    with _said_as(f"opening {shown}"):
        camera = pylon.InstantCamera(factory.CreateDevice(info))
        camera.Open()
    return GenICamCapture(PylonDevice(camera, shown), settings, trigger)


def found_here() -> list[Found]:
    """Basler's cameras that answer. Raises `SetupError` without pylon, `SourceError` where it fails."""
    pylon = _library()
    with _said_as("looking for cameras"):
        found = pylon.TlFactory.GetInstance().EnumerateDevices()
    if not found:
        return [Found(None, "pylon:SERIAL: no camera of Basler's answers; check its cable, its power and its address")]
    return [Found(f"pylon:{each.GetSerialNumber()}", str(each.GetModelName())) for each in found]


def _library() -> Any:
    """Raises `SetupError` where pypylon is missing."""
    try:
        from pypylon import pylon
    except ImportError as error:
        raise SetupError(
            f"pypylon cannot be loaded ({error}); pip install 'proctor[pylon]' (from a checkout: '.[pylon]')"
        ) from error
    return pylon


class PylonDevice:
    """A `Device` over `pylon.InstantCamera`."""

    drops = 0

    def __init__(self, camera: "pylon.InstantCamera", shown: str) -> None:
        from pypylon import genicam, pylon

        self.shown, self._camera, self._genicam, self._pylon = shown, camera, genicam, pylon
        self._nodes = camera.GetNodeMap()
        self._tick_ns = 1.0

    def feature(self, name: str) -> Feature | None:
        """See `Device.feature`."""
        with _said_as(f"reading {name}"):
            node = self._node(name)
            if node is None:
                return None
            kind = KINDS.get(node.GetNode().GetPrincipalInterfaceType())
            if kind is None:
                return None
            writable = self._genicam.IsWritable(node)
            if kind == "command":
                return Feature(name, kind, None, writable=writable)
            value = node.GetValue() if self._genicam.IsReadable(node) else None
            if kind == "enumeration":
                return Feature(
                    name,
                    kind,
                    value,
                    entries=tuple(node.GetSymbolics()),
                    number=node.GetIntValue() if value is not None else None,
                    writable=writable,
                )
            if kind in ("integer", "float"):
                step = float(node.GetInc()) if kind == "integer" else None
                return Feature(name, kind, value, float(node.GetMin()), float(node.GetMax()), step, writable=writable)
            return Feature(name, kind, value, writable=writable)

    def names(self) -> list[str]:
        """See `Device.names`."""
        with _said_as("listing its features"):
            return [str(node.GetNode().GetName()) for node in self._nodes.GetNodes()]

    def write(self, feature: Feature, value: Value) -> None:
        """See `Device.write`."""
        with _said_as(f"setting {feature.name}"):
            self._nodes.GetNode(feature.name).SetValue(value)

    def execute(self, name: str) -> None:
        """See `Device.execute`."""
        with _said_as(f"executing {name}"):
            self._nodes.GetNode(name).Execute()

    def start(self, newest_only: bool) -> None:
        """See `Device.start`. A camera that waits for triggers is ready for the first one when this returns."""
        pylon = self._pylon
        strategy = pylon.GrabStrategy_LatestImageOnly if newest_only else pylon.GrabStrategy_OneByOne
        with _said_as("starting it"):
            self._camera.MaxNumBuffer.SetValue(BUFFERS)
            frequency = self._node("GevTimestampTickFrequency")
            if frequency is not None and frequency.GetValue() > 0:
                self._tick_ns = 1e9 / frequency.GetValue()
            self._camera.StartGrabbing(strategy)
            if not newest_only:
                with suppress(self._genicam.GenericException):  # some cameras do not tell
                    self._camera.WaitForFrameTriggerReady(READY_MS, pylon.TimeoutHandling_Return)

    def fetch(self, timeout_s: float) -> Buffer | None:
        """See `Device.fetch`."""
        pylon = self._pylon
        with _said_as("waiting for a picture"):
            if self._camera.IsCameraDeviceRemoved():
                raise SourceError(f"{self.shown} is gone; check its cable and its power")
            result = self._camera.RetrieveResult(round(timeout_s * 1000), pylon.TimeoutHandling_Return)
            if not result.IsValid():
                return None
            try:
                self.drops += result.GetNumberOfSkippedImages()
                return self._buffer(result)
            finally:
                result.Release()

    def is_alive(self) -> bool:
        """See `Device.is_alive`."""
        try:
            with _said_as("asking it"):
                if self._camera.IsCameraDeviceRemoved():
                    return False
                node = self._nodes.GetNode("PixelFormat")
                node.GetNode().InvalidateNode()  # else the value is that of the last time
                return bool(node.GetValue())
        except SourceError:
            return False

    def close(self) -> None:
        """See `Device.close`."""
        with _said_as("closing it"):
            self._camera.StopGrabbing()
            self._camera.Close()

    def _node(self, name: str) -> Any:
        """A feature that is there and can be had now, or None."""
        try:
            node = self._nodes.GetNode(name)
        except self._genicam.LogicalErrorException:  # as pypylon 4.2 says that there is none
            return None
        return node if node is not None and self._genicam.IsAvailable(node) else None

    def _buffer(self, result: Any) -> Buffer:
        stamp, counter = result.GetTimeStamp(), result.GetBlockID()
        camera_ns = round(stamp * self._tick_ns) if stamp else None  # the emulation has none
        unknown = 2**64 - 1
        counter = None if counter == unknown else counter
        if not result.GrabSucceeded():
            fault = f"{self.shown} says: {result.GetErrorDescription().strip().rstrip('.') or 'the grab failed'}"
            return Buffer(np.zeros(0, np.uint8), 0, 0, 0, counter=counter, camera_ns=camera_ns, fault=fault)
        return Buffer(
            np.frombuffer(result.GetBuffer(), np.uint8),
            result.GetHeight(),
            result.GetWidth(),
            result.GetPixelType() & 0xFFFFFFFF,
            result.GetPaddingX(),
            counter,
            camera_ns,
        )


@contextmanager
def _said_as(what: str) -> Iterator[None]:
    """Errors of pylon raised as `SourceError`, in one line."""
    from pypylon import genicam

    try:
        yield
    except genicam.GenericException as error:
        said = " ".join(str(error).split(" : ")[0].split())
        raise SourceError(f"{what} failed: pylon says {said!r}") from error

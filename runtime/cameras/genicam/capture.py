"""A camera with a GenICam description as a capture: free running, or one exposure for each trigger."""

import time
from collections.abc import Mapping
from typing import Literal

from runtime.cameras.capture import Damaged, Picture, Shot
from runtime.cameras.genicam.device import Buffer, Device
from runtime.cameras.genicam.features import apply
from runtime.cameras.genicam.pixel_formats import FORMATS, to_bgr
from runtime.errors import ImageError, SetupError, SourceError

Trigger = Literal["software", "hardware"]
STEP_S = 0.25  # of waiting, between which others may be heard
ABSENT_S = 2.0  # without a picture, after which the camera is asked whether it is there
SILENT_S = 10.0  # without a picture of a camera that runs freely, after which it is lost
PFNC_MONO = 0x01000000  # the lowest code; none is below
GVSP_16_BIT = 0xFFFF  # GigE Vision 1 numbers its blocks from 1 to this and goes on at 1


class GenICamCapture:
    """A `Capture` and `TriggeredCapture` of an open device, which it owns."""

    pairs_by = "frame counter"

    def __init__(self, device: Device, settings: Mapping[str, str], trigger: Trigger | None = None) -> None:
        """Make the settings and let pictures come. Raises `SourceError`; the device is then closed.

        With a `trigger` the camera exposes a frame at each software trigger, or at each of its input, which is Line1
        unless `settings` name another TriggerSource.
        """
        self._device, self._trigger = device, trigger
        self._unwrap = Unwrapped()
        try:
            if trigger is not None:
                apply(device, _arrangement(device, settings, trigger))
            apply(device, settings)
            _check_pixel_format(device)
            self._waits_for_triggers = trigger is not None or _is_triggered(device)
            device.start(newest_only=trigger is None)
        except BaseException:
            device.close()
            raise
        self._heard_s = self._asked_s = time.monotonic()  # the last picture, and the last question whether it is there

    @property
    def drops(self) -> int:
        """See `Capture.drops`."""
        return self._device.drops

    def read(self) -> Shot:
        """See `Capture.read`. A camera that waits for triggers may be silent for as long as it answers."""
        while True:
            shot = self.wait(STEP_S)
            if shot is not None:
                return shot

    def wait(self, timeout_s: float) -> Shot | None:
        """See `TriggeredCapture.wait`. A camera that runs freely is lost after 10 s without a picture."""
        buffer = self._device.fetch(timeout_s)
        if buffer is None:
            if self._trigger is None:
                self._check_silence()
            return None
        captured_s, captured_at = time.monotonic(), time.time()
        self._heard_s = self._asked_s = captured_s
        counter = None if buffer.counter is None else self._unwrap(buffer.counter)
        picture = _picture(buffer)
        sent_as = None if isinstance(picture, Damaged) else FORMATS[buffer.pixel_format].name
        return Shot(picture, captured_s, captured_at, counter, buffer.camera_ns, sent_as=sent_as)

    def trigger(self) -> None:
        """See `TriggeredCapture.trigger`."""
        if self._trigger != "software":
            raise SourceError(f"{self._device.shown} was not opened for software triggers; open it with that trigger")
        self._device.execute("TriggerSoftware")

    def is_alive(self) -> bool:
        """See `TriggeredCapture.is_alive`."""
        return self._device.is_alive()

    def release(self) -> None:
        """See `Capture.release`."""
        self._device.close()

    def _check_silence(self) -> None:
        """Raise `SourceError` for a camera that runs freely and is silent, and for one that no longer answers."""
        now, shown = time.monotonic(), self._device.shown
        if not self._waits_for_triggers and now - self._heard_s >= SILENT_S:
            raise SourceError(f"{shown} sent no picture for {SILENT_S:g} s though it runs freely; check its cable")
        if now - self._asked_s >= ABSENT_S:
            self._asked_s = now
            if not self.is_alive():
                raise SourceError(f"{shown} sent no picture for {now - self._heard_s:.0f} s and does not answer")


class Unwrapped:
    """A frame counter that goes on where GigE Vision's 16 bits begin again, at 1. Frames may come out of order."""

    def __init__(self) -> None:
        self._last, self._rounds = 0, 0

    def __call__(self, counter: int) -> int:
        """The counter without its wrap; one of more than 16 bits is left as it is."""
        if counter > GVSP_16_BIT or self._last > GVSP_16_BIT:
            self._last = counter
            return counter
        late = counter - self._last > GVSP_16_BIT // 2 and self._rounds > 0  # of the round before
        if not late:
            self._rounds += self._last - counter > GVSP_16_BIT // 2
            self._last = counter
        return counter + (self._rounds - late) * GVSP_16_BIT


def _picture(buffer: Buffer) -> Picture:
    if buffer.fault is not None:
        return Damaged(buffer.fault)
    try:
        return to_bgr(buffer.pixel_format, buffer.data, buffer.height, buffer.width, buffer.row_padding)
    except ImageError as error:
        return Damaged(str(error))


def _arrangement(device: Device, settings: Mapping[str, str], trigger: Trigger) -> dict[str, str]:
    """What a camera needs to be triggered, but for what `settings` say of it."""
    if device.feature("TriggerMode") is None:
        raise SetupError(f"{device.shown} has no TriggerMode: it cannot be triggered; leave --trigger out")
    source = settings.get("TriggerSource")
    if trigger == "software" and source not in (None, "Software"):
        raise SetupError(f"TriggerSource={source} is no software trigger; leave it out, or trigger by hardware")
    if trigger == "hardware" and source == "Software":
        raise SetupError("TriggerSource=Software is no input of the camera; name one, such as TriggerSource=Line1")
    selector = device.feature("TriggerSelector")
    wanted = {
        "TriggerSelector": "FrameStart" if selector and "FrameStart" in selector.entries else None,
        "TriggerMode": "On",
        "TriggerSource": "Software" if trigger == "software" else "Line1",
    }
    if settings.get("TriggerMode", "On") != "On":
        raise SetupError(f"TriggerMode={settings['TriggerMode']} and a trigger exclude each other; leave one out")
    return {name: value for name, value in wanted.items() if value is not None and name not in settings}


def _is_triggered(device: Device) -> bool:
    mode = device.feature("TriggerMode")
    return mode is not None and mode.value == "On"


def _check_pixel_format(device: Device) -> None:
    """Refuse a pixel format that is not known before the first picture, with those that the camera has and are."""
    feature = device.feature("PixelFormat")
    # an entry's number is the PFNC code by the standard; where it is none, the first buffer tells
    if feature is None or feature.number is None or feature.number < PFNC_MONO or feature.number in FORMATS:
        return
    known = {form.name for form in FORMATS.values()}
    possible = [entry for entry in feature.entries if entry in known or entry.removesuffix("Packed") in known]
    advice = f"set one of {', '.join(possible)}: --camera-set PixelFormat={possible[0]}" if possible else "none is"
    raise SetupError(f"{device.shown} sends {feature.value}, a pixel format that is not known; {advice}")

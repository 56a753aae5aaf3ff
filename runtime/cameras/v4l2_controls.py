"""Controls of a V4L2 camera, such as its exposure time, by the names that ``v4l2-ctl --list-ctrls`` shows.

The kernel's interface, linux/videodev2.h: ioctl numbers and structures as on all Linux machines of today (64 bits).
"""

import errno
import fcntl
import os
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from runtime.errors import SetupError, SourceError

# struct v4l2_capability: driver, card, bus_info, version, capabilities, device_caps, reserved
CAPABILITY = struct.Struct("=16s32s32sIII12x")
# struct v4l2_queryctrl: id, type, name, minimum, maximum, step, default_value, flags, reserved
QUERYCTRL = struct.Struct("=II32siiiiI8x")
CONTROL = struct.Struct("=Ii")  # struct v4l2_control: id, value
QUERYMENU = struct.Struct("=II32s4x")  # struct v4l2_querymenu: id, index, name (or a 64-bit value), reserved

VIDIOC_QUERYCAP = 0x80685600
VIDIOC_G_CTRL = 0xC008561B
VIDIOC_S_CTRL = 0xC008561C
VIDIOC_QUERYCTRL = 0xC0445624
VIDIOC_QUERYMENU = 0xC02C5625

NEXT_CTRL = 0x80000000
CAP_VIDEO_CAPTURE, CAP_VIDEO_CAPTURE_MPLANE, CAP_DEVICE_CAPS = 0x1, 0x1000, 0x80000000
DISABLED, GRABBED, READ_ONLY, INACTIVE = 0x1, 0x2, 0x4, 0x10  # V4L2_CTRL_FLAG_…
INTEGER, BOOLEAN, MENU, BUTTON, BITMASK, INTEGER_MENU = 1, 2, 3, 4, 8, 9  # V4L2_CTRL_TYPE_…; others take no number
TRUTH = {"true": 1, "false": 0, "on": 1, "off": 0}
ANYTHING_MORE = 1024  # controls of one camera: an end for drivers that never come to one


@dataclass(frozen=True)
class Control:
    """One control of a camera, as its driver describes it."""

    id: int
    kind: int
    name: str  # as v4l2-ctl spells it
    least: int
    most: int
    step: int
    default: int
    flags: int
    menu: Mapping[int, str]  # the entries of a menu, by number

    @property
    def range(self) -> str:
        """What it takes, in words."""
        if self.menu:
            return "one of " + ", ".join(f"{number} ({name})" for number, name in self.menu.items())
        if self.kind == BOOLEAN:
            return "0 or 1"
        step = f" in steps of {self.step}" if self.step > 1 else ""
        return f"{self.least} to {self.most}{step} (default {self.default})"


def set_controls(path: str, settings: Mapping[str, str]) -> None:
    """Set controls of the camera at a path (``/dev/video0``), in the order given, and read each back.

    Raises `SetupError` for a control that the camera does not have, or does not take, or holds at another value, with
    what it does take; `SourceError` where the device cannot be opened.
    """
    try:
        device = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except OSError as error:
        raise SourceError(f"{path} cannot be opened for its settings ({error.strerror})") from error
    try:
        for name, value in settings.items():
            controls = {control.name: control for control in list_controls(device)}  # one changes what others allow
            if name not in controls:
                known = ", ".join(controls) or "no settings at all"
                raise SetupError(f"{path} has no setting {name!r}; it has {known}")
            _set(device, path, controls[name], value)
    finally:
        os.close(device)


def list_controls(device: int) -> list[Control]:
    """The controls of an open camera that can be used, in the driver's order. None where it has none."""
    controls: list[Control] = []
    last = 0
    for _ in range(ANYTHING_MORE):
        try:
            answer = fcntl.ioctl(device, VIDIOC_QUERYCTRL, QUERYCTRL.pack(last | NEXT_CTRL, 0, b"", 0, 0, 0, 0, 0))
        except OSError:  # EINVAL after the last one, ENOTTY where there is no camera behind the file
            break
        last, kind, name, least, most, step, default, flags = QUERYCTRL.unpack(answer)
        if kind in (INTEGER, BOOLEAN, MENU, BUTTON, BITMASK, INTEGER_MENU) and not flags & DISABLED:
            menu = _menu(device, last, kind, least, most) if kind in (MENU, INTEGER_MENU) else {}
            controls.append(Control(last, kind, _spelled(name), least, most, step, default, flags, menu))
    return controls


def card_of(path: str) -> tuple[str, bool] | None:
    """What a camera calls itself, and whether it delivers pictures; None for what is no camera or cannot be opened."""
    try:
        device = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        answer = fcntl.ioctl(device, VIDIOC_QUERYCAP, bytes(CAPABILITY.size))
    except OSError:
        return None
    finally:
        os.close(device)
    _, card, _, _, all_of_it, of_this_node = CAPABILITY.unpack(answer)
    able = of_this_node if all_of_it & CAP_DEVICE_CAPS else all_of_it
    return _text(card), bool(able & (CAP_VIDEO_CAPTURE | CAP_VIDEO_CAPTURE_MPLANE))


def _set(device: int, path: str, control: Control, text: str) -> None:
    value = _number(path, control, text)
    try:
        fcntl.ioctl(device, VIDIOC_S_CTRL, CONTROL.pack(control.id, value))
    except OSError as error:
        raise SetupError(_refused(path, control, text, error)) from error
    if control.kind == BUTTON:
        return
    held = _held(device, path, control)
    if held != value:
        raise SetupError(f"{path} holds {control.name} at {held} and does not take {text}; expected {control.range}")
    if control.flags & INACTIVE:
        raise SetupError(
            f"{path} does not use {control.name} now: another setting has it under automatic control; "
            f"give that one before it (such as auto_exposure=1, exposure_auto=1 or white_balance_automatic=0)"
        )


def _held(device: int, path: str, control: Control) -> int:
    """The value that the camera holds now."""
    try:
        _, held = CONTROL.unpack(fcntl.ioctl(device, VIDIOC_G_CTRL, CONTROL.pack(control.id, 0)))
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EINVAL):
            raise SetupError(f"{path} does not tell what {control.name} is ({error.strerror}); leave it out") from error
        raise SourceError(
            f"{path} took {control.name} and does not answer any more ({error.strerror}); check its cable"
        ) from error
    return int(held)


def _number(path: str, control: Control, text: str) -> int:
    """The number of a value: itself, a word of a truth value, or the name of a menu's entry."""
    by_name = {name.lower(): number for number, name in control.menu.items()}
    if control.kind == BOOLEAN and text.lower() in TRUTH:
        return TRUTH[text.lower()]
    if text.lower() in by_name:
        return by_name[text.lower()]
    if control.kind == BUTTON and not text:
        return 0
    try:
        value = int(text, 0)
    except ValueError:
        value = None
    off = value is None or (control.kind != BITMASK and control.kind != BUTTON and not _allows(control, value))
    if value is None or off:
        raise SetupError(f"{path} does not take {control.name}={text}; expected {control.range}")
    return value if value < 1 << 31 else value - (1 << 32)  # a bit mask with its highest bit


def _allows(control: Control, value: int) -> bool:
    if control.menu:
        return value in control.menu
    return control.least <= value <= control.most and (value - control.least) % max(1, control.step) == 0


def _refused(path: str, control: Control, text: str, error: OSError) -> str:
    if control.flags & READ_ONLY:
        return f"{path} lets nobody set {control.name}: it can only be read"
    if control.flags & GRABBED or error.errno == errno.EBUSY:
        return f"{path} holds {control.name} while another program uses the camera; close that program"
    return f"{path} refuses {control.name}={text} ({error.strerror}); expected {control.range}"


def _menu(device: int, control: int, kind: int, least: int, most: int) -> dict[int, str]:
    entries = {}
    for number in range(least, min(most, least + ANYTHING_MORE) + 1):
        try:
            answer = fcntl.ioctl(device, VIDIOC_QUERYMENU, QUERYMENU.pack(control, number, b""))
        except OSError:  # menus have holes
            continue
        _, _, name = QUERYMENU.unpack(answer)
        entries[number] = _text(name) if kind == MENU else str(struct.unpack_from("=q", name)[0])
    return entries


def _text(name: bytes) -> str:
    return name.partition(b"\0")[0].decode("utf-8", "replace")


def _spelled(name: bytes) -> str:
    """``Exposure Time, Absolute`` as ``exposure_time_absolute``: small letters and digits, and _ for all between."""
    return re.sub("[^a-z0-9]+", "_", _text(name).lower()).rstrip("_")

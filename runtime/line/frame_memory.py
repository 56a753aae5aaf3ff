"""The pictures that a controller hands over in shared memory: a memfd of equal slots, read and never mapped.

It is read with `preadv`, one copy into an array of our own. A mapping would end this process with SIGBUS where the
machine has no memory left for a page that the controller never wrote; a read returns an error, and that part gets no
pass. That the memory cannot shrink is asked for all the same: a controller that could cut it off has a fault that is
better seen when it connects.
"""

import fcntl
import os
import stat
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.closing import Closing
from runtime.errors import InputError, LineError
from runtime.line.wire import MOST_SIDE, MOST_SLOT_BYTES, MOST_SLOTS, PixelFormat

CHANNELS = {PixelFormat.MONO8: 1, PixelFormat.BGR8: 3}


class FrameMemory(Closing):
    """A controller's slots. It closes the descriptor."""

    def __init__(self, descriptor: int, slots: int, slot_bytes: int) -> None:
        """Raises `LineError` for memory that is not what it has to be; the descriptor is then closed."""
        self._descriptor, self.slots, self.slot_bytes = descriptor, slots, slot_bytes
        try:
            self._check()
        except BaseException:
            self.close()
            raise

    def read(self, trigger: Mapping[str, Any]) -> NDArray[np.uint8]:
        """The picture that a trigger describes, uint8 [H, W, 3], BGR, as a copy that belongs to the caller.

        Raises `InputError` for a description that `problem` finds fault with, and where not all of it can be read.
        """
        if (problem := self.problem(trigger)) is not None:
            raise InputError(problem)
        height, width, channels, stride = _shape(trigger)
        needed = (height - 1) * stride + width * channels
        rows: NDArray[np.uint8] = np.empty((height, stride), np.uint8)
        try:
            read = os.preadv(self._descriptor, [rows.reshape(-1)[:needed].data], trigger["slot"] * self.slot_bytes)
        except OSError as error:
            raise InputError(f"slot {trigger['slot']} cannot be read ({error.strerror})") from error
        if read != needed:
            raise InputError(f"slot {trigger['slot']} ended after {read:,} bytes of {needed:,}")
        pixels = rows[:, : width * channels]
        if channels == 1:
            return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR), np.uint8)
        return np.ascontiguousarray(pixels).reshape(height, width, 3)

    def problem(self, trigger: Mapping[str, Any]) -> str | None:
        """What in a trigger cannot be a picture in this memory, in words, or None."""
        if trigger["slot"] >= self.slots:
            return f"slot {trigger['slot']}; there are {self.slots}, from 0"
        if trigger["pixel_format"] not in CHANNELS:
            return f"pixel format {trigger['pixel_format']}; expected 1 (MONO8) or 2 (BGR8)"
        height, width, channels, stride = _shape(trigger)
        if not (0 < width <= MOST_SIDE and 0 < height <= MOST_SIDE):
            return f"a picture of {width}×{height} pixels; expected 1 to {MOST_SIDE:,} each"
        if stride < width * channels:
            return f"a stride of {stride:,} bytes; a row of {width} pixels has {width * channels:,}"
        needed = (height - 1) * stride + width * channels
        if needed > self.slot_bytes:
            return f"a picture of {needed:,} bytes; a slot has {self.slot_bytes:,}"
        return None

    def close(self) -> None:
        """Close the descriptor."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _check(self) -> None:
        if not 1 <= self.slots <= MOST_SLOTS:
            raise LineError(f"{self.slots:,} slots; expected 1 to {MOST_SLOTS}")
        if not 1 <= self.slot_bytes <= MOST_SLOT_BYTES:
            raise LineError(f"slots of {self.slot_bytes:,} bytes; expected 1 to {MOST_SLOT_BYTES:,}")
        found = os.fstat(self._descriptor)
        try:
            seals = fcntl.fcntl(self._descriptor, fcntl.F_GET_SEALS)
        except OSError as error:
            raise LineError("the descriptor is no memfd; make one with memfd_create(MFD_ALLOW_SEALING)") from error
        if not stat.S_ISREG(found.st_mode) or not seals & fcntl.F_SEAL_SHRINK:
            raise LineError("the shared memory can be shrunk; seal it with fcntl(F_ADD_SEALS, F_SEAL_SHRINK)")
        if found.st_size < self.slots * self.slot_bytes:
            raise LineError(
                f"the shared memory has {found.st_size:,} bytes; {self.slots} slots of {self.slot_bytes:,} need more"
            )


def _shape(trigger: Mapping[str, Any]) -> tuple[int, int, int, int]:
    """Height, width, channels, and bytes from row to row; a picture of one row has no next."""
    height, width = trigger["height"], trigger["width"]
    channels = CHANNELS[PixelFormat(trigger["pixel_format"])]
    stride: int = width * channels if height == 1 or trigger["stride"] == 0 else trigger["stride"]
    return height, width, channels, stride

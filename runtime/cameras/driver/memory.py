"""Shared memory for pictures: slots of equal size in a file without a name, gone with the last of its users."""

import mmap
import os

import numpy as np
from numpy.typing import NDArray

SLOTS = 4


class Slots:
    """The same memory in both processes: the child writes a picture, the parent copies it and gives the slot back."""

    def __init__(self, descriptor: int, slot_bytes: int, slots: int) -> None:
        """Owns the descriptor."""
        self.descriptor, self.slot_bytes, self.count = descriptor, slot_bytes, slots
        try:
            self._memory = mmap.mmap(descriptor, slot_bytes * slots)
        except BaseException:
            os.close(descriptor)
            raise
        self._bytes: NDArray[np.uint8] | None = np.frombuffer(self._memory, np.uint8)

    @classmethod
    def create(cls, slot_bytes: int) -> "Slots":
        """New memory, for pictures of up to `slot_bytes`."""
        descriptor = os.memfd_create("proctor-pictures", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, slot_bytes * SLOTS)
        return cls(descriptor, slot_bytes, SLOTS)

    def picture(self, slot: int, height: int, width: int) -> NDArray[np.uint8]:
        """The pixels [H, W, 3] in a slot: a view, until it is given back."""
        assert self._bytes is not None
        start, size = slot * self.slot_bytes, height * width * 3
        assert 0 <= slot < self.count
        assert size <= self.slot_bytes
        return self._bytes[start : start + size].reshape(height, width, 3)

    def close(self) -> None:
        """Let go of the memory. Twice is allowed."""
        if self._bytes is not None:
            self._bytes = None
            self._memory.close()
            os.close(self.descriptor)

"""The pictures of parts under way, between whoever receives them and the inference loop."""

import threading
import time
from collections.abc import Callable

from runtime.frames import Frame, missing_frame
from runtime.line.handshake import BUFFER, Acquisition


class Pictures:
    """Pictures by acquisition. From any thread.

    No more are kept than parts can be under way, so that a loop that hangs costs no memory.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` is the handshake's."""
        self._frames: dict[int, Frame] = {}
        self._changed = threading.Condition()
        self._clock = clock

    def put(self, acquisition_id: int, frame: Frame) -> None:
        """The picture of a part; of no earlier part than the one before."""
        with self._changed:
            self._frames[acquisition_id] = frame
            while len(self._frames) > BUFFER:
                del self._frames[min(self._frames)]
            self._changed.notify_all()

    def take(self, acquisition: Acquisition) -> Frame:
        """A part's picture, or a frame with that problem where none came before its deadline."""
        number = acquisition.acquisition_id
        with self._changed:
            left_s = acquisition.deadline_s - self._clock()
            if not self._changed.wait_for(lambda: number in self._frames, max(0.0, left_s)):
                return missing_frame(number, "no picture of the part came before its deadline")
            return self._frames.pop(number)

    def forget(self) -> None:
        """Nobody waits for the pictures any more."""
        with self._changed:
            self._frames.clear()

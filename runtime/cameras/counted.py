"""Which part a picture is of where the camera's own input triggers it: its counter of frames numbers the parts.

The argument. This program sends no trigger and hears of none; what it knows are the pictures. The counter goes up by
one with each exposure, so the picture whose counter is n above the first one's is of part n, whatever was lost, delayed
or doubled in between. A number that is left out is a part without a picture, and said as soon as a later one arrives.
The number of the last picture again, or one that was said to be missing, is thrown away. What cannot be known: a pulse
at the input that the camera ignores changes no counter; a line that must know of it compares its own count of parts.
"""

import math
from collections.abc import Sequence

from runtime.cameras.camera_clock import DRIFT
from runtime.cameras.pairing import REMEMBERED_GAPS, Match
from runtime.errors import SourceError

MOST_LOST = 1000  # parts between two pictures; a longer way is another counter


class CountedParts:
    """Numbers parts from 0 on by a camera's counter. For one thread at a time."""

    def __init__(self) -> None:
        self.lost = 0  # parts without a picture
        self._next_part = 0
        self._counter: int | None = None  # of the last picture
        self._missing: list[int] = []  # counters, the last that were left out
        self._offset_s, self._offset_at_s = math.inf, 0.0  # of this machine's clock over the camera's; see `exposed_s`

    def restart(self) -> None:
        """The camera was opened again: its counter and clock may be others, and the parts go on."""
        self._counter, self._offset_s = None, math.inf
        self._missing.clear()

    def match(self, counter: int | None) -> tuple[Match, int, Sequence[int]]:
        """What a picture is of, TAKEN, DOUBLED or STALE; the number of its part; those of parts before it without one.

        Raises `SourceError` for a picture without a counter, and for one that went back or leaps.
        """
        if counter is None:
            raise SourceError("it sent a picture without a frame counter, which tells parts apart")
        if self._counter is None:
            self._counter = counter - 1
        step = counter - self._counter
        if step == 0:
            return Match.DOUBLED, self._next_part, ()
        if counter in self._missing:
            self._missing.remove(counter)
            return Match.STALE, self._next_part, ()
        if not 0 < step <= MOST_LOST:
            raise SourceError(f"its frame counter went from {self._counter} to {counter}")
        first, self._next_part = self._next_part, self._next_part + step
        self._missing = [*self._missing, *range(self._counter + 1, counter)][-REMEMBERED_GAPS:]
        self._counter = counter
        self.lost += step - 1
        return Match.TAKEN, self._next_part - 1, range(first, self._next_part - 1)

    def exposed_s(self, camera_ns: int | None, now_s: float) -> float:
        """When a picture that has just arrived was exposed, on the monotonic clock: as if the quickest picture so far
        had arrived at once. Without a time stamp: now, and a picture that was delayed is not known to be late."""
        if camera_ns is None:
            return now_s
        camera_s = camera_ns / 1e9
        # a picture arrives after its exposure, so that each bounds the offset from above; between two clocks drift
        self._offset_s = min(self._offset_s + DRIFT * (now_s - self._offset_at_s), now_s - camera_s)
        self._offset_at_s = now_s
        return camera_s + self._offset_s

"""A simulated camera with a trigger, for tests: it loses, delays, doubles, damages and ignores as it is told to.

Each picture carries the number of its trigger in its pixels, so that a test sees whose picture a part was given.
"""

import heapq
import itertools
import random
import time
from dataclasses import dataclass
from threading import Condition, Event

import numpy as np
from numpy.typing import NDArray
from runtime_samples import SIZE_HW

from runtime.cameras.capture import Damaged, Shot
from runtime.errors import SourceError

BITS = 16
DARK, BRIGHT = 120, 136  # of a bit: near enough to middle grey to be a good part for the detector of these tests


def picture_of(number: int) -> NDArray[np.uint8]:
    """A picture with a number from 0 to 65535 in its pixels."""
    bits = (number >> np.arange(BITS)) & 1
    row = np.where(bits, BRIGHT, DARK).astype(np.uint8)
    height, width = SIZE_HW
    image = np.full((height, width, 3), 128, np.uint8)
    image[:, :BITS] = row[None, :, None]
    return image


def number_in(image: NDArray[np.uint8]) -> int:
    """The number in a picture."""
    bits = image[0, :BITS, 0] > 128
    return int(bits @ (1 << np.arange(BITS)))


@dataclass(frozen=True)
class Faults:
    """Shares of the triggers that a camera takes."""

    lost: float = 0.0
    delayed: float = 0.0
    doubled: float = 0.0
    damaged: float = 0.0
    ignored: float = 0.0


class SimulatedCamera:
    """A `TriggeredCapture`. Whoever triggers says in `next_number` first which number the picture shall carry.

    A picture arrives within the range `latency_s`, or `delay_s` where it is delayed. `identities` is what pictures tell
    of themselves: ``counter``, ``stamp`` or both.
    """

    def __init__(
        self,
        faults: Faults = Faults(),
        identities: str = "counter and stamp",
        seed: int = 0,
        delay_s: tuple[float, float] = (0.01, 0.02),
        latency_s: tuple[float, float] = (0.0002, 0.0002),
    ) -> None:
        self.pairs_by = "frame counter" if "counter" in identities else "time stamp"
        self.next_number = 0
        self.is_dead = self.refuses = self.ignores_all = self.released = False
        self.seen: dict[str, int] = dict.fromkeys(vars(faults), 0) | {"taken": 0}
        self._faults, self._identities, self._random = faults, identities, random.Random(seed)
        self._delay_s, self.latency_s = delay_s, latency_s
        self._clock_s = self._random.uniform(-1e6, 1e6)
        self._counter = self._random.randrange(1000)
        self.may_return = Event()  # cleared, its driver hangs
        self.may_return.set()
        self._order = itertools.count()
        self._due: list[tuple[float, int, Shot]] = []  # a heap of what is on its way
        self._changed = Condition()

    def trigger(self) -> None:
        """See `TriggeredCapture.trigger`."""
        if self.is_dead or self.refuses:
            raise SourceError("the control channel is closed" if self.is_dead else "trigger not ready")
        with self._changed:
            self.seen["taken"] += 1
            if self._happens("ignored") or self.ignores_all:
                return
            self.expose(self.next_number)
            self._changed.notify_all()

    def expose(self, number: int) -> None:
        """Take a picture, for a trigger or for none."""
        with self._changed:
            self._counter += 1
            now_s = time.monotonic()
            picture = Damaged("half of it is missing") if self._happens("damaged") else picture_of(number)
            counter = self._counter if "counter" in self._identities else None
            stamp = round((now_s + self._clock_s) * 1e9) if "stamp" in self._identities else None
            if self._happens("lost"):
                return
            late_s = self._random.uniform(*(self._delay_s if self._happens("delayed") else self.latency_s))
            shot = Shot(picture, now_s, time.time(), counter, stamp)
            self._send(now_s + late_s, shot)
            if self._happens("doubled"):
                self._send(now_s + late_s + self._random.uniform(0.0, self._delay_s[0]), shot)
            self._changed.notify_all()

    def send(self, shot: Shot) -> None:
        """Send a picture at once, whatever it is."""
        with self._changed:
            self._send(time.monotonic(), shot)
            self._changed.notify_all()

    def wait(self, timeout_s: float) -> Shot | None:
        """See `TriggeredCapture.wait`."""
        until_s = time.monotonic() + timeout_s
        self.may_return.wait(20)
        with self._changed:
            while True:
                if self.is_dead and not self.hangs:
                    raise SourceError("the stream ended")
                now_s = time.monotonic()
                if self._due and self._due[0][0] <= now_s and not self.is_dead:
                    return heapq.heappop(self._due)[2]
                if now_s >= until_s:
                    return None
                next_s = min(until_s, self._due[0][0]) if self._due else until_s
                self._changed.wait(max(0.0, next_s - now_s))

    hangs = False  # whether it is only noticed on the control channel that it is dead

    def is_alive(self) -> bool:
        """See `TriggeredCapture.is_alive`."""
        return not self.is_dead

    def release(self) -> None:
        """See `TriggeredCapture.release`."""
        self.released = True

    def die(self, hangs: bool = False) -> None:
        """Answer nothing any more; with `hangs` the stream only falls silent."""
        with self._changed:
            self.is_dead, self.hangs = True, hangs
            self._changed.notify_all()

    def _send(self, at_s: float, shot: Shot) -> None:
        heapq.heappush(self._due, (at_s, next(self._order), shot))

    def _happens(self, fault: str) -> bool:
        happens = self._random.random() < getattr(self._faults, fault)
        self.seen[fault] += happens
        return happens

"""Drivers for tests, opened in a process of their own: some deliver, some hang in C, some crash."""

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from runtime.cameras.capture import Damaged, Picture, Shot
from runtime.errors import SetupError, WrongAddress

LONG_S = 600


def hang() -> None:
    """In a C call that lets other threads of Python run, as a driver's wait does."""
    ctypes.CDLL(None).sleep(LONG_S)


def hang_with_the_lock() -> None:
    """In a C call that keeps all of Python from running."""
    ctypes.PyDLL(None).sleep(LONG_S)


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


HARMS = {"hang": hang, "lock": hang_with_the_lock, "crash": crash}


class Counting:
    """A free running camera of `pictures` pictures, each of its number, after which it ends or harms."""

    def __init__(self, pictures: int, then: str, sizes: tuple[int, ...]) -> None:
        self.drops, self._next, self._last, self._then, self._sizes = 0, 0, pictures, then, sizes

    def read(self) -> Picture | None:
        number = self._next
        if number >= self._last:
            if self._then:
                HARMS[self._then]()
            return None
        self._next += 1
        time.sleep(0.01)
        self.drops = 2 * number
        size = self._sizes[number % len(self._sizes)]
        return np.full((size, size + 1, 3), number % 256, np.uint8)

    def release(self) -> None:
        pass


def open_counting(pictures: int = 5, then: str = "", sizes: tuple[int, ...] = (4,), marker: str = "") -> Counting:
    """With a `marker` file it harms the first time only."""
    if marker:
        if Path(marker).exists():
            return Counting(10**6, "", sizes)
        Path(marker).touch()
    return Counting(pictures, then, sizes)


class Formatted:
    """A free running camera that says how it sends its pictures, five of them; then it is gone."""

    drops = 0

    def __init__(self, sent_as: str) -> None:
        self._sent_as, self._left = sent_as, 5

    def read(self) -> Shot | None:
        time.sleep(0.01)
        self._left -= 1
        if self._left < 0:
            return None
        return Shot(np.zeros((4, 5, 3), np.uint8), time.monotonic(), time.time(), sent_as=self._sent_as)

    def release(self) -> None:
        pass


def open_formatted(formats: list[str], marker: str) -> Formatted:
    """Of the first format when it is opened first, then of the second."""
    again = Path(marker).exists()
    Path(marker).touch()
    return Formatted(formats[again])


class Triggered:
    """A camera that shows the number of its trigger; it damages the second picture, and `then` is of the third."""

    pairs_by = "frame counter"

    def __init__(self, then: str) -> None:
        self._waiting: list[int] = []
        self._triggers, self._then = 0, then

    def trigger(self) -> None:
        self._triggers += 1
        if self._triggers == 3 and self._then:
            HARMS[self._then]()
        self._waiting.append(self._triggers)

    def wait(self, timeout_s: float) -> Shot | None:
        end_s = time.monotonic() + timeout_s
        while not self._waiting:
            if time.monotonic() >= end_s:
                return None
            time.sleep(0.001)
        number = self._waiting.pop(0)
        picture = Damaged("it was cut ½") if number == 2 else np.full((3, 5, 3), number, np.uint8)
        return Shot(picture, 10.5 + number, 1e9 + number, number + 2**40, None if number == 1 else 7 * number)

    def is_alive(self) -> bool:
        return self._triggers < 5

    def release(self) -> None:
        pass


def open_triggered(then: str = "") -> Triggered:
    return Triggered(then)


def open_harmful(then: str) -> None:
    HARMS[then]()


def open_refused(kind: str) -> None:
    raise {"setup": SetupError, "address": WrongAddress, "other": KeyError}[kind]("because")


def main() -> None:
    """A parent for tests: opens a camera that hangs with Python's lock, says which process that is, and waits."""
    from runtime.cameras.driver.hosted import Driver

    capture = Driver("a camera", "driver_samples:open_counting", {"pictures": 1, "then": "lock"}).open()
    assert capture.read() is not None
    print(capture.pid, flush=True)
    time.sleep(LONG_S)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()

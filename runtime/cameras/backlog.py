"""The pictures that a network camera sent while nobody looked, dropped: the next one shows what is there now."""

import sys
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from runtime.errors import SourceError

T = TypeVar("T")

LONGEST_S = 5.0  # a machine that is slower than the camera never sees the end of a backlog
SHORTEST_WAIT_S = 0.002  # for one picture; what had piled up needs no waiting
WATCHED_S, WATCHED_PICTURES = 1.0, 3
LEAST_WAITING = 0.02  # share of the time; who keeps up with a camera waits for it


class Watch:
    """Tells a reader that keeps up with a camera, and waits for it, from one behind whom pictures pile up.

    For a reader that receives and decodes in one thread: no time but that in `receive` counts as waiting.
    """

    def __init__(self) -> None:
        self._picture_s = 0.0  # waited for the picture under way
        self._since_s, self._pictures, self._waited_s = time.monotonic(), 0, 0.0

    def receive(self, function: Callable[[], T]) -> T:
        """What `function` returns, while counting how long this thread slept in it: that is waiting for the camera.

        While it merely stands still because another has the processor, it does not sleep.
        """
        sleeps, idle_s = _sleeps(), _idle_s()
        try:
            return function()
        finally:
            if _sleeps() > sleeps:
                self._picture_s += _idle_s() - idle_s

    def waited(self) -> bool:
        """Whether the picture that just arrived had to be waited for. Once for each picture."""
        waited_s, self._picture_s = self._picture_s, 0.0
        self._pictures, self._waited_s = self._pictures + 1, self._waited_s + waited_s
        return waited_s >= SHORTEST_WAIT_S

    def is_behind(self) -> bool:
        """Whether no picture was waited for during a second, so that they pile up on the way, ever older."""
        watched_s = time.monotonic() - self._since_s
        if watched_s < WATCHED_S or self._pictures < WATCHED_PICTURES:
            return False
        behind = self._waited_s < LEAST_WAITING * watched_s
        self._since_s, self._pictures, self._waited_s = time.monotonic(), 0, 0.0
        return behind

    def skip(self, next_picture: Callable[[], T | None], may_fail: bool = False) -> tuple[T | None, int]:
        """Drop pictures until one was waited for, for up to 5 s: that one, and how many were dropped before it.

        `next_picture` receives through `receive`; None from it ends this. With `may_fail`, raises `SourceError` for a
        machine that does not catch up in that time.
        """
        started_s, dropped = time.monotonic(), 0
        while (picture := next_picture()) is not None and not self.waited():
            if time.monotonic() - started_s >= LONGEST_S:
                if may_fail:
                    raise SourceError("this machine is too slow for it; ask the camera for fewer or smaller pictures")
                break
            dropped += 1
        return picture, dropped


class Newest(Generic[T]):
    """Pictures one after the other, from the one that is there now; what piles up before a slow reader is dropped.

    `drops` counts them, but for those that the camera sent before it was opened.
    """

    def __init__(self, watch: Watch, next_picture: Callable[[], T | None]) -> None:
        """`next_picture` receives through `watch`; None from it is the end. Waits for the `first` picture."""
        self.drops = 0
        self._watch, self._next = watch, next_picture
        self.first, _ = watch.skip(next_picture)

    def read(self) -> T | None:
        """The next picture, or None at the end. Raises `SourceError` for a machine that does not keep up."""
        picture, self.first = self.first, None
        if picture is None and self._watch.is_behind():
            picture, dropped = self._watch.skip(self._next, may_fail=True)
            self.drops += dropped
        elif picture is None:
            picture = self._next()
            self._watch.waited()
        return picture


def _sleeps() -> int:
    """How often this thread has slept. Elsewhere than on Linux nobody tells: the idle time decides alone."""
    if sys.platform != "linux":
        return time.monotonic_ns()
    import resource

    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


def _idle_s() -> float:
    return time.monotonic() - time.thread_time()

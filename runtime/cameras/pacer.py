"""Triggers at an even pace, in place of a controller that knows when a part is there."""

import itertools
import logging
import time
from collections.abc import Callable
from threading import Event, Thread

from runtime.cameras.triggered import TooManyWait
from runtime.closing import Closing
from runtime.errors import SourceError
from runtime.outputs import say

log = logging.getLogger("proctor.cameras")

CLOSE_TIMEOUT_S = 5.0
SETTLED_S = 1.0  # without a skipped trigger, after which they count as taken again: a slow stream takes some in between


class Pacer(Closing):
    """Calls `trigger` every `every_s`, with part ids "0", "1" and so on, in a thread of its own, until it is closed.

    One that takes longer than the pace delays those after it; none is made up for. It ends when the source takes no
    more triggers. One that the source has no room for (`TooManyWait`) is skipped, with its id: its part goes by without
    a verdict. That is said when it begins, and how many they were when it is over.
    """

    def __init__(self, trigger: Callable[[str], None], every_s: float, count: int | None = None) -> None:
        """`count` is how many the source takes (None: without end). Skipped ones are not among them: whoever waits for
        the frames of so many parts would wait for ever."""
        self._trigger, self._every_s, self._count = trigger, every_s, count
        self._closing = Event()
        self._thread = Thread(target=self._run, name="pacer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Trigger no more."""
        self._closing.set()
        self._thread.join(CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        skips = _Skips()
        try:
            self._keep_pace(skips)
        except SourceError as error:  # whoever reads the source is told
            log.info("no more triggers: %s", error)
        finally:
            skips.end()

    def _keep_pace(self, skips: "_Skips") -> None:
        due_s, taken = time.monotonic(), 0
        for number in itertools.count():
            if taken == self._count or self._closing.wait(max(0.0, due_s - time.monotonic())):
                return
            try:
                self._trigger(str(number))
            except TooManyWait as error:
                skips.add(error)
            else:
                taken += 1
                skips.note_taken()
            due_s = max(due_s + self._every_s, time.monotonic())


class _Skips:
    """Triggers that were skipped one after the other, or nearly so, and what a person is told of them."""

    def __init__(self) -> None:
        self._count, self._last_s = 0, 0.0

    def add(self, error: TooManyWait) -> None:
        self._count, self._last_s = self._count + 1, time.monotonic()
        if self._count == 1:
            say(f"warning: triggers are skipped, and their parts go by without a verdict: {error}")

    def note_taken(self) -> None:
        if self._count and time.monotonic() - self._last_s >= SETTLED_S:
            say(f"triggers are taken again; {self._parts} went by without a verdict")
            self._count = 0

    def end(self) -> None:
        """There are no more triggers."""
        if self._count:
            say(f"warning: {self._parts} went by without a verdict, since triggers were skipped")

    @property
    def _parts(self) -> str:
        return "1 part" if self._count == 1 else f"{self._count:,} parts"

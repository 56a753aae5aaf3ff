"""Triggers at an even pace, in place of a controller that knows when a part is there."""

import itertools
import logging
import time
from collections.abc import Callable
from threading import Event, Thread

from runtime.closing import Closing
from runtime.errors import SourceError

log = logging.getLogger("proctor.cameras")

CLOSE_TIMEOUT_S = 5.0


class Pacer(Closing):
    """Calls `trigger` every `every_s`, with part ids "0", "1" and so on, in a thread of its own, until it is closed.

    One that takes longer than the pace delays those after it; none is made up for. It ends when the source takes no
    more triggers.
    """

    def __init__(self, trigger: Callable[[str], None], every_s: float, count: int | None = None) -> None:
        """`count` is how many (None: without end)."""
        self._trigger, self._every_s, self._count = trigger, every_s, count
        self._closing = Event()
        self._thread = Thread(target=self._run, name="pacer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Trigger no more."""
        self._closing.set()
        self._thread.join(CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        due_s = time.monotonic()
        for number in itertools.count():
            if number == self._count or self._closing.wait(max(0.0, due_s - time.monotonic())):
                return
            try:
                self._trigger(str(number))
            except SourceError as error:  # whoever reads the source is told
                log.info("no more triggers: %s", error)
                return
            due_s = max(due_s + self._every_s, time.monotonic())

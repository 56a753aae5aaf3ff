"""A sink that may fail or hang without stopping anything: what it could not take is counted, and said."""

import logging
import queue
import time
from collections.abc import Callable
from threading import Thread

from runtime.errors import ProctorError
from runtime.frames import Frame
from runtime.outputs import say
from runtime.sinks.base import Sink
from runtime.verdict import Verdict

log = logging.getLogger("proctor.sinks")

WAITING = 8  # verdicts that wait for a slow sink
PATIENCE_S = 2.0  # for room among them; no time at all once that was not enough, until it takes one again
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0  # after a failure; doubled with each that follows
SAY_EVERY_S = 60.0
CLOSE_S = 10.0  # for what waits, when the stream has ended


class Guarded:
    """Runs a sink in a thread of its own. A failure is followed by a pause, in which verdicts are counted as lost.

    The first loss is said on stderr, then one line a minute as long as it goes on, and its end.
    """

    def __init__(
        self,
        sink: Sink,
        clock: Callable[[], float] = time.monotonic,
        patience_s: float = PATIENCE_S,
        camera: str | None = None,
    ) -> None:
        """`camera` is whose verdicts it takes, on a line of several, for messages."""
        self.lost = 0
        self.sink = sink
        self._shown = sink.name if camera is None else f"{sink.name} of {camera}"
        self._clock, self._patience_s = clock, patience_s
        self._waiting: queue.Queue[tuple[Frame, Verdict] | None] = queue.Queue(WAITING)
        self._stuck = self._failing = False
        self._resumes_s = self._says_s = -float("inf")
        self._pause_s = FIRST_PAUSE_S
        self._thread = Thread(target=self._work_off, name=f"sink {sink.name}", daemon=True)
        self._thread.start()

    def write(self, frame: Frame, verdict: Verdict) -> None:
        """Hand one over; waits for a slow sink, but not for one that hangs."""
        try:
            self._waiting.put((frame, verdict), timeout=0.0 if self._stuck else self._patience_s)
            self._stuck = False
        except queue.Full:
            self._stuck = True
            self._lose(f"it has taken nothing for {self._patience_s:g} s or more")

    def settle(self) -> None:
        """Wait until what was handed over has been tried."""
        self._waiting.join()

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """Wait for what was handed over; a sink that hangs is left behind."""
        deadline_s = time.monotonic() + timeout_s
        try:
            self._waiting.put(None, timeout=timeout_s)
            self._thread.join(max(0.0, deadline_s - time.monotonic()))
        except queue.Full:
            pass
        if self._thread.is_alive():
            self.lost += self._waiting.qsize()
            log.warning("%s hang and are left behind", self._shown)
        else:
            self._close_sink()

    def _close_sink(self) -> None:
        try:
            self.sink.close()
        except Exception as error:  # what it kept back until then, on a full disk
            if not isinstance(error, OSError | ProctorError):
                log.exception("%s failed", self._shown)
            self.lost += 1
            say(f"warning: {self._shown} may lack the last that was handed over ({error})")

    def _work_off(self) -> None:
        while (item := self._waiting.get()) is not None:
            self._try(*item)
            del item
            self._waiting.task_done()

    def _try(self, frame: Frame, verdict: Verdict) -> None:
        if self._clock() < self._resumes_s:
            self._lose("it failed before and is tried again soon")
            return
        try:
            self.sink.write(frame, verdict)
        except Exception as error:  # whatever it is, the line goes on
            if not isinstance(error, OSError | ProctorError):
                log.exception("%s failed", self._shown)
            self._failed(str(error))
        else:
            self._works()

    def _failed(self, reason: str) -> None:
        self._failing = True
        self._resumes_s = self._clock() + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        self._lose(reason)

    def _works(self) -> None:
        if self._failing:
            say(f"{self._shown} are written again; {self.lost:,} were not")
        self._failing, self._pause_s, self._says_s = False, FIRST_PAUSE_S, -float("inf")

    def _lose(self, reason: str) -> None:
        self.lost += 1
        if self._clock() >= self._says_s:
            self._says_s = self._clock() + SAY_EVERY_S
            say(f"warning: {self._shown} are not written ({reason}); inspection goes on, {self.lost:,} lost so far")

"""Opening a camera, at the start and again whenever it is lost, with pauses that grow."""

import logging
import random
import time
from collections.abc import Callable
from threading import Event
from typing import TypeVar

from runtime.errors import SetupError, SourceError

log = logging.getLogger("proctor.cameras")

# between attempts to reopen; doubled after each. A camera that is back is seen within 5 s, its own start included
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.5, 2.5
JITTER = 0.5  # share of a pause that is left to chance: cameras of one switch shall not all be asked at once for ever

C = TypeVar("C")


class Reopening:
    """Opens one camera for one thread. Each loss and each return is a line of the log, and a return is counted."""

    def __init__(self, name: str, limit: int | None = None, first_backoff_s: float = FIRST_BACKOFF_S) -> None:
        """`name` is for messages. `limit` is the number of failed attempts in a row after which it gives up (None:
        never)."""
        self.reconnects = 0
        self.waits_for: str | None = None  # why the camera could not be opened yet, where it may come later
        self.error: SourceError | None = None  # why it was given up
        self._name, self._limit, self._first_backoff_s = name, limit, first_backoff_s
        self._random = random.Random()

    def first(self, attempt: Callable[[], C], wait: bool) -> C | None:
        """The camera, opened for the first time, or None where it is to be waited for: `waits_for` then says why.

        Raises what `attempt` raises, `SourceError`; with `wait` only `SetupError`.
        """
        try:
            return attempt()
        except SetupError:
            raise
        except SourceError as error:
            if not wait:
                raise SourceError(f"{error}; or wait for it with --wait-for-camera") from error
            self.waits_for = str(error)
            return None

    def again(self, attempt: Callable[[], C], closing: Event) -> C | None:
        """The camera opened again, after pauses that double up to 2.5 s, each shortened by chance to half at most.

        None when `closing` is set, or the limit is reached: `error` then says so.
        """
        lost_s, backoff_s, failures = time.monotonic(), self._first_backoff_s, 0
        while not closing.wait(backoff_s * self._random.uniform(1 - JITTER, 1)):
            try:
                opened = attempt()
            except SourceError as error:
                failures += 1
                log.info("%s: attempt %d to open it failed: %s", self._name, failures, error)
                if self._limit is not None and failures >= self._limit:
                    self.error = SourceError(self._given_up(failures, error))
                    return None
                backoff_s = min(2 * backoff_s, LONGEST_BACKOFF_S)
            else:
                self._note_return(failures + 1, time.monotonic() - lost_s)
                return opened
        return None

    def note_loss(self, reason: str) -> None:
        """The camera is lost, for `reason`, and will be opened again."""
        log.warning("%s lost: %s; opening it again", self._name, reason)

    def _note_return(self, attempts: int, away_s: float) -> None:
        if self.waits_for is None:
            self.reconnects += 1
            text = "%s is back after %.1f s, at attempt %d; reconnect %d"
            log.warning(text, self._name, away_s, attempts, self.reconnects)
        self.waits_for = None

    def _given_up(self, failures: int, error: SourceError) -> str:
        if self.waits_for is not None:
            return f"{self._name} did not come: {failures} attempts to open it failed; {error}"
        return f"{self._name} lost: {failures} attempts to reopen it failed; {error}"

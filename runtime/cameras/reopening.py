"""Opening a camera, at the start and again whenever it is lost, with pauses that grow."""

import logging
import random
import time
from collections.abc import Callable
from threading import Event
from typing import TypeVar

from runtime.cameras.capture import Capture, TriggeredCapture
from runtime.errors import SetupError, SourceError
from runtime.printable import printable

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
        self._traced: str | None = None  # the unexpected failure whose traceback was logged last

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

        None when `closing` is set, or the limit is reached: `error` then says so. Whatever `attempt` raises is a failed
        attempt: a moment without memory or open files ends no camera.
        """
        lost_s, backoff_s, failures = time.monotonic(), self._first_backoff_s, 0
        while not closing.wait(backoff_s * self._random.uniform(1 - JITTER, 1)):
            try:
                opened = attempt()
            except Exception as error:
                failures += 1
                self._note_failure(failures, error)
                if self._limit is not None and failures >= self._limit:
                    self.error = SourceError(self._given_up(failures, error))
                    return None
                backoff_s = min(2 * backoff_s, LONGEST_BACKOFF_S)
            else:
                self._note_return(failures + 1, time.monotonic() - lost_s)
                return opened
        return None

    def note_loss(self, reason: str, error: Exception | None = None) -> None:
        """The camera is lost, for `reason`, and will be opened again. `error` is what was raised, if anything."""
        log.warning("%s lost: %s; opening it again", self._name, reason, exc_info=_unexpected(error))

    def let_go(self, capture: Capture | TriggeredCapture) -> None:
        """Release a capture that is of no use any more. Where its driver fails, another can be opened even so."""
        try:
            capture.release()
        except Exception as error:
            text = "%s could not be closed: %s"
            log.warning(text, self._name, cause_of(error), exc_info=_unexpected(error))

    def _note_failure(self, failures: int, error: Exception) -> None:
        """A traceback where nobody raised it on purpose, but one for all attempts that fail alike: they never end."""
        unexpected = _unexpected(error)
        is_new = unexpected is not None and repr(error) != self._traced
        if is_new:
            self._traced = repr(error)
        log.log(
            logging.WARNING if is_new else logging.INFO,
            "%s: attempt %d to open it failed: %s",
            self._name,
            failures,
            cause_of(error),
            exc_info=unexpected if is_new else None,
        )

    def _note_return(self, attempts: int, away_s: float) -> None:
        if self.waits_for is None:
            self.reconnects += 1
            text = "%s is back after %.1f s, at attempt %d; reconnect %d"
            log.warning(text, self._name, away_s, attempts, self.reconnects)
        self.waits_for = self._traced = None

    def _given_up(self, failures: int, error: Exception) -> str:
        if self.waits_for is not None:
            return f"{self._name} did not come: {failures} attempts to open it failed; {cause_of(error)}"
        return f"{self._name} lost: {failures} attempts to reopen it failed; {cause_of(error)}"


def cause_of(error: Exception) -> str:
    """What a failure says, on one line; with its kind where nobody raised it on purpose."""
    return str(error) if isinstance(error, SourceError) else printable(f"{type(error).__name__}: {error}")


def _unexpected(error: Exception | None) -> Exception | None:
    """An error whose traceback somebody will need."""
    return None if isinstance(error, SourceError) else error

"""Live cameras: read in a thread of their own, so that the newest frame is at hand, and opened again when lost."""

import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from threading import Event, Thread

from runtime.cameras.capture import Capture, Damaged, Picture
from runtime.cameras.resolution import FirstSize
from runtime.channel import Channel
from runtime.closing import Closing
from runtime.errors import SourceError, SourceTimeout, WrongAddress
from runtime.frames import Frame, missing_frame

FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.5, 10.0  # between attempts to reopen; doubled after each
SILENCE_S = 15.0  # longer than any capture's own timeout: V4L2 gives up after 10 s, networks after 3 s
CLOSE_TIMEOUT_S = 15.0


class LiveSource(Closing):
    """A camera that never dies silently.

    When a capture fails it is released and opened again, after pauses that grow from 0.5 s to 10 s. Each loss is one
    frame with a `problem`, and so is each picture that did not arrive whole or has another size than the source's
    first, and every 15 s in which a capture neither delivers nor fails. Only the newest frame waits to be read; older
    ones are dropped and counted.
    """

    live = True
    waits_for: str | None  # why the camera could not be opened yet, where it may come later

    def __init__(
        self,
        name: str,
        open_capture: Callable[[], Capture],
        reconnect_limit: int | None = None,
        first_backoff_s: float = FIRST_BACKOFF_S,
        silence_s: float = SILENCE_S,
        wait: bool = False,
    ) -> None:
        """`name` is for messages. `reconnect_limit` is the number of failed attempts in a row after which the source
        breaks down (None: never). Raises what `open_capture` raises, `SourceError`, when the first opening fails; with
        `wait` only `WrongAddress`, and any other failure is the first of the attempts to open it."""
        self.reconnects = 0
        self._name, self._open, self._limit = name, open_capture, reconnect_limit
        self._first_backoff_s, self._silence_s = first_backoff_s, silence_s
        self._numbers = itertools.count()
        self._size = FirstSize("the camera")
        self._arrived: Channel[Frame] = Channel(1, may_drop=lambda frame: frame.problem is None)
        self._error: SourceError | None = None
        self._late_drops = 0
        self._closing = Event()
        self._heard_s = time.monotonic()
        first = self._opened(wait)
        self._lost = first is None
        self._thread = Thread(target=self._grab, args=(first,), name=f"camera {name}", daemon=True)
        self._thread.start()

    @property
    def drops(self) -> int:
        """See `Source.drops`."""
        return self._arrived.drops + self._late_drops

    def read(self, timeout_s: float = 5.0) -> Frame | None:
        """See `Source.read`. Frame ids count the frames that are read, not those that were dropped."""
        frame = self._arrived.get(timeout_s)
        if frame is not None:
            self._heard_s = time.monotonic()
            return replace(frame, frame_id=next(self._numbers))
        if self._closing.is_set():
            return None
        if self._arrived.finished:
            raise self._error or SourceError(f"the thread that reads {self._name} ended; start again")
        silence_s = time.monotonic() - self._heard_s
        if silence_s >= self._silence_s and not self._lost:
            self._heard_s = time.monotonic()
            reason = f"camera silent: {self._name} delivered no frame for {silence_s:.1f} s"
            return missing_frame(next(self._numbers), reason, live=True)
        raise SourceTimeout(
            f"no frame from {self._name} within {timeout_s:g} s; check that it is on and not overloaded"
        )

    def close(self) -> None:
        """See `Source.close`. Waits until the capture gives up, up to 15 s."""
        self._closing.set()
        self._arrived.abort()
        self._thread.join(CLOSE_TIMEOUT_S)

    def _opened(self, wait: bool) -> Capture | None:
        """The camera, opened for the first time, or None where it is to be waited for: `waits_for` then says why."""
        self.waits_for = None
        try:
            return self._open()
        except WrongAddress:
            raise
        except SourceError as error:
            if not wait:
                raise SourceError(f"{error}; or wait for it with --wait-for-camera") from error
            self.waits_for = str(error)
            return None

    def _grab(self, first: Capture | None) -> None:
        capture = first
        try:
            if capture is None:
                capture = self._reopened()
            while capture is not None:
                self._deliver(capture)
                capture.release()
                capture = self._reopened()
        finally:
            self._arrived.close()

    def _deliver(self, capture: Capture) -> None:
        """Hand over what the capture delivers, until it fails or the source is closed."""
        try:
            while not self._closing.is_set():
                self._arrived.put(self._frame(self._picture(capture)))
        except SourceError as error:
            self._lost = True
            self._arrived.put(missing_frame(0, f"camera lost: {error}; opening it again", live=True))

    def _picture(self, capture: Capture) -> Picture:
        drops_before = capture.drops
        try:
            picture = capture.read()
        except SourceError as error:
            raise SourceError(f"{self._name} was closed, since {error}") from error
        finally:
            self._late_drops += capture.drops - drops_before
        if picture is None:
            raise SourceError(f"{self._name} stopped delivering")
        return picture

    def _frame(self, picture: Picture) -> Frame:
        if isinstance(picture, Damaged):
            reason = f"damaged picture: {self._name} sent one that cannot be decoded ({picture.cause})"
            return missing_frame(0, reason, live=True)
        problem = self._size.problem(picture)
        return missing_frame(0, problem, live=True) if problem else Frame(picture, 0, live=True)

    def _reopened(self) -> Capture | None:
        """The camera opened again, with pauses that double. None when the source is closed or the limit is reached."""
        backoff_s, failures = self._first_backoff_s, 0
        while not self._closing.wait(backoff_s):
            try:
                return self._delivering_capture()
            except SourceError as error:
                failures += 1
                if self._limit is not None and failures >= self._limit:
                    self._error = SourceError(self._given_up(failures, error))
                    return None
                backoff_s = min(2 * backoff_s, LONGEST_BACKOFF_S)
        return None

    def _given_up(self, failures: int, error: SourceError) -> str:
        if self.waits_for is not None:
            return f"{self._name} did not come: {failures} attempts to open it failed; {error}"
        return f"{self._name} lost: {failures} attempts to reopen it failed; {error}"

    def _delivering_capture(self) -> Capture:
        """A newly opened capture that has delivered a frame: many lost cameras can still be opened."""
        capture = self._open()
        try:
            picture = capture.read()
            if picture is None:
                raise SourceError("it can be opened but delivers nothing; check the camera")
        except SourceError:
            capture.release()
            raise
        self.reconnects += self.waits_for is None
        self._lost, self.waits_for = False, None
        self._arrived.put(self._frame(picture))
        return capture

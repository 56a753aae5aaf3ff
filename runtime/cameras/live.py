"""Live cameras: read in a thread of their own, so that the newest frame is at hand, and opened again when lost."""

import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from threading import Event, Thread

from runtime.cameras.base import FreeRun
from runtime.cameras.capture import Capture, Damaged, Picture, Shot
from runtime.cameras.reopening import FIRST_BACKOFF_S, Reopening, cause_of
from runtime.cameras.resolution import FirstSize
from runtime.channel import Channel
from runtime.errors import SourceError, SourceTimeout
from runtime.frames import Frame, missing_frame

SILENCE_S = 15.0  # longer than any capture's own timeout: V4L2 gives up after 10 s, networks after 3 s
CLOSE_TIMEOUT_S = 15.0
SIZE_REMEDY = "; --accept-size-change goes on with it"


class LiveSource(FreeRun):
    """A camera that never dies silently.

    When a capture fails, whatever it raises, it is released and opened again, after pauses that grow (`Reopening`).
    Each loss is one frame with a `problem`, and so is each picture that did not arrive whole or has another size or
    format than the source's first, and every 15 s in which a capture neither delivers nor fails. Only the newest frame
    waits to be read; older ones are dropped and counted.
    """

    live = True

    def __init__(
        self,
        name: str,
        open_capture: Callable[[], Capture],
        reconnect_limit: int | None = None,
        first_backoff_s: float = FIRST_BACKOFF_S,
        silence_s: float = SILENCE_S,
        wait: bool = False,
        accept_size_change: bool = False,
        interrupt: Callable[[], None] | None = None,
    ) -> None:
        """`name` is for messages. `reconnect_limit` is the number of failed attempts in a row after which the source
        breaks down (None: never). Raises what `open_capture` raises, `SourceError`, when the first opening fails; with
        `wait` only `SetupError`, and any other failure is the first of the attempts to open it. With
        `accept_size_change`, pictures of another size or format are no problem, but a line in the log at each change.
        `interrupt` makes a capture's `read` that may take long return; `close` calls it.
        """
        self.lost = 0
        self.sent_as: str | None = None  # how the camera sends its pictures, where it says so
        self._name, self._open, self._silence_s = name, open_capture, silence_s
        self._reopening = Reopening(name, reconnect_limit, first_backoff_s)
        self._numbers = itertools.count()
        self._size = FirstSize("the camera", SIZE_REMEDY, name if accept_size_change else None)
        self._arrived: Channel[Frame] = Channel(1, may_drop=lambda frame: frame.problem is None)
        self._counter: int | None = None  # of the camera's last frame
        self._dropped = self._late_drops = 0  # by the capture: before its last picture, and ever
        self._closing = Event()
        self._interrupt = interrupt
        self._heard_s = time.monotonic()
        first = self._reopening.first(open_capture, wait)
        self._lost = first is None
        self._thread = Thread(target=self._grab, args=(first,), name=f"camera {name}", daemon=True)
        self._thread.start()

    @property
    def drops(self) -> int:
        """See `Source.drops`."""
        return self._arrived.drops + self._late_drops

    @property
    def reconnects(self) -> int:
        """See `Source.reconnects`."""
        return self._reopening.reconnects

    @property
    def waits_for(self) -> str | None:
        """Why the camera could not be opened yet, where it may come later."""
        return self._reopening.waits_for

    def read(self, timeout_s: float = 5.0) -> Frame | None:
        """See `Source.read`. Frame ids count the frames that are read, not those that were dropped."""
        frame = self._arrived.get(timeout_s)
        if frame is not None:
            self._heard_s = time.monotonic()
            return replace(frame, frame_id=next(self._numbers))
        if self._closing.is_set():
            return None
        if self._arrived.finished:
            raise self._reopening.error or SourceError(f"the thread that reads {self._name} ended; start again")
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
        if self._interrupt is not None:
            self._interrupt()
        self._arrived.abort()
        self._thread.join(CLOSE_TIMEOUT_S)

    def _grab(self, first: Capture | None) -> None:
        try:
            opened = self._reopened() if first is None else (first, None)
            while opened is not None:
                capture, picture = opened
                self._deliver(capture, picture)
                self._reopening.let_go(capture)
                opened = self._reopened()
        finally:
            self._arrived.close()

    def _deliver(self, capture: Capture, picture: Picture | Shot | None) -> None:
        """Hand over `picture`, where one was read already, and what the capture delivers, until it fails or the source
        is closed. Whatever is raised meanwhile is a loss: this thread may not end."""
        try:
            if picture is not None:
                self._arrived.put(self._frame(picture, capture))
            while not self._closing.is_set():
                picture = self._picture(capture)
                self._arrived.put(self._frame(picture, capture))
        except Exception as error:
            if self._closing.is_set():  # it was interrupted, not lost
                return
            self._lost = True
            self._reopening.note_loss(cause_of(error), error)
            self._arrived.put(missing_frame(0, f"camera lost: {cause_of(error)}; opening it again", live=True))

    def _picture(self, capture: Capture) -> Picture | Shot:
        drops_before = capture.drops
        try:
            picture = capture.read()
        except SourceError as error:
            raise SourceError(f"{self._name} was closed, since {error}") from error
        finally:
            self._dropped = capture.drops - drops_before
            self._late_drops += self._dropped
        if picture is None:
            raise SourceError(f"{self._name} stopped delivering")
        return picture

    def _count_gap(self, counter: int | None) -> None:
        """Count the frames between the last one and this, but for those that the capture dropped."""
        if counter is not None and self._counter is not None:
            self.lost += max(0, counter - self._counter - 1 - self._dropped)
        self._counter = counter

    def _frame(self, picture: Picture | Shot, capture: Capture) -> Frame:
        if isinstance(picture, Shot):
            self._count_gap(picture.counter)
            return picture.on(self._pictured(picture.picture, picture.sent_as))
        return self._pictured(picture, getattr(capture, "sent_as", None))

    def _pictured(self, picture: Picture, sent_as: str | None) -> Frame:
        if isinstance(picture, Damaged):
            reason = f"damaged picture: {self._name} sent one that cannot be decoded ({picture.cause})"
            return missing_frame(0, reason, live=True)
        self.sent_as = sent_as
        problem = self._size.problem(picture, sent_as)
        return missing_frame(0, problem, live=True) if problem else Frame(picture, 0, live=True)

    def _reopened(self) -> "tuple[Capture, Picture | Shot | None] | None":
        """The camera opened again, and its first picture; None when the source is closed or the limit is reached."""
        opened = self._reopening.again(self._delivering_capture, self._closing)
        if opened is not None:
            self._lost, self._counter = False, None
        return opened

    def _delivering_capture(self) -> tuple[Capture, Picture | Shot]:
        """A newly opened capture and its first picture: many lost cameras can still be opened."""
        capture = self._open()
        try:
            picture = capture.read()
            if picture is None:
                raise SourceError("it can be opened but delivers nothing; check the camera")
        except BaseException:
            self._reopening.let_go(capture)
            raise
        return capture, picture

"""A camera whose driver runs in a process of its own, as if it were open here."""

import time
from collections.abc import Mapping
from threading import Event

import numpy as np

from runtime.cameras.capture import Damaged, Picture, Shot
from runtime.cameras.driver import wire
from runtime.cameras.driver.memory import Slots
from runtime.cameras.driver.process import DriverProcess
from runtime.errors import SourceError

ALIVE_S = 1.0  # in which a camera has to answer


class Driver:
    """Opens a camera by a function's name, each time in a new process."""

    def __init__(self, name: str, opener: str, options: Mapping[str, object]) -> None:
        """`opener` is ``module:function``, called with `options`, which JSON can carry; it returns a `Capture` or
        `TriggeredCapture`. `name` is for messages."""
        self.name, self._opener, self._options = name, opener, options
        self._interrupted = Event()

    def open(self) -> "HostedCapture":
        """Open it. Raises what the opener raises, as `SourceError`, and within 30 s."""
        return HostedCapture(DriverProcess(self.name, self._opener, self._options), self._interrupted)

    def interrupt(self) -> None:
        """Let whoever reads or waits for a picture return soon, and never wait again."""
        self._interrupted.set()


class HostedCapture:
    """A `Capture` and, where the camera is one, a `TriggeredCapture` in a process of its own."""

    def __init__(self, process: DriverProcess, interrupted: Event) -> None:
        self._process, self._interrupted = process, interrupted
        self._slots: Slots | None = None
        self.drops = 0
        self._ended = False
        self._pairs_by: str | None = None
        try:
            self._await_opening()
        except BaseException:
            process.close()
            raise

    @property
    def pid(self) -> int:
        """Of the driver's process."""
        return self._process.pid

    @property
    def pairs_by(self) -> str:
        """See `TriggeredCapture.pairs_by`."""
        if self._pairs_by is None:
            raise SourceError("this camera cannot be triggered")
        return self._pairs_by

    def read(self) -> Picture | Shot | None:
        """See `Capture.read`. It may take as long as the driver works and says so."""
        while not self._interrupted.is_set() and not self._ended:
            picture = self._next(wire.BEAT_S)
            if picture is not None:
                return picture
        return None

    def wait(self, timeout_s: float) -> Shot | None:
        """See `TriggeredCapture.wait`."""
        picture = self._next(timeout_s)
        if picture is None or isinstance(picture, Shot):
            return picture
        return Shot(picture, time.monotonic(), time.time())

    def trigger(self) -> None:
        """See `TriggeredCapture.trigger`."""
        self._process.ask("trigger")

    def is_alive(self) -> bool:
        """See `TriggeredCapture.is_alive`."""
        try:
            return bool(self._process.ask("is_alive", ALIVE_S))
        except SourceError:
            return False

    def release(self) -> None:
        """See `Capture.release`. The process is gone when this returns."""
        self._process.close()
        if self._slots is not None:
            self._slots.close()

    def _await_opening(self) -> None:
        while (message := self._process.listen(wire.BEAT_S)) is None:
            if self._interrupted.is_set():
                raise SourceError("it was closed while it was opened")
        pairs_by = wire.unpacked_news(message[0])["pairs_by"]
        self._pairs_by = None if pairs_by is None else str(pairs_by)

    def _next(self, timeout_s: float) -> Picture | Shot | None:
        """The next picture, or None where none came in time or the camera ended."""
        deadline_s = time.monotonic() + timeout_s
        while (heard := self._process.listen(max(0.0, deadline_s - time.monotonic()))) is not None:
            message, descriptors = heard
            if message[:1] == wire.MEMORY:
                if self._slots is not None:
                    self._slots.close()
                self._slots = Slots(descriptors[0], *wire.unpacked_memory(message))
            elif message[:1] == wire.PICTURE:
                return self._taken(wire.PictureMessage.unpacked(message))
            else:  # it ended: there is no other news once it is open
                self._ended = True
                return None
        return None

    def _taken(self, message: wire.PictureMessage) -> Picture | Shot:
        """A picture copied out of the shared memory, so that it is the frame's own."""
        self.drops = message.drops
        picture: Picture
        if message.slot is None:
            picture = Damaged(message.text)
        else:
            assert self._slots is not None
            picture = np.array(self._slots.picture(message.slot, message.height, message.width))
            self._process.give_back(message.slot)
        if message.times is None:
            return picture
        sent_as = None if message.slot is None else message.text or None
        return Shot(picture, *message.times, message.counter, message.camera_ns, sent_as=sent_as)

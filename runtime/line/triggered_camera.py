"""A triggered camera before the inference loop: each accepted trigger has its picture taken at once.

One thread triggers the camera as soon as the handshake has accepted, whatever the detector does meanwhile: the part
moves on. Another reads what the camera delivers. The loop gets acquisitions and pictures in the order of the triggers.
"""

import logging
import queue
import threading

from runtime.cameras.base import Source
from runtime.closing import Closing
from runtime.errors import ProctorError, SourceError, SourceTimeout
from runtime.frames import Frame, missing_frame
from runtime.line.handshake import Acquisition, Handshake
from runtime.line.pictures import Pictures
from runtime.line.results import Cause

log = logging.getLogger("proctor.line")

POLL_S = 0.1
CLOSE_S = 5.0


class TriggeredCamera(Closing):
    """Gives a loop acquisitions whose pictures are being taken, then the pictures. The source stays the caller's."""

    def __init__(self, handshake: Handshake, source: Source) -> None:
        """`source` is triggered from outside: opened with the trigger ``external``, or one that pairs with triggers."""
        self._handshake, self._source = handshake, source
        self._pictures = Pictures()
        self._triggered: queue.SimpleQueue[Acquisition] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._failure: str | None = None  # why the camera is over
        works = {"trigger": self._trigger, "pictures": self._receive}
        self._threads = [threading.Thread(target=work, name=name, daemon=True) for name, work in works.items()]
        for thread in self._threads:
            thread.start()

    def take(self, timeout_s: float) -> Acquisition | None:
        """The next acquisition, whose picture is on its way; None when there is none in time.

        Raises `SourceError` where the camera is over, for good: the line must not go on without it.
        """
        if self._failure is not None:
            raise SourceError(f"the camera is over: {self._failure}")
        try:
            return self._triggered.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def picture_of(self, acquisition: Acquisition) -> Frame:
        """Its picture, or a frame with a problem."""
        return self._pictures.take(acquisition)

    def close(self) -> None:
        """Trigger and read no more."""
        self._closing.set()
        for thread in self._threads:
            thread.join(CLOSE_S)

    def _trigger(self) -> None:
        while not self._closing.is_set():
            acquisition = self._handshake.take(POLL_S)
            if acquisition is None:
                continue
            number = acquisition.acquisition_id
            try:
                self._source.trigger(str(number))
            except Exception as error:  # whatever a driver does, this part has no picture and the line goes on
                if not isinstance(error, ProctorError):
                    log.exception("acquisition %d was not triggered", number)
                self._pictures.put(number, missing_frame(number, f"the camera was not triggered: {error}", live=True))
            self._triggered.put(acquisition)

    def _receive(self) -> None:
        while not self._closing.is_set():
            try:
                frame = self._source.read(POLL_S)
            except SourceTimeout:
                continue
            except Exception as error:
                if not isinstance(error, ProctorError):
                    log.exception("the camera broke down")
                self._end(str(error))
                return
            if frame is None:
                self._end("its stream ended")
                return
            if frame.part_id is not None and frame.part_id.isdecimal():
                number = int(frame.part_id)
                self._pictures.put(number, frame)
                self._handshake.acquired(number)

    def _end(self, reason: str) -> None:
        self._failure = reason
        self._handshake.not_ready(Cause.CAMERA, reason)

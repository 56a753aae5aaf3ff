"""A handshake served, by one detector after the other, until somebody asks for an end."""

import threading
from collections.abc import Callable
from enum import Enum
from typing import Protocol

from runtime.errors import BrokeDown, EngineError, SourceError
from runtime.line.handshake import Handshake
from runtime.line.results import Cause
from runtime.outputs import say
from runtime.service.notify import Notifier

DRAIN_S = 1.0  # beyond the deadline, for the controller to acknowledge
LOOK_S = 0.2  # between two looks at the inference loop, and at what the controller wants
CHANGE_S = 300.0  # to open another detector


class Asked(Enum):
    """What somebody wants of a runtime that serves."""

    NOTHING = 0
    RELOAD = 1
    END = 2


class Loop(Protocol):
    """An inference loop."""

    def run(self) -> None:
        """Work until `stop`."""

    def stop(self) -> None:
        """End `run` soon. From any thread."""


class Changes(Protocol):
    """Another detector in place of the one at work."""

    def wanted(self, reload: bool) -> str | None:
        """What is to be put in force now, in words; None where all stays as it is."""

    def make(self) -> Loop:
        """Put it in force: the loop over its detector. No loop runs meanwhile, and the handshake is not ready; it is
        told what came of it."""


class _Worker:
    """A loop in a thread of its own."""

    def __init__(self, loop: Loop) -> None:
        self.error: BaseException | None = None
        self._loop = loop
        self._thread = threading.Thread(target=self._work, name="inference", daemon=True)
        self._thread.start()

    def end(self, timeout_s: float) -> bool:
        """End the loop; False where it hangs, and is left behind."""
        self._loop.stop()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        try:
            self._loop.run()
        except BaseException as error:
            self.error = error


def serve(handshake: Handshake, loop: Loop, wait: Callable[[float], Asked], changes: Changes | None = None) -> None:
    """Be ready until `wait`, which is given seconds, says that somebody asked for an end; then end what is under way.

    Raises `BrokeDown` where the camera is over, where an engine cannot be opened any more, and where one hangs while
    another detector is to take its place: all of it worked, and may do so again after a start. Raises what else a loop
    or `changes` raised.
    """
    try:
        _serve(handshake, loop, wait, changes)
    except (EngineError, SourceError) as error:
        raise BrokeDown(str(error)) from error


def _serve(handshake: Handshake, loop: Loop, wait: Callable[[float], Asked], changes: Changes | None) -> None:
    notifier, worker = Notifier(), _Worker(loop)
    patience_s = handshake.deadline_s + DRAIN_S
    handshake.ready()
    notifier.ready("serving")
    say("ready")
    while worker.error is None and (asked := wait(LOOK_S)) is not Asked.END:
        notifier.alive(lambda: handshake.heartbeat)
        what = None if changes is None else changes.wanted(asked is Asked.RELOAD)
        if changes is None or what is None:
            continue
        notifier.reloading(CHANGE_S)
        handshake.finish_parts(Cause.NOT_READY, f"{what} is being put in force", patience_s)
        if not worker.end(patience_s):
            raise EngineError(f"{what} was not put in force: the engine before it hangs; start the runtime again")
        worker = _Worker(changes.make())
        notifier.ready("serving")
    notifier.stopping()
    if worker.error is None:
        handshake.drain(patience_s)
    handshake.stop()
    worker.end(patience_s)  # an engine that hangs is left behind
    if worker.error is not None:
        raise worker.error

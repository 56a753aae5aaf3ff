"""A controller that is the server: the runtime polls it, whatever the protocol.

The runtime reads the controller's registers to it and writes its own beside them, once a period. One thread alone owns
the connection: a lost one is made again after pauses that grow, with jitter, for as long as it takes. Nothing is said
twice of a controller that stays away.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from runtime.bounds import check_above_zero
from runtime.errors import ProctorError
from runtime.line.bindings import Binding
from runtime.line.levels import Levels
from runtime.pauses import Pauses

log = logging.getLogger("proctor.line")

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
CLOSE_S = 10.0


@dataclass(frozen=True)
class Unreadable:
    """What the controller holds where its registers should be."""

    triggers: bool  # whether its trigger is set, all the same
    reason: str


class Peer(Protocol):
    """A connection to the controller. Its functions raise `LineError` where it is lost."""

    def read(self) -> Sequence[int] | Unreadable:
        """The registers to the runtime, as words."""

    def write(self, words: Sequence[int]) -> None:
        """The registers from the runtime."""

    def close(self) -> None:
        """Never raises."""


class PolledController(Binding):
    """Polls one controller, in a thread of its own, until it is closed. It need not be there at the start."""

    def __init__(self, levels: Levels, place: str, connect: Callable[[], Peer], period_s: float) -> None:
        """`connect` raises a `ProctorError` where the controller is not there, or cannot be used; `place` names it."""
        check_above_zero("the period of polling", period_s)
        self.connections = 0
        self._levels, self._place, self._connect, self._period_s = levels, place, connect, period_s
        self._said = ""
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._poll, name=f"controller {place}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Tell the controller how things stand, close the connection and stop polling."""
        self._closing.set()
        self._thread.join(CLOSE_S)

    def _poll(self) -> None:
        pauses = Pauses(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        while not self._closing.is_set():
            if self._connection():
                pauses.reset()
            if pauses.wait(self._closing):
                return

    def _connection(self) -> bool:
        """One connection, until it is lost. Whether anything was exchanged."""
        peer, worked = None, False
        try:
            peer = self._connect()
            self.connections += 1
            log.info("connected to the controller at %s (connection %d)", self._place, self.connections)
            while not self._closing.is_set():
                started_s = time.monotonic()
                self._exchange(peer, begins=not worked)
                worked, self._said = True, ""
                self._closing.wait(max(0.0, self._period_s - (time.monotonic() - started_s)))
            peer.write(self._levels.read(sees=False))
        except ProctorError as error:
            self._say(str(error))
        except Exception as error:  # whatever a library makes of what arrived, the next connection is tried
            if str(error) != self._said:
                log.exception("the connection to the controller at %s broke down", self._place)
            self._said = str(error)
        finally:
            if peer is not None:
                peer.close()
        return worked

    def _exchange(self, peer: Peer, begins: bool) -> None:
        words = peer.read()
        if isinstance(words, Unreadable):
            self._levels.unreadable(words.triggers, words.reason)
        elif begins:
            self._levels.begin(words)
        else:
            self._levels.write(words)
        if begins:  # what was written last may not have arrived
            self._levels.handshake.unsee()
        peer.write(self._levels.read())

    def _say(self, reason: str) -> None:
        if reason != self._said:
            log.warning("the controller at %s: %s; connecting until it is there", self._place, reason)
        self._said = reason

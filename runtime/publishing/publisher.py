"""What every publisher has: an outbox, a word about what does not work, and an end."""

import logging
import time
from abc import abstractmethod

from runtime.closing import Closing
from runtime.publishing.documents import Queued
from runtime.publishing.outbox import Outbox

SAY_EVERY_S = 60.0


class Publisher(Closing):
    """Takes documents from any thread, without ever waiting, and delivers them in a thread of its own."""

    outbox: Outbox

    @abstractmethod
    def add(self, document: Queued) -> None:
        """Take one."""


class Complaints:
    """What is logged of a peer that takes nothing: once, once a minute as long as it goes on, and its end."""

    def __init__(self, log: logging.Logger, who: str, outbox: Outbox) -> None:
        """`who` is the peer, without secrets."""
        self._log, self._who, self._outbox = log, who, outbox
        self._said, self._says_s = "", -float("inf")

    def say(self, problem: str) -> None:
        """What the peer does, as in "cannot be reached"."""
        if problem == self._said and time.monotonic() < self._says_s:
            return
        self._said, self._says_s = problem, time.monotonic() + SAY_EVERY_S
        self._log.warning(
            "%s %s; inspection goes on, %d messages wait, %d were dropped",
            self._who, problem, self._outbox.waiting, self._outbox.dropped,
        )  # fmt: skip

    def end(self) -> None:
        """The peer works."""
        if self._said:
            waiting, dropped = self._outbox.waiting, self._outbox.dropped
            self._log.warning("%s is back; %d messages waited, %d were dropped", self._who, waiting, dropped)
        self._said = ""

    def at_the_end(self) -> None:
        """What never arrived."""
        if self._outbox.dropped:
            self._log.warning("%d messages did not arrive at %s", self._outbox.dropped, self._who)

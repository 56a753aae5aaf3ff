"""What waits for a broker or a receiver that is slow or away: in memory, of a stated size, the oldest dropped first."""

import threading
from collections import deque
from collections.abc import Sequence

from runtime.bounds import check_between
from runtime.publishing.documents import Queued

QUEUE, MOST_QUEUED = 1_000, 100_000  # documents, about 1 kB each


class Outbox:
    """A bounded queue, and the condition that its owner waits for. From any thread; adding never waits for anybody."""

    def __init__(self, bound: int = QUEUE) -> None:
        """Raises `InputError` for a bound outside 1 to 100,000."""
        check_between("the queue of verdicts", bound, 1, MOST_QUEUED)
        self.bound = bound
        self.changed = threading.Condition()  # its lock is held for moments only, and no other is taken under it
        self.added = self.dropped = self.delivered = 0
        self._waiting: deque[Queued] = deque()
        self._in_hand = 0
        self._told = 0  # of those that were dropped
        self._is_over = False

    def add(self, document: Queued) -> None:
        """At the end. Where the queue is full, its oldest is dropped."""
        with self.changed:
            self.added += 1
            self._waiting.append(document)
            self._trim()
            if self._is_over:
                self._drop_all()
            self.changed.notify_all()

    def take(self) -> Queued | None:
        """The oldest, for delivery; `settle` or `put_back` says how that went."""
        with self.changed:
            if not self._waiting:
                return None
            self._in_hand += 1
            return self._waiting.popleft()

    def settle(self, document: Queued, arrived: bool) -> None:
        """One that was taken has arrived, or will never be taken by the other side; or one that tells of such."""
        with self.changed:
            if self._is_over:
                return
            if document.tells:  # also where it is refused: the next one's total has these in it
                self._told = max(self._told, document.tells)
                return
            self._in_hand -= 1
            self.delivered += arrived
            self.dropped += not arrived

    def put_back(self, documents: Sequence[Queued], settled: Sequence[Queued] = ()) -> None:
        """Those of which it is not known whether they arrived, oldest first: they come again, after those that were
        `settled` as arrived and may not have. What tells of dropped ones is made anew."""
        with self.changed:
            if self._is_over:
                return
            again = [document for document in documents if not document.tells]
            self._in_hand -= len(again)
            self.delivered -= len(settled)
            self._waiting.extendleft(reversed([*settled, *again]))
            self._trim()

    def end(self) -> None:
        """Nothing more is delivered: what waits, is in hand or comes from now on is dropped."""
        with self.changed:
            self._is_over = True
            self._drop_all()

    def _drop_all(self) -> None:
        self.dropped += len(self._waiting) + self._in_hand
        self._in_hand = 0
        self._waiting.clear()

    @property
    def untold(self) -> int:
        """How many were dropped of which the other side was not told."""
        with self.changed:
            return self.dropped - self._told

    @property
    def waiting(self) -> int:
        """How many are not delivered."""
        with self.changed:
            return len(self._waiting) + self._in_hand

    @property
    def has_more(self) -> bool:
        """Whether one could be taken. For whoever has the lock of `changed`, or can be wrong."""
        return bool(self._waiting)

    def _trim(self) -> None:
        while self._waiting and len(self._waiting) + self._in_hand > self.bound:
            self._waiting.popleft()
            self.dropped += 1

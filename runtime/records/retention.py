"""Which records go: those that are too old or too many, whatever the wall clock does meanwhile.

A wall clock may be wrong: a battery is empty, somebody sets it by hand. Two things keep it from taking records along.

- Days are counted at most `FASTEST` times as fast as the station runs. A clock that is a year ahead for an hour costs
  the records of ten hours, which would have been the next to go; a station that was off catches up in a tenth of the
  time. The count is kept in the file.
- Records go in the order of writing. One whose time is too old goes when all before it are; one whose time is ahead of
  the clock says nothing of its age, and goes with the next that does.
"""

import math
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass

from runtime.bounds import check_above_zero, check_between

FEWEST_BYTES = 100_000  # a file without a record has 61,440, and nothing would stay in it
ROWS = 5_000  # a step; a day of a fast line takes seconds
FASTEST = 10
KEPT_EVERY_NS = 60 * 10**9  # of time counted
DAY_NS = 86_400 * 10**9


@dataclass(frozen=True)
class Retention:
    """How much is kept. Whichever bound is reached first, the oldest records go."""

    days: float | None = None
    bytes: int | None = None  # of the file; while it is written to, its journal comes on top, some MB

    def __post_init__(self) -> None:
        check_above_zero("the days that records are kept", self.days)
        check_between("the room for records, in bytes,", self.bytes, FEWEST_BYTES)


class Expiry:
    """Deletes what is too old or too many, a step at a time. For the thread that writes records."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        retention: Retention,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` is the wall clock, `steady` one that nobody sets."""
        self._connection, self._retention, self._clock, self._steady = connection, retention, clock, steady
        self._since_s = steady()
        self._counted_ns, self._kept_ns = self._begun(), 0

    def step(self) -> bool:
        """Delete some records, if any are to go. Whether some were."""
        if too_many := self._too_many():
            return self._delete("id IN (SELECT id FROM verdicts ORDER BY id LIMIT ?)", min(too_many, ROWS))
        if self._retention.days is None:
            return False
        now_ns = self._now_ns()
        self._count(now_ns)
        before = self._outdated(round(min(now_ns, self._counted_ns) - self._retention.days * DAY_NS), now_ns)
        return before is not None and self._delete("id < ?", before)

    def size(self) -> int:
        """Bytes that the file has, without pages that are free."""
        pages, free, size = (
            self._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def _now_ns(self) -> int:
        return round(self._clock() * 1e9)

    def _begun(self) -> int:
        """Up to when was counted before: in a file from before there was a count, up to its newest record."""
        found = self._connection.execute("SELECT counted_ns FROM clock").fetchone()
        if found is not None:
            return int(found[0])
        newest = self._connection.execute("SELECT decided_ns FROM verdicts ORDER BY id DESC LIMIT 1").fetchone()
        now_ns = self._now_ns()
        return now_ns if newest is None else min(now_ns, int(newest[0]))

    def _count(self, now_ns: int) -> None:
        """Count on towards the wall clock, and never back."""
        now_s = self._steady()
        most_ns = self._counted_ns + round(FASTEST * (now_s - self._since_s) * 1e9)
        self._since_s = now_s
        self._counted_ns = max(self._counted_ns, min(now_ns, most_ns))
        if self._counted_ns - self._kept_ns >= KEPT_EVERY_NS:
            values = (self._counted_ns,)
            if not self._connection.execute("UPDATE clock SET counted_ns = ?", values).rowcount:
                self._connection.execute("INSERT INTO clock (counted_ns) VALUES (?)", values)
            self._kept_ns = self._counted_ns

    def _outdated(self, oldest_ns: int, now_ns: int) -> int | None:
        """The number before which all records are too old, or None. A `+` keeps SQLite from the index of times."""
        (first,) = self._connection.execute("SELECT min(id) FROM verdicts").fetchone()
        if first is None:
            return None
        kept = self._one(
            "id < ? AND +decided_ns BETWEEN ? AND ? ORDER BY id", first + ROWS, oldest_ns, now_ns
        )  # the first whose time can be, and is not too old
        old = self._one("id < ? AND +decided_ns < ? ORDER BY id DESC", kept or first + ROWS, oldest_ns)
        if old is not None:
            return old + 1
        if kept is not None or now_ns < self._counted_ns:
            return None
        # all of these are ahead of the clock: the next one that is not tells how old they are at least
        following = self._one("id >= ? AND +decided_ns <= ? ORDER BY id", first + ROWS, now_ns)
        if following is None or self._one("id = ? AND +decided_ns < ?", following, oldest_ns) is None:
            return None
        return int(first) + ROWS

    def _one(self, where: str, *values: int) -> int | None:
        found = self._connection.execute(f"SELECT id FROM verdicts WHERE {where} LIMIT 1", values).fetchone()
        return None if found is None else int(found[0])

    def _delete(self, where: str, value: int) -> bool:
        return self._connection.execute(f"DELETE FROM verdicts WHERE {where}", (value,)).rowcount > 0

    def _too_many(self) -> int:
        """How many records are to go for the file to be within its bytes."""
        most, size = self._retention.bytes, self.size()
        if most is None or size <= most:
            return 0
        first, last = self._connection.execute("SELECT min(id), max(id) FROM verdicts").fetchone()
        return 0 if first is None else math.ceil((last - first + 1) * (1 - most / size))

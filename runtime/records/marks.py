"""What people say of a recorded part: a false reject, a real defect, or one that was missed.

Marks are written beside the stream that writes the records, by another process. Each is kept, with who made it and
when; the last one of a part counts.
"""

import sqlite3
import time
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path

from runtime.closing import Closing
from runtime.errors import InputError
from runtime.line.results import Code
from runtime.records.record import storable
from runtime.records.schema import opened
from runtime.records.store import FILE


class Mark(IntEnum):
    """What a part really was."""

    NONE = 0  # an earlier mark is taken back
    FALSE_REJECT = 1
    REAL_DEFECT = 2
    MISSED = 3  # OK, and defective

    @property
    def words(self) -> str:
        """For people."""
        return self.name.lower().replace("_", " ")


# by whether the part was rejected: what can be said of it
OF_REJECTED = (Mark.NONE, Mark.FALSE_REJECT, Mark.REAL_DEFECT)
OF_PASSED = (Mark.NONE, Mark.MISSED)


class Marks(Closing):
    """Writes marks. For one thread."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        """Raises as `runtime.records.schema.opened`."""
        self.folder, self._clock = folder, clock
        if not (folder / FILE).is_file():
            raise InputError(
                f"there are no records in {folder}; give the folder that --records of the stream was given"
            )
        self._connection = opened(folder / FILE, writes=True)

    def add(self, record: int, mark: Mark, by: str) -> None:
        """Mark the record of that number. Raises `InputError` where there is none, and for a mark that means nothing
        of such a verdict."""
        try:
            row = self._connection.execute("SELECT decision FROM verdicts WHERE id = ?", (record,)).fetchone()
            if row is None:
                raise InputError(f"there is no record {record} any more")
            allowed = OF_PASSED if Code(row[0]) is Code.OK else OF_REJECTED
            if mark not in allowed:
                was = "OK" if allowed is OF_PASSED else "rejected"
                raise InputError(f"the part was {was}; expected {', '.join(each.words for each in allowed)}")
            self._connection.execute(
                "INSERT INTO marks (verdict, mark, by, at_ns) VALUES (?, ?, ?, ?)",
                (record, int(mark), storable(by), round(self._clock() * 1e9)),
            )
        except sqlite3.Error as error:
            raise InputError(f"the mark was not written ({error}); try again") from error

    def close(self) -> None:
        """See `Closing`."""
        self._connection.close()

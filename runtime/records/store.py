"""The writer: one thread that writes records in batches, and deletes those that are too old or too many.

`add` never waits for the disk. Records that the disk does not take wait, up to `MOST_WAITING`; beyond it the oldest are
lost and counted, and so is one that SQLite can never take. What was added is on the disk `BATCH_S` later; a process
that is killed loses that much, a power cut as much as SQLite's ``synchronous = NORMAL`` may: the last commits, never
the file.
"""

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.closing import Closing
from runtime.line.results import Code
from runtime.outputs import say
from runtime.records.clock import is_synchronized
from runtime.records.images import ImageBounds, ImageRing, ImageWriter, StoredImage
from runtime.records.record import Record, storable
from runtime.records.retention import Expiry, Retention
from runtime.records.schema import opened
from runtime.versions import release

log = logging.getLogger("proctor.records")

FILE = "records.sqlite"
BATCH_S, BATCH_ROWS = 0.05, 2_000
MOST_IMAGES = 200  # that no row names yet, since the file of records cannot be written
MOST_WAITING = 100_000  # records, some 50 MB
CLOCK_EVERY_S = 10.0
RETENTION_EVERY_S = 1.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
CLOSE_S, CLOSING_PAUSE_S = 10.0, 0.05
SAY_EVERY_S = 60.0
# of SQLite's errors those that a record's values cause; the others are of the disk, the file or the memory, and pass
_OF_A_RECORD = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError)

_INSERT = """INSERT INTO verdicts (id, session, camera, recipe, batch, frame_id, part_id, serial, decided_ns,
    captured_ns, synchronized, latency_us, decision, mode, score, threshold, reason, details)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""


class RecordStore(Closing):
    """Writes the records of one station into ``FOLDER/records.sqlite``. From any thread."""

    def __init__(
        self,
        folder: Path,
        retention: Retention | None = None,
        images: ImageBounds | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raises `InputError` where the file cannot be used; see `runtime.records.schema.opened`. After a kill its disk
        may be full: records then wait, and `session` is 0, until there is room."""
        self.folder = folder
        self.lost = self.written = 0
        self._waiting: deque[tuple[int, Record]] = deque()  # with their numbers
        self._in_hand: list[tuple[int, Record]] = []  # the writer's batch
        self._images: list[StoredImage] = []  # that have no row yet
        self._changed = threading.Condition()
        self._failing = False
        self._says_s = -float("inf")  # monotonic clock; from when on the next record that cannot be written is said
        self._closes_s: float | None = None  # monotonic clock; from when on what is not written is lost
        self._names: dict[str, int] = {}
        self._synchronized, self._asked_s = is_synchronized(), time.monotonic()
        self._connection = opened(folder / FILE, writes=True)
        self._expiry = Expiry(self._connection, retention or Retention(), clock)
        self._begun_ns, self.session = round(clock() * 1e9), 0
        try:
            self._begin()
        except sqlite3.OperationalError as error:  # a disk that is full; a line that is started again must inspect
            self._failed(error)
        self._ok_every, self._oks = (images or ImageBounds()).ok_every, 0
        self._pictures = ImageWriter(folder)
        self._ring = ImageRing(self._connection, folder, images or ImageBounds())
        (self._last_id,) = self._connection.execute(
            "SELECT max(ifnull((SELECT max(id) FROM verdicts), 0), ifnull((SELECT max(verdict) FROM images), 0))"
        ).fetchone()
        self._thread = threading.Thread(target=self._work, name="records", daemon=True)
        self._thread.start()

    @property
    def lost_pictures(self) -> int:
        """Pictures that were to be kept and are not."""
        return self._pictures.lost

    def add(self, record: Record, image: NDArray[np.uint8] | None = None) -> int:
        """Take a record, and the picture [H, W, 3] of the part; the record's number. Returns at once.

        Of every reject the picture is kept, of the others now and then (`ImageBounds.ok_every`).
        """
        with self._changed:
            self._last_id += 1
            number: int = self._last_id
            self._waiting.append((number, record))
            if len(self._waiting) > MOST_WAITING:
                self._waiting.popleft()
                self.lost += 1
            if len(self._waiting) == 1 or len(self._waiting) == BATCH_ROWS:
                self._changed.notify()
        if image is not None and image.size and self._is_kept(record):
            self._pictures.add(number, record.decision == Code.OK, image)
        return number

    def _is_kept(self, record: Record) -> bool:
        if record.decision != Code.OK:
            return True
        self._oks += 1
        return self._ok_every > 0 and self._oks % self._ok_every == 0

    def settle(self, timeout_s: float = CLOSE_S) -> bool:
        """Wait until all that was added is written. Whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._in_hand, timeout_s)

    def close(self) -> None:
        """Write what waits, and close. What the disk does not take within 10 s is lost, counted and said."""
        self._pictures.close()
        with self._changed:
            if self._closes_s is None:
                self._closes_s = time.monotonic() + CLOSE_S
            self._changed.notify_all()
        self._thread.join(2 * CLOSE_S)
        if self._thread.is_alive():  # in a call that the disk does not answer
            self._discard()

    def _work(self) -> None:
        pause_s, tidied_s = FIRST_PAUSE_S, time.monotonic()
        while not self._is_done():
            try:
                self._take()
                self._images += self._pictures.take_written()
                if self._in_hand or self._images:
                    refused = self._write(self._in_hand, self._images)
                    self._images = []
                    self._worked(refused)
                    self._ring.shrink()
                if time.monotonic() - tidied_s >= RETENTION_EVERY_S:
                    tidied_s = time.monotonic()
                    self._tidy()
                pause_s = FIRST_PAUSE_S
            except Exception as error:  # whatever it is, it may pass, and nobody else writes what comes
                self._failed(error)
                if (most := len(self._images) - MOST_IMAGES) > 0:  # their bound is the rows', which are not written
                    self._pictures.forget(self._images[:most])
                    del self._images[:most]
                with self._changed:
                    self._changed.wait_for(lambda: self._closes_s is not None, pause_s)
                if self._closes_s is not None:
                    time.sleep(CLOSING_PAUSE_S)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        self._finish()

    def _is_done(self) -> bool:
        """Whether the store is closed, and all is written, with the rows of pictures that came last, or time is up."""
        with self._changed:
            if self._closes_s is None:
                return False
            left = self._waiting or self._in_hand or self._images or self._pictures.has_written
            return not left or time.monotonic() > self._closes_s

    def _take(self) -> None:
        """Wait for a batch, and take it in hand."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closes_s is not None, RETENTION_EVERY_S)
            if self._waiting and self._closes_s is None and len(self._waiting) < BATCH_ROWS:
                self._changed.wait_for(lambda: len(self._waiting) >= BATCH_ROWS or self._closes_s is not None, BATCH_S)
            while self._waiting and len(self._in_hand) < BATCH_ROWS:
                self._in_hand.append(self._waiting.popleft())

    def _finish(self) -> None:
        self._pictures.forget(self._images + self._pictures.take_written())
        self._discard()
        try:
            self._connection.close()
        except sqlite3.Error:
            log.exception("the records were not closed")

    def _discard(self) -> None:
        """Count what is left as lost, and say all that is."""
        with self._changed:
            left = len(self._waiting) + len(self._in_hand)
            self.lost += left
            self._waiting.clear()
            self._in_hand = []
            self._changed.notify_all()
        if self.lost:
            at_the_end = f", {left:,} of them at the end" if left else ""
            say(f"warning: {self.lost:,} records were NOT written{at_the_end}")
        if self.lost_pictures:
            say(f"warning: {self.lost_pictures:,} pictures of the records were NOT kept")

    def _begin(self) -> None:
        """Write that a session began, once."""
        if self.session == 0:
            values = (self._begun_ns, release())
            cursor = self._connection.execute("INSERT INTO sessions (begun_ns, software) VALUES (?, ?)", values)
            self.session = int(cursor.lastrowid or 0)

    def _write(self, batch: list[tuple[int, Record]], images: list[StoredImage]) -> list[Exception]:
        """Write these in one transaction, or none of them; why some records cannot be written, ever."""
        self._begin()
        if time.monotonic() - self._asked_s >= CLOCK_EVERY_S:
            self._synchronized, self._asked_s = is_synchronized(), time.monotonic()
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            refused = [error for each in batch if (error := self._refused(*each))]
            self._ring.add(images)
            self._connection.execute("COMMIT")
        except BaseException:
            self._names.clear()  # some may not be in the file
            self._ring.doubt()
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        return refused

    def _refused(self, number: int, record: Record) -> Exception | None:
        """Write one; why it can never be written, which would hold up all others if it was tried again."""
        try:
            self._connection.execute(_INSERT, self._row(number, record))  # one that fails leaves the transaction as is
        except _OF_A_RECORD as error:
            return error
        except (sqlite3.Error, OSError, MemoryError):
            raise
        except Exception as error:  # as a number of more than 64 bits
            return error
        return None

    def _row(self, number: int, record: Record) -> tuple[object, ...]:
        return (
            number, self.session, self._name(record.camera), self._name(record.recipe), self._name(record.batch),
            record.frame_id, _text(record.part_id), _text(record.serial), record.decided_ns, record.captured_ns,
            self._synchronized, record.latency_us, record.decision, record.mode, record.score, record.threshold,
            _text(record.reason), _text(record.details),
        )  # fmt: skip

    def _name(self, given: str | None) -> int | None:
        text = _text(given)
        if text is None:
            return None
        if text not in self._names:
            if len(self._names) > 10_000:
                self._names.clear()
            self._connection.execute("INSERT OR IGNORE INTO names (text) VALUES (?)", (text,))
            (self._names[text],) = self._connection.execute("SELECT id FROM names WHERE text = ?", (text,)).fetchone()
        return self._names[text]

    def _worked(self, refused: list[Exception]) -> None:
        with self._changed:
            self.written += len(self._in_hand) - len(refused)
            self.lost += len(refused)
            self._in_hand = []
            self._changed.notify_all()
        if refused and time.monotonic() >= self._says_s:
            self._says_s = time.monotonic() + SAY_EVERY_S
            say(f"warning: a record cannot be written ({refused[0]}); others are, {self.lost:,} lost so far")
        if self._failing:
            self._failing = False
            say(f"records are written again; {self.lost:,} were lost")

    def _failed(self, error: Exception) -> None:
        if not self._failing:
            self._failing = True
            if not isinstance(error, sqlite3.Error | OSError):
                log.error("the writer of the records failed", exc_info=error)
            say(f"warning: records are not written ({error}); inspection goes on, {MOST_WAITING:,} are kept in memory")

    def _tidy(self) -> None:
        """One step of retention."""
        if not self._expiry.step():
            return
        (first,) = self._connection.execute("SELECT ifnull(min(id), ?) FROM verdicts", (self._last_id + 1,)).fetchone()
        self._ring.forget_before(first)
        self._connection.execute("DELETE FROM marks WHERE verdict < ?", (first,))
        self._connection.executescript("PRAGMA incremental_vacuum")  # `execute` would free one page


def _text(text: str | None) -> str | None:
    return None if text is None else storable(text)

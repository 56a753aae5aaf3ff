"""Pictures beside the records: written whole or not at all, and bounded by bytes.

A picture and its thumbnail are files below the folder of the records. Where they take more than they may, the oldest
picture of a part that was OK goes first, and those of rejects only when no other is left. Thumbnails have a bound of
their own, so that of an old part there is more than its score.
"""

import queue
import shutil
import sqlite3
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.atomic import removed_on_error
from runtime.bounds import check_above_zero, check_between
from runtime.closing import Closing
from runtime.outputs import say
from runtime.reduced import reduced

FRAME, THUMBNAIL = 0, 1
FOLDER = "images"
QUALITY, THUMBNAIL_QUALITY = 92, 80
THUMBNAIL_SIDE = 160  # pixels of the longer side
WAITING = 8  # pictures
LEAST_FREE_BYTES = 256 * 2**20  # of the disk, which records and logs need, too
EVICTED_AT_ONCE = 200
SAY_EVERY_S = 60.0
CLOSE_S = 10.0


@dataclass(frozen=True)
class ImageBounds:
    """What pictures may take, and which are kept."""

    bytes: int = 10 * 10**9  # of pictures
    thumbnail_bytes: int = 10**9
    ok_every: int = 20  # of the parts that are OK one in so many is kept; 0: none

    def __post_init__(self) -> None:
        check_above_zero("the bytes that pictures may take", self.bytes)
        check_above_zero("the bytes that thumbnails may take", self.thumbnail_bytes)
        check_between("ok_every", self.ok_every, 0)


@dataclass(frozen=True)
class StoredImage:
    """A row of the table `images`."""

    verdict: int
    kind: int
    ok: bool
    bytes: int
    path: str


class ImageWriter(Closing):
    """Writes pictures in a thread of its own; those that the disk does not take in time are lost and counted."""

    def __init__(self, folder: Path) -> None:
        self.lost = 0
        self._is_closed = False
        self._folder = folder
        self._waiting: queue.Queue[tuple[int, bool, NDArray[np.uint8]] | None] = queue.Queue(WAITING)
        self._written: queue.SimpleQueue[StoredImage] = queue.SimpleQueue()
        self._says_s = -float("inf")
        self._thread = threading.Thread(target=self._work, name="pictures", daemon=True)
        self._thread.start()

    def add(self, verdict: int, ok: bool, image: NDArray[np.uint8]) -> None:
        """Keep a picture of a record, uint8 [H, W, 3], BGR. Returns at once."""
        try:
            self._waiting.put_nowait((verdict, ok, image))
        except queue.Full:
            self._lose("the disk is too slow for them")

    def take_written(self) -> list[StoredImage]:
        """The pictures that were written since this was asked last."""
        found = []
        while not self._written.empty():
            found.append(self._written.get())
        return found

    @property
    def has_written(self) -> bool:
        """Whether pictures were written since they were taken last."""
        return not self._written.empty()

    def forget(self, images: list[StoredImage]) -> None:
        """Count pictures as lost that no row will name, and delete them: nobody would find or delete them later."""
        self.lost += sum(each.kind == FRAME for each in images)
        for each in images:
            with suppress(OSError):
                (self._folder / each.path).unlink(missing_ok=True)

    def close(self) -> None:
        """Write what waits; what the disk does not take in time is lost."""
        if self._is_closed:
            return
        self._is_closed = True
        with suppress(queue.Full):
            self._waiting.put(None, timeout=CLOSE_S)
            self._thread.join(CLOSE_S)
        if self._thread.is_alive():
            self._leave_behind()

    def _leave_behind(self) -> None:
        """Count what waits for a disk that hangs, with the one in hand, and let the thread end if it ever can."""
        self.lost += 1
        with suppress(queue.Empty):
            while True:
                self.lost += self._waiting.get_nowait() is not None
        with suppress(queue.Full):
            self._waiting.put_nowait(None)

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            try:
                self._write(*item)
            except Exception as error:  # whatever it is, the next one may be written
                self._lose(str(error))

    def _write(self, verdict: int, ok: bool, image: NDArray[np.uint8]) -> None:
        if shutil.disk_usage(self._folder).free < LEAST_FREE_BYTES:
            raise OSError(f"less than {LEAST_FREE_BYTES / 2**20:.0f} MB are free on the disk of {self._folder}")
        small = reduced(image, THUMBNAIL_SIDE)
        for kind, picture, quality in ((FRAME, image, QUALITY), (THUMBNAIL, small, THUMBNAIL_QUALITY)):
            data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
            place = place_of(verdict, kind)
            path = self._folder / place
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".{path.name}")
            with removed_on_error(partial):
                partial.write_bytes(data)
                partial.replace(path)
            self._written.put(StoredImage(verdict, kind, ok, len(data), place))

    def _lose(self, reason: str) -> None:
        self.lost += 1
        if time.monotonic() >= self._says_s:
            self._says_s = time.monotonic() + SAY_EVERY_S
            say(f"warning: pictures are not kept ({reason}); records are, {self.lost:,} pictures lost so far")


class ImageRing:
    """The pictures that are there, by the table's rows, within their bounds. For the thread that writes records."""

    def __init__(self, connection: sqlite3.Connection, folder: Path, bounds: ImageBounds) -> None:
        self._connection, self._folder = connection, folder
        self._most = {FRAME: bounds.bytes, THUMBNAIL: bounds.thumbnail_bytes}
        self._bytes = self._sums()
        self._is_sure = True  # whether the bytes are those of the table

    def add(self, images: list[StoredImage]) -> None:
        """Take note of pictures that were written. Within a transaction; where it fails, `doubt` is to be called."""
        self._connection.executemany(
            "INSERT INTO images (verdict, kind, ok, bytes, path) VALUES (?, ?, ?, ?, ?)",
            [(each.verdict, each.kind, each.ok, each.bytes, each.path) for each in images],
        )
        for each in images:
            self._bytes[each.kind] += each.bytes

    def doubt(self) -> None:
        """A change of the table failed, and nobody knows how much of it is there: it is asked before the next
        picture is deleted. Counted on, each attempt would add the same pictures once more."""
        self._is_sure = False

    def shrink(self) -> None:
        """Delete pictures until both kinds are within their bounds."""
        if not self._is_sure:
            self._bytes, self._is_sure = self._sums(), True
        for kind, most in self._most.items():
            while self._bytes[kind] > most and self._evict(kind, self._bytes[kind] - most):
                pass

    def forget_before(self, verdict: int) -> None:
        """Delete the pictures of records that are gone: those below a number."""
        while rows := self._connection.execute(
            "SELECT id, kind, bytes, path FROM images WHERE verdict < ? LIMIT ?", (verdict, EVICTED_AT_ONCE)
        ).fetchall():
            self._delete(rows)

    def _evict(self, kind: int, too_many: int) -> bool:
        """One step. The file goes before its row: a row without a file is found again, a file without a row is not."""
        rows, freed = [], 0
        for row in self._connection.execute(
            "SELECT id, kind, bytes, path FROM images WHERE kind = ? ORDER BY ok DESC, id LIMIT ?",
            (kind, EVICTED_AT_ONCE),
        ):
            if freed >= too_many:
                break
            rows.append(row)
            freed += row[2]
        self._delete(rows)
        return bool(rows)

    def _delete(self, rows: list[tuple[int, int, int, str]]) -> None:
        for *_, path in rows:
            (self._folder / path).unlink(missing_ok=True)
        try:
            self._connection.executemany("DELETE FROM images WHERE id = ?", [(row[0],) for row in rows])
        except sqlite3.Error:
            self.doubt()  # each row goes by itself: some may be gone
            raise
        for _, kind, size, _ in rows:
            self._bytes[kind] -= size

    def _sums(self) -> dict[int, int]:
        rows = self._connection.execute("SELECT kind, sum(bytes) FROM images GROUP BY kind").fetchall()
        return {FRAME: 0, THUMBNAIL: 0} | dict(rows)


def place_of(verdict: int, kind: int) -> str:
    """Where a picture lies below the folder of the records; a thousand in a folder."""
    return f"{FOLDER}/{verdict // 1000:09d}/{verdict:012d}{'-small' if kind == THUMBNAIL else ''}.jpg"

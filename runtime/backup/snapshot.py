"""SQLite files copied while others write to them, by SQLite's online backup."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from runtime.errors import InputError
from runtime.records.schema import APPLICATION_ID

MAGIC = b"SQLite format 3\0"
BESIDE = ("-wal", "-shm", "-journal")  # files of an SQLite file that is open, which its copy has no need of
BUSY_S = 30.0


def is_sqlite(path: Path) -> bool:
    """Whether a file is one of SQLite's. Raises `OSError` for one that cannot be read."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def is_records(path: Path) -> bool:
    """Whether an SQLite file holds a station's records. Raises `InputError` for one that is damaged."""
    with _connected(path, "mode=ro") as connection:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'images'").fetchone()
    return bool(application == APPLICATION_ID and tables)


def snapshot(source: Path, copy: Path) -> None:
    """Copy an SQLite file as it is at one moment, in one piece. Whoever writes to it goes on meanwhile.

    Raises `InputError` where it cannot be read, or is damaged: a damaged file is not backed up over a good one.
    """
    with _connected(source, "mode=ro") as reading, _connected(copy, "mode=rwc") as writing:
        reading.backup(writing)  # all pages in one step: others' writes in between would begin it anew
        # the copy is one file, without a log beside it
        writing.execute("PRAGMA journal_mode = DELETE")
        (verdict,) = writing.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise InputError(f"{source} is damaged ({verdict}); restore an earlier backup of it")


def pictures(copy: Path) -> list[str]:
    """The pictures that a copy of records names, by their paths below the records' folder."""
    with _connected(copy, "mode=ro") as connection:
        return [path for (path,) in connection.execute("SELECT path FROM images ORDER BY id")]


def forget_pictures(copy: Path, is_gone: Callable[[str], bool]) -> None:
    """Take the pictures out of a copy of records that are not backed up with it: a row stands for a file."""
    with _connected(copy, "mode=rw") as connection:
        connection.execute("BEGIN")
        rows = connection.execute("SELECT id, path FROM images ORDER BY id").fetchall()
        # by number: paths have no index, and each would be looked for in all rows
        connection.executemany("DELETE FROM images WHERE id = ?", [(row,) for row, path in rows if is_gone(path)])
        connection.execute("COMMIT")


@contextmanager
def _connected(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    try:
        uri = f"{path.resolve().as_uri()}?{mode}"
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise InputError(f"{path} cannot be backed up ({error}); check it with sqlite3 and its permissions") from error

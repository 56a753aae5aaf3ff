"""The tables, and how a file of an earlier version becomes one of today's.

A migration is one more entry of `MIGRATIONS`; those that are there never change. `PRAGMA user_version` counts the ones
that were run.
"""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from runtime.errors import InputError

LEAST_FREE_BYTES = 2**20  # SQLite writes files beside its own when it opens one
APPLICATION_ID = 0x50524354  # "PRCT", at a fixed place of the file: what `file` and SQLite's tools show

MIGRATIONS = (
    """
    CREATE TABLE sessions (
        id INTEGER PRIMARY KEY,
        begun_ns INTEGER NOT NULL,            -- UTC, nanoseconds since 1970
        software TEXT NOT NULL
    );
    CREATE TABLE names (                      -- texts that repeat: cameras, orders, recipes' hashes
        id INTEGER PRIMARY KEY,
        text TEXT NOT NULL UNIQUE
    );
    CREATE TABLE verdicts (
        id INTEGER PRIMARY KEY,               -- in the order of writing, whatever the wall clock did
        session INTEGER NOT NULL REFERENCES sessions (id),
        camera INTEGER REFERENCES names (id),
        recipe INTEGER REFERENCES names (id),
        batch INTEGER REFERENCES names (id),  -- the controller's order or batch
        frame_id INTEGER NOT NULL,
        part_id TEXT,
        serial TEXT,
        decided_ns INTEGER NOT NULL,          -- UTC, nanoseconds since 1970
        captured_ns INTEGER NOT NULL,
        synchronized INTEGER,                 -- whether something kept the wall clock right; NULL: not known
        latency_us INTEGER NOT NULL,          -- by the monotonic clock
        decision INTEGER NOT NULL,            -- 1 OK, 2 NG, 3 NO_DECISION
        mode INTEGER NOT NULL,                -- of runtime.line.results.Mode
        score REAL,
        threshold REAL NOT NULL,
        reason TEXT,                          -- NULL for an OK within its threshold
        details TEXT                          -- JSON: regions, scores by evidence, terms, what rejected; or NULL
    );
    CREATE INDEX verdicts_by_part ON verdicts (part_id) WHERE part_id IS NOT NULL;
    CREATE INDEX verdicts_by_serial ON verdicts (serial) WHERE serial IS NOT NULL;
    CREATE INDEX verdicts_by_time ON verdicts (decided_ns);
    CREATE TABLE images (
        id INTEGER PRIMARY KEY,
        verdict INTEGER NOT NULL,
        kind INTEGER NOT NULL,                -- 0 frame, 1 thumbnail
        ok INTEGER NOT NULL,                  -- whether the verdict was OK: these go first
        bytes INTEGER NOT NULL,
        path TEXT NOT NULL                    -- below the folder of the records
    );
    CREATE INDEX images_by_age ON images (kind, ok DESC, id);
    CREATE INDEX images_by_verdict ON images (verdict);
    """,
    """
    CREATE TABLE clock (                      -- one row
        counted_ns INTEGER NOT NULL           -- UTC; up to when days were counted, see runtime.records.retention
    );
    """,
    """
    CREATE TABLE marks (                      -- what people say of a part; the last row of a verdict counts
        id INTEGER PRIMARY KEY,
        verdict INTEGER NOT NULL,
        mark INTEGER NOT NULL,                -- of runtime.records.marks.Mark
        by TEXT NOT NULL,
        at_ns INTEGER NOT NULL                -- UTC, nanoseconds since 1970
    );
    CREATE INDEX marks_by_verdict ON marks (verdict);
    """,
)


def opened(path: Path, writes: bool) -> sqlite3.Connection:
    """The records in a file, of today's version; with `writes` it is made or brought up to date.

    Raises `InputError` for a file of a later version, one that holds something else, and one that cannot be opened.
    """
    try:
        if writes:
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
        elif not path.is_file():
            raise InputError(f"there are no records at {path}; give the folder that --records of the stream was given")
        else:
            connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5.0)
    except (sqlite3.Error, OSError) as error:
        raise InputError(
            f"the records {path} cannot be opened ({error}); check the path and its permissions"
        ) from error
    try:
        _check(connection, path)
        if writes:
            _prepare(connection)
        elif _version(connection) < len(MIGRATIONS):
            raise InputError(f"{path} is of an earlier version; the stream brings it up to date when it writes to it")
    except sqlite3.DatabaseError as error:
        connection.close()
        full = shutil.disk_usage(path.parent).free < LEAST_FREE_BYTES
        advice = "its disk is full: make room" if full else "move it away, or restore a copy"
        raise InputError(f"{path} cannot be used as records ({error}); {advice}") from error
    except InputError:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if tables and application != APPLICATION_ID:
        raise InputError(f"{path} is an SQLite file of something else; choose another folder for the records")
    if (version := _version(connection)) > len(MIGRATIONS):
        raise InputError(
            f"{path} has version {version} of the records, and {len(MIGRATIONS)} is known here; install a later Proctor"
        )


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _prepare(connection: sqlite3.Connection) -> None:
    if _version(connection) == 0:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before the first table: gives space back in steps
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may cost the last moment, never the file
    connection.execute("PRAGMA foreign_keys = OFF")  # rows of a session are deleted in the order of their age
    for number in range(_version(connection), len(MIGRATIONS)):
        with closing(connection.cursor()) as cursor:
            cursor.executescript(f"BEGIN; {MIGRATIONS[number]}; PRAGMA user_version = {number + 1}; COMMIT;")

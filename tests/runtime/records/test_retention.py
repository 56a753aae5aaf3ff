"""What goes and what stays when the wall clock is wrong: ahead, behind, before a restart and after."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from runtime.errors import InputError
from runtime.records import retention
from runtime.records.retention import DAY_NS, FASTEST, Expiry, Retention
from runtime.records.schema import MIGRATIONS, opened
from runtime.records.store import FILE

NOW_NS = 1_780_000_000 * 10**9
YEAR_S = 365 * 86_400
KEPT_DAYS = 30


def test_bytes_in_which_nothing_would_stay_are_refused() -> None:
    with pytest.raises(InputError, match="the room for records, in bytes, is 2; expected 100000 or more"):
        Retention(bytes=2)


class Station:
    """A station's file and clocks; each day of it is one record."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.wall_s, self.steady_s = NOW_NS / 1e9, 0.0
        self.start()

    def start(self) -> None:
        """The process begins again."""
        self.expiry = Expiry(self.connection, Retention(days=KEPT_DAYS), lambda: self.wall_s, lambda: self.steady_s)

    def record(self, ahead_s: float = 0.0) -> None:
        """Write a record, by a clock that is so far ahead."""
        self.connection.execute(
            "INSERT INTO verdicts (session, frame_id, decided_ns, captured_ns, latency_us, decision, mode, threshold) "
            "VALUES (1, 0, ?, 0, 0, 1, 0, 1.0)",
            (round((self.wall_s + ahead_s) * 1e9),),
        )

    def run(self, seconds: float, step_s: float = 60.0) -> None:
        """Let both clocks go on."""
        until_s = self.steady_s + seconds
        while self.steady_s < until_s:
            self.wall_s, self.steady_s = self.wall_s + step_s, self.steady_s + step_s
            while self.expiry.step():
                pass

    def left(self) -> list[int]:
        """The numbers of the records that are left."""
        return [number for (number,) in self.connection.execute("SELECT id FROM verdicts ORDER BY id")]


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    """One whose file holds a record of each of the last 40 days, the newest with number 40."""
    with closing(opened(tmp_path / FILE, writes=True)) as connection:
        station = Station(connection)
        for age in range(40, 0, -1):
            station.record(-(age - 0.5) * 86_400)
        yield station


def test_by_the_right_clock_what_is_too_old_goes(station: Station) -> None:
    station.run(60)
    assert station.left() == list(range(11, 41))
    station.run(86_400, 600)
    assert station.left() == list(range(12, 41))


def test_a_clock_that_leaps_a_year_ahead_for_an_hour_takes_no_more_than_the_next_hours_along(station: Station) -> None:
    station.run(60)
    station.wall_s += YEAR_S
    station.run(1800)
    station.start()  # and it is restarted meanwhile
    station.run(1800)
    station.wall_s -= YEAR_S
    station.run(60)
    assert FASTEST * 3600 < 86_400
    assert station.left() == list(range(11, 41))


def test_a_clock_that_is_set_right_is_believed_after_a_tenth_of_the_time(station: Station) -> None:
    station.run(60)
    station.wall_s += 10 * 86_400  # the station was off
    station.start()
    for _ in range(9):
        station.run(0.1 * 86_400, 600)
        station.start()  # and is switched off and on again and again
    assert 12 < len(station.left()) < 30
    station.run(0.3 * 86_400, 600)
    assert len(station.left()) == 19


def test_a_record_that_a_clock_set_back_wrote_goes_with_those_around_it(station: Station) -> None:
    for _ in range(3):
        station.record(-5 * YEAR_S)
    station.record()
    station.run(60)
    assert station.left() == list(range(11, 45))
    station.run((KEPT_DAYS - 1) * 86_400, 6_000)
    assert station.left() == list(range(40, 45))
    station.run(2 * 86_400, 6_000)
    assert station.left() == []


@pytest.mark.parametrize("rows", [2, 5_000])
def test_records_of_a_clock_that_was_ahead_go_with_the_next_one_of_a_right_clock(
    station: Station, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(retention, "ROWS", rows)
    for _ in range(5):
        station.record(YEAR_S)
    station.record(86_400)  # a day later, by the right clock
    station.run(KEPT_DAYS * 86_400, 6_000)
    assert station.left() == list(range(41, 47))
    station.run(2 * 86_400, 6_000)
    assert station.left() == []


def test_a_clock_set_back_to_1970_deletes_nothing(station: Station) -> None:
    station.run(60)
    station.wall_s = 100.0
    station.record()
    station.run(3600)
    assert station.left() == list(range(11, 42))


def test_a_file_from_before_there_was_a_count_counts_from_its_newest_record(tmp_path: Path) -> None:
    path = tmp_path / FILE
    with closing(opened(path, writes=True)) as connection:
        station = Station(connection)
        station.record(-100 * 86_400)
        station.record(-99 * 86_400)
        connection.executescript("DROP TABLE clock; DROP TABLE marks; PRAGMA user_version = 1")
    with closing(opened(path, writes=True)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        station = Station(connection)
        station.run(3600)
        assert station.left() == [1, 2]
        assert abs(station.expiry._counted_ns - (NOW_NS - 99 * DAY_NS + FASTEST * 3600 * 10**9)) < 10**9

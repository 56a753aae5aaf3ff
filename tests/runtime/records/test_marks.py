"""What people say of recorded parts: kept beside the records, with who said it, and gone with them."""

import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runtime.errors import InputError
from runtime.line.results import Code
from runtime.records import store
from runtime.records.marks import Mark, Marks
from runtime.records.reading import Question, Records
from runtime.records.record import Record
from runtime.records.schema import MIGRATIONS
from runtime.records.store import FILE, RecordStore, Retention

ROOT = Path(__file__).parents[3]


def record(number: int, code: Code = Code.NG) -> Record:
    now_ns = time.time_ns()
    return Record(number, f"part-{number}", now_ns, now_ns, 1000, code, 1.5, 1.0, "score 1.5 above 1.0", None, "f" * 64)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with RecordStore(tmp_path) as records:
        for number in (1, 2):
            records.add(record(number))
        records.add(record(3, Code.OK))
    return tmp_path


def test_a_mark_by_a_name_that_is_no_text_is_written_escaped(folder: Path) -> None:
    with Marks(folder) as marks:
        marks.add(1, Mark.REAL_DEFECT, "ren\udce9")
    with Records(folder) as records:
        assert next(records.find(Question(part_id="part-1")))["marked_by"] == r"ren\udce9"


def test_the_last_mark_of_a_part_counts_and_earlier_ones_stay(folder: Path) -> None:
    with Marks(folder) as marks:
        marks.add(1, Mark.REAL_DEFECT, "otto")
        marks.add(1, Mark.FALSE_REJECT, "erna")
        marks.add(2, Mark.REAL_DEFECT, "otto")
        marks.add(2, Mark.NONE, "otto")
        marks.add(3, Mark.MISSED, "otto")
    with Records(folder) as records:
        found = {each["id"]: (each["mark"], each["marked_by"]) for each in records.find(Question())}
        marked = [each["id"] for each in records.find(Question(marked=True))]
        rejected = [each["id"] for each in records.find(Question(rejected=True))]
    assert found == {1: ("false reject", "erna"), 2: (None, None), 3: ("missed", "otto")}
    assert (marked, rejected) == ([3, 2, 1], [2, 1])
    with sqlite3.connect(folder / FILE) as connection:
        assert connection.execute("SELECT count(*) FROM marks").fetchone() == (5,)


@pytest.mark.parametrize(("number", "mark"), [(1, Mark.MISSED), (3, Mark.FALSE_REJECT), (3, Mark.REAL_DEFECT)])
def test_a_mark_has_to_fit_the_verdict(folder: Path, number: int, mark: Mark) -> None:
    with Marks(folder) as marks, pytest.raises(InputError, match=r"the part was (OK|rejected); expected none, "):
        marks.add(number, mark, "otto")


def test_what_is_not_recorded_cannot_be_marked(folder: Path, tmp_path: Path) -> None:
    with Marks(folder) as marks, pytest.raises(InputError, match="there is no record 99"):
        marks.add(99, Mark.REAL_DEFECT, "otto")
    with pytest.raises(InputError, match="there are no records in"):
        Marks(tmp_path / "none")


def test_marks_are_made_while_a_stream_writes(tmp_path: Path) -> None:
    with RecordStore(tmp_path) as records, Marks(tmp_path) as marks:
        for number in range(1, 40):
            records.add(record(number))
            assert records.settle()
            marks.add(number, Mark.REAL_DEFECT, "otto")
        assert records.lost == 0
    with Records(tmp_path) as reading:
        assert len(list(reading.find(Question(marked=True)))) == 39


def test_marks_go_with_their_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "RETENTION_EVERY_S", 0.05)
    old = time.time() - 3 * 86_400
    with RecordStore(tmp_path) as records:
        for number in (1, 2):
            each = record(number)
            aged = Record(**{**vars(each), "decided_ns": round(old * 1e9)}) if number == 1 else each
            records.add(aged)
        assert records.settle()
        with Marks(tmp_path) as marks:
            for number in (1, 2):
                marks.add(number, Mark.REAL_DEFECT, "otto")
    with RecordStore(tmp_path, Retention(days=1)):
        deadline_s = time.monotonic() + 20.0
        while time.monotonic() < deadline_s:
            with sqlite3.connect(tmp_path / FILE) as connection:
                left = connection.execute("SELECT verdict FROM marks").fetchall()
            if left == [(2,)]:
                break
            time.sleep(0.02)
    assert left == [(2,)]


def test_records_of_the_version_before_get_their_marks(tmp_path: Path) -> None:
    with RecordStore(tmp_path) as records:
        records.add(record(1))
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.executescript(f"DROP TABLE marks; PRAGMA user_version = {len(MIGRATIONS) - 1}")
    with pytest.raises(InputError, match="is of an earlier version"):
        Records(tmp_path)
    with RecordStore(tmp_path):
        pass
    with Marks(tmp_path) as marks:
        marks.add(1, Mark.FALSE_REJECT, "otto")
    with sqlite3.connect(tmp_path / FILE) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)


def test_the_command_shows_marks(folder: Path) -> None:
    with Marks(folder) as marks:
        marks.add(1, Mark.FALSE_REJECT, "otto")
    command = [sys.executable, "-m", "runtime.records", str(folder), "--part", "part-1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "  marked as false reject by otto" in done.stdout.splitlines()

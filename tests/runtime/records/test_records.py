"""Records: what was added is found, whatever happened to the process, the disk or the clock meanwhile."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from datetime import time as time_of_day
from pathlib import Path

import numpy as np
import pytest

from runtime.errors import InputError
from runtime.line.results import Code, Mode, Part
from runtime.records import images, store
from runtime.records.images import FRAME, THUMBNAIL, ImageBounds, ImageRing, ImageWriter, StoredImage, place_of
from runtime.records.reading import Question, Records, in_words
from runtime.records.record import Record, record_of
from runtime.records.retention import Retention
from runtime.records.schema import MIGRATIONS, opened
from runtime.records.store import FILE, RecordStore
from runtime.verdict import Decision, Region, Verdict

NOON_NS = 1_780_000_000 * 10**9
PICTURE = np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)


def record(number: int, decision: Code = Code.OK, at_ns: int | None = None) -> Record:
    return Record(
        frame_id=number, part_id=f"part-{number}", decided_ns=NOON_NS + number * 10**9 if at_ns is None else at_ns,
        captured_ns=NOON_NS, latency_us=1500, decision=decision, score=1.25, threshold=2.0,
        reason=None if decision is Code.OK else "score 3.000 above 2.000", details=None, recipe="f" * 64,
    )  # fmt: skip


def parts(folder: Path, question: Question | None = None) -> list[str]:
    """The ids of the parts that are recorded, the oldest first."""
    with Records(folder) as records:
        return [str(each["part_id"]) for each in records.find(question or Question())][::-1]


def test_a_verdict_is_found_with_all_that_traces_it(tmp_path: Path) -> None:
    region = Region(12.0, (3.0, 4.0), (1, 2, 3, 4), (3, 4), 3.5)
    verdict = Verdict(
        Decision.NG, "score 3.5 above 2.0", 7, "A7", 10.0, 10.25, 1_780_000_000.5, 1_780_000_000.75, 3.5, 2.0,
        (region,), "a" * 64, evidence_scores={"map": 3.5, "whole frame": 1.0}, rejected_by=("map",),
    )  # fmt: skip
    part = Part(4_000_000_000, "S-1", "batch 9")
    with RecordStore(tmp_path) as records:
        records.add(record_of(verdict, "left", part, Mode.BYPASS), PICTURE)
    with Records(tmp_path) as reading:
        (found,) = reading.find(Question(part_id="4000000000"))
        assert list(reading.find(Question(serial="S-1"))) == [found]
        assert list(reading.find(Question(batch="batch 9", decision=Code.NG))) == [found]
        assert list(reading.find(Question(decision=Code.OK))) == []
        assert list(reading.find(Question(since=1_780_000_000.8))) == []
        assert list(reading.find(Question(until=1_780_000_000.8))) == [found]
    assert found["decided_at"] == "2026-05-28T20:26:40.750000+00:00"
    assert (found["decision"], found["mode"], found["camera"]) == ("NG", "BYPASS", "left")
    assert (found["latency_ms"], found["recipe"], found["reason"]) == (250.0, "a" * 64, "score 3.5 above 2.0")
    details = json.loads(found["details"])
    assert details["regions"][0]["peak_score"] == 3.5
    assert details["rejected_by"] == ["map"]
    assert (tmp_path / found["image"]).stat().st_size > (tmp_path / found["thumbnail"]).stat().st_size


def test_what_a_controller_gave_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    with RecordStore(tmp_path) as records:
        records.add(replace(record(0), serial="A\x1b[2J\n17", batch="ü"))
    with Records(tmp_path) as reading:
        lines = in_words(next(reading.find(Question(serial="A\x1b[2J\n17"))))
    assert all(line.isprintable() for line in lines)
    assert r"serial A\x1b[2J\n17, batch ü" in lines[0]


def test_numbers_go_on_after_a_restart_and_sessions_differ(tmp_path: Path) -> None:
    for number in (1, 2):
        with RecordStore(tmp_path) as records:
            assert records.add(record(number)) == number
            assert records.session == number
    assert parts(tmp_path) == ["part-1", "part-2"]


def test_records_can_be_read_while_they_are_written(tmp_path: Path) -> None:
    with RecordStore(tmp_path) as records:
        for number in range(500):
            records.add(record(number))
        assert records.settle()
        assert len(parts(tmp_path)) == 500
        records.add(record(500))
        assert records.settle()
        assert len(parts(tmp_path)) == 501


def test_a_process_that_is_killed_loses_the_last_moment_alone(tmp_path: Path, environment: dict[str, str]) -> None:
    program = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from test_records import record, store\n"
        "records = store.RecordStore(Path(sys.argv[1]))\n"
        "for number in range(10_000_000):\n"
        "    records.add(record(number))\n"
        "    if number % 100 == 99:\n"
        "        assert records.settle(); print(number, flush=True)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path), str(Path(__file__).parent)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    for _ in range(20):
        said = int(process.stdout.readline())
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    found = parts(tmp_path)
    assert found == [f"part-{number}" for number in range(len(found))]
    assert len(found) > said
    with RecordStore(tmp_path) as records:
        assert records.add(record(0)) == len(found) + 1
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retention has no pauses."""
    monkeypatch.setattr(store, "RETENTION_EVERY_S", 0.01)


def wait_until(holds: "object", seconds: float = 20.0) -> None:
    assert callable(holds)
    deadline_s = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


@pytest.mark.usefixtures("at_once")
def test_records_older_than_their_days_go(tmp_path: Path) -> None:
    now_s = NOON_NS / 1e9 + 10 * 86_400
    day_ns = 86_400 * 10**9
    with RecordStore(tmp_path, Retention(days=5), clock=lambda: now_s) as records:
        for number, age in enumerate([9, 8, 2, 1]):
            records.add(record(number, at_ns=round(now_s * 1e9) - age * day_ns))
        wait_until(lambda: parts(tmp_path) == ["part-2", "part-3"])


@pytest.mark.usefixtures("at_once")
def test_records_stay_within_their_bytes_and_the_newest_stay(tmp_path: Path) -> None:
    most = 400_000
    with RecordStore(tmp_path, Retention(bytes=most)) as records:
        for number in range(20_000):
            records.add(record(number))
            if number % 2_000 == 1_999:
                assert records.settle()
        wait_until(lambda: records._expiry.size() <= most)
    found = parts(tmp_path)
    assert found[-1] == "part-19999"
    assert 500 < len(found) < 10_000
    with RecordStore(tmp_path):
        pass
    assert (tmp_path / FILE).stat().st_size <= most * 1.5


def test_pictures_stay_within_their_bytes_and_those_of_rejects_stay_longest(tmp_path: Path) -> None:
    with RecordStore(tmp_path, images=ImageBounds(10**6, 10**6, ok_every=1)) as records:
        records.add(record(0), PICTURE)
        assert records.settle()
        wait_until(lambda: (tmp_path / place_of(1, FRAME)).exists())
    size = (tmp_path / place_of(1, FRAME)).stat().st_size
    with RecordStore(tmp_path, images=ImageBounds(5 * size + size // 2, 10**6, ok_every=1)) as records:
        for number in range(1, 12):
            records.add(record(number, Code.NG if number % 3 == 0 else Code.OK), PICTURE)
            wait_until(lambda number=number: (tmp_path / place_of(number + 1, FRAME)).exists())
            assert records.settle()
    with Records(tmp_path) as reading:
        found = list(reading.find(Question()))
    kept = {each["id"]: each["decision"] for each in found if each["image"]}
    assert set(kept) == {4, 7, 10, 11, 12}  # the rejects, and the newest
    assert (
        sorted(int(path.stem) for path in (tmp_path / "images").rglob("[0-9]*.jpg") if path.stem.isdigit())
        == [*kept][::-1]
    )
    assert all(each["thumbnail"] for each in found)


def test_of_good_parts_a_picture_is_kept_now_and_then(tmp_path: Path) -> None:
    with RecordStore(tmp_path, images=ImageBounds(ok_every=5)) as records:
        for number in range(11):
            records.add(record(number), PICTURE)
            time.sleep(0.01)
    with Records(tmp_path) as reading:
        assert [each["id"] for each in reading.find(Question()) if each["image"]] == [10, 5]


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]).returncode:
        pytest.skip("A FULL DISK IS NOT TESTED here: it takes a mount, so root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_stops_nothing_and_what_waited_is_written_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(store, "LONGEST_PAUSE_S", 0.2)
    monkeypatch.setattr(images, "LEAST_FREE_BYTES", 0)
    with small_disk(tmp_path / "disk", "1m") as disk:
        filling = disk / "filling"
        with RecordStore(disk) as records:
            records.add(record(0))
            assert records.settle()
            with suppress_full(filling) as fill:
                fill()
            for number in range(1, 3_000):
                records.add(record(number, Code.NG), PICTURE if number < 5 else None)
            assert not records.settle(1.0)
            filling.unlink()
            assert records.settle(20)
        found = parts(disk)
    assert found == [f"part-{number}" for number in range(3_000)]
    assert records.lost == 0
    assert records.lost_pictures > 0
    said = capfd.readouterr().err
    assert "records are not written" in said
    assert "records are written again" in said
    assert "pictures are not kept" in said


_KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_records import record, store
records = store.RecordStore(Path(sys.argv[1]))
records.add(record(0))
print(records.settle(), flush=True)
time.sleep(60)
"""


def test_a_line_that_is_killed_while_its_disk_is_full_starts_again_and_its_records_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], environment: dict[str, str]
) -> None:
    monkeypatch.setattr(store, "LONGEST_PAUSE_S", 0.2)
    with small_disk(tmp_path / "disk", "1m") as disk:
        command = [sys.executable, "-c", _KILLED, str(disk), str(Path(__file__).parent)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        with suppress_full(disk / "filling") as fill:
            fill()
        process.kill()
        process.communicate()
        with RecordStore(disk, Retention(days=30)) as records:
            assert records.session == 0
            assert records.add(record(1, at_ns=time.time_ns())) == 2
            assert not records.settle(0.5)
            (disk / "filling").unlink()
            assert records.settle(20)
            assert records.session == 2
        with Records(disk) as reading:
            newest = next(reading.find(Question()))
            assert (newest["part_id"], newest["session"]) == ("part-1", 2)
    said = capfd.readouterr().err
    assert "records are not written (database or disk is full)" in said
    assert "records are written again" in said


def test_records_on_a_disk_that_is_full_are_not_begun_and_it_is_said_why(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        with RecordStore(disk):
            pass
        with suppress_full(disk / "filling") as fill:
            fill()
        with pytest.raises(InputError, match="its disk is full: make room"):
            RecordStore(disk)


@contextmanager
def suppress_full(path: Path) -> Iterator["object"]:
    def fill() -> None:
        with open(path, "wb", buffering=0) as out:
            try:
                while True:
                    out.write(bytes(4096))
            except OSError:
                pass

    yield fill


def test_what_a_disk_never_takes_is_lost_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "CLOSE_S", 0.3)
    monkeypatch.setattr(store, "MOST_WAITING", 50)
    with RecordStore(tmp_path) as records, closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as other:
        records._connection.execute("PRAGMA busy_timeout = 10")
        other.execute("BEGIN IMMEDIATE")  # somebody's tool that never lets go
        for number in range(200):
            records.add(record(number))
        records.close()
        assert records.lost + records.written == 200
        assert records.lost >= 150


def test_pictures_that_no_row_can_name_do_not_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "CLOSE_S", 0.3)
    monkeypatch.setattr(store, "LONGEST_PAUSE_S", 0.05)
    monkeypatch.setattr(store, "MOST_IMAGES", 10)

    def malformed(*given: object) -> None:
        raise sqlite3.DatabaseError("database disk image is malformed")

    monkeypatch.setattr(RecordStore, "_write", malformed)
    image = np.zeros((64, 64, 3), np.uint8)
    with RecordStore(tmp_path) as records:
        for number in range(30):  # a frame and its thumbnail each
            records.add(record(number, Code.NG), image)
            wait_until(lambda: records._pictures._waiting.empty())
        wait_until(lambda: records.lost_pictures >= 25)
        assert len(list(tmp_path.rglob("*.jpg"))) <= 12
    assert records.lost_pictures == 30


NO_TEXT = "gris\udce9"  # the name of a file in Latin-1, as Python has it


def test_what_is_no_text_is_recorded_escaped_and_found_again(tmp_path: Path) -> None:
    fields = {"camera": NO_TEXT, "recipe": NO_TEXT, "batch": NO_TEXT, "serial": NO_TEXT, "part_id": NO_TEXT}
    with RecordStore(tmp_path) as records:
        records.add(replace(record(0, Code.NG), reason=f"{NO_TEXT} is damaged", details=f'{{"name":"{NO_TEXT}"}}'))
        records.add(replace(record(1), **fields))
        records.add(record(2))
        assert records.settle()
    assert (records.written, records.lost) == (3, 0)
    with Records(tmp_path) as reading:
        _, odd, first = reading.find(Question())
        for name in ("part_id", "serial", "batch"):
            assert list(reading.find(Question(**{name: NO_TEXT}))) == [odd]  # type: ignore[arg-type]
    assert {name: odd[name] for name in fields} == dict.fromkeys(fields, r"gris\udce9")
    assert first["reason"] == r"gris\udce9 is damaged"


@pytest.mark.parametrize("wrong", [{"frame_id": 2**64}, {"threshold": float("nan")}, {"score": object()}])
def test_a_record_that_can_never_be_written_is_lost_alone_and_said_once(
    wrong: dict[str, object], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with RecordStore(tmp_path) as records:
        for number in range(6):
            records.add(replace(record(number), **(wrong if number % 2 else {})))  # type: ignore[arg-type]
            assert records.settle()
        assert (records.written, records.lost) == (3, 3)
    assert parts(tmp_path) == ["part-0", "part-2", "part-4"]
    said = capfd.readouterr().err
    assert said.count("warning: a record cannot be written (") == 1
    assert "warning: 3 records were NOT written\n" in said


def test_a_picture_that_cannot_be_written_is_lost_alone_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write = ImageWriter._write

    def once_without_memory(writer: ImageWriter, number: int, *words: object) -> None:
        if number == 1:
            raise MemoryError("no room")
        write(writer, number, *words)  # type: ignore[arg-type]

    monkeypatch.setattr(ImageWriter, "_write", once_without_memory)
    with RecordStore(tmp_path) as records:
        for number in range(2):
            records.add(record(number, Code.NG), PICTURE)
    with Records(tmp_path) as reading:
        assert [each["image"] for each in reading.find(Question())] == [place_of(2, FRAME), None]
    assert records.lost_pictures == 1
    assert "pictures are not kept (no room)" in capfd.readouterr().err


@pytest.mark.usefixtures("at_once")
def test_a_fault_of_ours_does_not_end_the_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    faults, written = [ZeroDivisionError("a bug"), MemoryError("no room")], ImageRing.add

    def faulty(ring: ImageRing, pictures: list[StoredImage]) -> None:
        if faults:
            raise faults.pop()
        written(ring, pictures)

    monkeypatch.setattr(store, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(ImageRing, "add", faulty)
    with RecordStore(tmp_path) as records:
        records.add(record(0))
        assert records.settle()
    assert parts(tmp_path) == ["part-0"]
    assert records.lost == 0
    assert "records are not written (no room)" in capfd.readouterr().err


def test_what_is_lost_at_the_end_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(store, "CLOSE_S", 0.3)
    with RecordStore(tmp_path) as records, closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as other:
        records._connection.execute("PRAGMA busy_timeout = 10")
        other.execute("BEGIN IMMEDIATE")
        for number in range(7):
            records.add(record(number, Code.NG), PICTURE if number == 0 else None)
        wait_until(lambda: (tmp_path / place_of(1, THUMBNAIL)).exists())
        records.close()
    assert (records.lost, records.lost_pictures) == (7, 1)
    said = capfd.readouterr().err
    assert "warning: 7 records were NOT written, 7 of them at the end\n" in said
    assert "warning: 1 pictures of the records were NOT kept\n" in said
    assert list((tmp_path / "images").rglob("*.jpg")) == []  # no row names them: they would never be deleted


def test_a_disk_that_hangs_at_the_end_is_left_behind_and_what_waits_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    answers = threading.Event()

    def hang(*_: object) -> list[Exception]:
        answers.wait(20)
        return []

    for each in (store, images):
        monkeypatch.setattr(each, "CLOSE_S", 0.05)
    for writer in (ImageWriter, RecordStore):
        monkeypatch.setattr(writer, "_write", hang)
    records = RecordStore(tmp_path)
    for number in range(5):
        records.add(record(number, Code.NG), PICTURE if number < 3 else None)
    wait_until(lambda: records._pictures._waiting.qsize() == 2)  # and one is in hand
    records.close()
    records.close()
    assert (records.lost, records.lost_pictures) == (5, 3)
    said = capfd.readouterr().err
    assert "warning: 5 records were NOT written, 5 of them at the end\n" in said
    assert "warning: 3 pictures of the records were NOT kept\n" in said
    answers.set()
    records._thread.join(20)


class Refusing:
    """A connection that refuses statements which begin with some words, as long as it is told to."""

    def __init__(self, connection: sqlite3.Connection, words: str) -> None:
        self.refuses, self.refused = True, 0
        self._connection, self._words = connection, words

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)

    def execute(self, sql: str, *values: object) -> sqlite3.Cursor:
        return self._do(self._connection.execute, sql, *values)

    def executemany(self, sql: str, *values: object) -> sqlite3.Cursor:
        return self._do(self._connection.executemany, sql, *values)

    def _do(self, run: "object", sql: str, *values: object) -> sqlite3.Cursor:
        assert callable(run)
        if self.refuses and sql.startswith(self._words):
            self.refused += 1
            raise sqlite3.OperationalError("database or disk is full")
        found: sqlite3.Cursor = run(sql, *values)
        return found


@pytest.mark.usefixtures("at_once")
def test_a_picture_whose_row_took_several_attempts_counts_once_and_no_other_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FIRST_PAUSE_S", "LONGEST_PAUSE_S"):
        monkeypatch.setattr(store, name, 0.01)
    with RecordStore(tmp_path, images=ImageBounds(bytes=10**5)) as records:  # room for some ten
        records._connection = refusing = Refusing(records._connection, "COMMIT")  # type: ignore[assignment]
        records.add(record(0, Code.NG), PICTURE)
        wait_until(lambda: (tmp_path / place_of(1, THUMBNAIL)).exists())
        enough = refusing.refused + 30
        wait_until(lambda: refusing.refused >= enough)
        refusing.refuses = False
        assert records.settle()
        records.add(record(1, Code.NG), PICTURE)
    for number in (1, 2):
        assert (tmp_path / place_of(number, FRAME)).exists()
    assert records._ring._bytes[FRAME] == sum((tmp_path / place_of(number, FRAME)).stat().st_size for number in (1, 2))


def test_a_picture_whose_row_could_not_be_deleted_counts_until_it_is(tmp_path: Path) -> None:
    with closing(opened(tmp_path / FILE, writes=True)) as connection:
        refusing = Refusing(connection, "DELETE")
        ring = ImageRing(refusing, tmp_path, ImageBounds(bytes=250))  # type: ignore[arg-type]
        ring.add([StoredImage(number, FRAME, True, 100, place_of(number, FRAME)) for number in range(1, 6)])
        for _ in range(10):
            with pytest.raises(sqlite3.OperationalError):
                ring.shrink()
        refusing.refuses = False
        ring.shrink()
        assert connection.execute("SELECT verdict FROM images ORDER BY id").fetchall() == [(4,), (5,)]


def test_a_picture_that_is_finished_while_the_last_record_is_written_has_its_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_finish, is_written, goes_on = threading.Event(), threading.Event(), threading.Event()
    write, worked = ImageWriter._write, RecordStore._worked

    def late(*words: object) -> None:
        may_finish.wait(20)
        write(*words)  # type: ignore[arg-type]

    def held(*words: object) -> None:
        worked(*words)  # type: ignore[arg-type]
        is_written.set()
        goes_on.wait(20)

    monkeypatch.setattr(ImageWriter, "_write", late)
    monkeypatch.setattr(RecordStore, "_worked", held)
    records = RecordStore(tmp_path)
    records.add(record(0, Code.NG), PICTURE)
    assert is_written.wait(20)
    may_finish.set()
    closer = threading.Thread(target=records.close)
    closer.start()
    wait_until(lambda: records._closes_s is not None)
    goes_on.set()
    closer.join(20)
    with Records(tmp_path) as reading:
        (found,) = reading.find(Question())
    assert found["image"] == place_of(1, FRAME)
    assert (tmp_path / found["thumbnail"]).exists()
    assert records.lost_pictures == 0


def test_shifts_are_counted_by_when_they_begin(tmp_path: Path) -> None:
    now = datetime(2026, 5, 28, 15, 0).astimezone()
    at = {5: Code.NG, 6: Code.OK, 13: Code.NO_DECISION, 14: Code.OK}
    with RecordStore(tmp_path) as records:
        for hour, decision in at.items():
            moment = datetime(2026, 5, 28, hour, 30).astimezone()
            records.add(record(hour, decision, round(moment.timestamp() * 1e9)))
    with Records(tmp_path) as reading:
        shifts = reading.by_shift([time_of_day(6), time_of_day(14), time_of_day(22)], 1, now)
    assert [(f"{start:%d %H}", dict(counts)) for start, counts in shifts][:3] == [
        ("28 14", {"OK": 1}),
        ("28 06", {"OK": 1, "NO_DECISION": 1}),
        ("27 22", {"NG": 1}),
    ]


def test_a_file_of_something_else_or_of_a_later_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    for name, make, message in (
        ("other", "CREATE TABLE songs (id)", "something else"),
        ("later", f"PRAGMA application_id = {0x50524354}; PRAGMA user_version = {len(MIGRATIONS) + 1}", "version"),
    ):
        folder = tmp_path / name
        folder.mkdir()
        with closing(sqlite3.connect(folder / FILE)) as connection:
            connection.executescript(make)
        before = (folder / FILE).read_bytes()
        for use in (RecordStore, Records):
            with pytest.raises(InputError, match=message):
                use(folder)
        assert (folder / FILE).read_bytes() == before
    (tmp_path / FILE).write_bytes(b"no database at all" * 100)
    with pytest.raises(InputError, match="cannot be used as records"):
        RecordStore(tmp_path)
    with pytest.raises(InputError, match="there are no records"):
        Records(tmp_path / "nowhere")

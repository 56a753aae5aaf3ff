"""A station's state in one file and back: whole, while records are written, and refused for whatever is not right."""

import errno
import hashlib
import io
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from runtime import atomic
from runtime.backup import archive, restoring
from runtime.backup import station as station_module
from runtime.backup.archive import MANIFEST, PREFIX, Archive
from runtime.backup.manifest import SCHEMA
from runtime.backup.restoring import restore
from runtime.backup.snapshot import forget_pictures, pictures
from runtime.backup.station import back_up
from runtime.errors import InputError
from runtime.line.results import Code
from runtime.recipes.store import RecipeStore
from runtime.records.images import ImageBounds
from runtime.records.reading import Question, Records
from runtime.records.record import Record
from runtime.records.store import FILE, RecordStore
from runtime.signing import canonical

KEY = b"0123456789abcdef-key"
PICTURE = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
START_S = 60.0


def record(number: int, decision: Code = Code.NG) -> Record:
    return Record(
        frame_id=number, part_id=f"part-{number}", decided_ns=10**18 + number, captured_ns=10**18, latency_us=1500,
        decision=decision, score=3.0, threshold=2.0, reason="score 3.000 above 2.000", details=None, recipe="f" * 64,
    )  # fmt: skip


@pytest.fixture
def station(tmp_path: Path) -> Path:
    """A folder with a sealed recipe in force, a description, a detector, and records of six parts with pictures."""
    folder = tmp_path / "station"
    (folder / "detectors").mkdir(parents=True)
    (folder / "line.yaml").write_text("cameras: {top: {uri: rtsp://user:secret@camera}}\n")
    (folder / "detectors" / "bottle.onnx").write_bytes(bytes(range(256)) * 700)
    store = RecipeStore(folder / "recipes")
    store.seal("bottle", [folder / "detectors" / "bottle.onnx", folder / "line.yaml"], "an engineer", "first run")
    store.activate("bottle", "an engineer", "released")
    with RecordStore(folder / "records", images=ImageBounds(ok_every=1)) as records:
        for number in range(6):
            records.add(record(number), PICTURE)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file by its name; what SQLite leaves beside its file when it was read is none of them."""
    paths = [path for path in folder.rglob("*") if not path.is_dir() and not path.name.endswith(("-wal", "-shm"))]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def saved(station: Path, pictures: bool = True, leave_out: tuple[Path, ...] = (), key: bytes | None = None) -> Path:
    out = station.parent / "backup.tar"
    back_up(station, out, pictures, leave_out, key)
    return out


def restored(backup: Path, folder: Path, overwrite: bool = False, key: bytes | None = None) -> Path | None:
    with Archive(backup, key) as opened:
        return restore(opened, folder, overwrite)


def test_a_station_comes_back_as_it_was(station: Path, tmp_path: Path) -> None:
    backup, fresh = saved(station), tmp_path / "another" / "station"
    assert restored(backup, fresh) is None
    before, after = contents(station), contents(fresh)
    before.pop("records/records.sqlite"), after.pop("records/records.sqlite")
    assert after == before
    store = RecipeStore(fresh / "recipes")
    active = store.active()
    assert active is not None
    assert (active.name, active.version) == ("bottle", 1)
    assert [entry.action for entry in store.history()] == ["sealed", "activated"]
    with Records(fresh / "records") as records:
        found = list(records.find(Question()))
    assert [each["part_id"] for each in found] == [f"part-{number}" for number in range(5, -1, -1)]
    assert all((fresh / "records" / each["image"]).read_bytes() for each in found)
    with RecordStore(fresh / "records") as writing:  # and the line goes on with it
        assert writing.add(record(6)) == 7


def test_it_holds_passwords_and_is_for_its_owner_alone(station: Path, tmp_path: Path) -> None:
    (station / "line.yaml").chmod(0o666)
    backup = saved(station)
    assert backup.stat().st_mode & 0o777 == 0o600
    restored(backup, tmp_path / "fresh")
    assert (tmp_path / "fresh" / "line.yaml").stat().st_mode & 0o777 == 0o644


def modes(folder: Path) -> dict[str, int]:
    """The permissions of a folder and of those below it."""
    places = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    return {str(path.relative_to(folder)): path.stat().st_mode & 0o777 for path in places}


def test_folders_that_nobody_else_may_enter_come_back_so(station: Path, tmp_path: Path) -> None:
    (station / "detectors").chmod(0o770)
    (station / "recipes").chmod(0o700)
    station.chmod(0o700)
    backup, before = saved(station), modes(station)
    restored(backup, tmp_path / "fresh")
    assert modes(tmp_path / "fresh") == before | {"detectors": 0o750}  # nobody but the owner may write
    station.chmod(0o755)
    restored(backup, station, overwrite=True)
    assert station.stat().st_mode & 0o777 == 0o700


def test_of_a_backup_that_kept_no_permissions_of_folders_all_are_the_owners_alone(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    path = hostile(tmp_path / "earlier.tar", [member("a/b.yaml")], schema=1)
    command = [sys.executable, "-m", "runtime.backup.restore", path, tmp_path / "fresh"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "permissions of folders are not in the backup, which an earlier Proctor made" in done.stdout
    assert modes(tmp_path / "fresh") == {".": 0o700, "a": 0o700}


def test_any_tool_that_reads_tar_reads_it(station: Path, tmp_path: Path) -> None:
    (station / ("a" * 120) / ("ä" * 90)).mkdir(parents=True)
    (station / ("a" * 120) / ("ä" * 90) / "b.yaml").write_text("deep")
    subprocess.run(["tar", "-xf", saved(station), "-C", tmp_path, "--one-top-level=by_tar"], check=True)
    restored(tmp_path / "backup.tar", tmp_path / "fresh")
    assert contents(tmp_path / "by_tar" / "station") == contents(tmp_path / "fresh")
    assert ("a" * 120 + "/" + "ä" * 90 + "/b.yaml") in contents(tmp_path / "fresh")


WRITER = """
import sys
from pathlib import Path
from runtime.records.store import RecordStore
from test_backup import PICTURE, record
with RecordStore(Path(sys.argv[1])) as store:
    for number in range(10**9):
        store.add(record(number), PICTURE if number % 50 == 0 else None)
        if number % 50 == 0:
            store.settle()
            print(number, flush=True)
"""


def test_records_are_backed_up_while_they_are_written(
    station: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    shutil.rmtree(station / "records")
    paths = os.pathsep.join([environment["PYTHONPATH"], str(Path(__file__).parent)])
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER, station / "records"],
        env=environment | {"PYTHONPATH": paths}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    try:
        for number in range(5):
            at_least = int(child.stdout.readline())
            restored(saved(station), tmp_path / str(number))
            assert child.poll() is None
            with closing(sqlite3.connect(tmp_path / str(number) / "records" / FILE)) as copy:
                assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                first, last, count = copy.execute("SELECT min(id), max(id), count(*) FROM verdicts").fetchone()
                pictures = {path for (path,) in copy.execute("SELECT path FROM images")}
            assert (first, last) == (1, count)
            assert count > at_least
            there = {f"images/{path.parent.name}/{path.name}" for path in (tmp_path / str(number)).rglob("*.jpg")}
            assert there == pictures
            while int(child.stdout.readline()) <= at_least + 50:
                pass  # it goes on writing
    finally:
        child.kill()
        child.communicate()


@pytest.mark.parametrize("when", ["before the folder is looked at", "after it"])
def test_what_is_put_in_force_while_it_is_backed_up_is_told_with_its_files_or_not_at_all(
    station: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    store, look = RecipeStore(station / "recipes"), station_module._look

    def meanwhile(*words: object) -> object:
        found = look(*words) if when == "after it" else None  # type: ignore[arg-type]
        store.seal("bottle", [station / "line.yaml"], "an engineer", "second run")
        store.activate("bottle", "an engineer", "second run")
        return found or look(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(station_module, "_look", meanwhile)
    backup = saved(station)
    restored(backup, tmp_path / "fresh")
    copy = RecipeStore(tmp_path / "fresh" / "recipes")
    active = copy.active()
    assert active is not None
    assert (active.version, len(copy.history())) == (1, 2)
    assert copy.seal("bottle", [station / "line.yaml"], "an engineer", "and it goes on").version >= 2


def test_a_journal_that_was_begun_meanwhile_is_left_out_and_said(
    station: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = station_module._add_journals

    def begun(*words: object) -> None:
        add(*words)  # type: ignore[arg-type]
        RecipeStore(station / "others").seal("can", [station / "line.yaml"], "an engineer", "first run")

    monkeypatch.setattr(station_module, "_add_journals", begun)
    manifest = back_up(station, tmp_path / "b.tar", True, (), None)
    assert manifest.left_out == ("1 journals that were begun meanwhile",)
    assert "others/journal.jsonl" not in manifest.files
    assert "recipes/journal.jsonl" in manifest.files


def test_it_is_on_the_disk_under_its_name_before_it_is_said_to_be_there(
    station: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed = list[tuple[Path, bool]]()
    monkeypatch.setattr(
        station_module, "flush_folder", lambda folder: flushed.append((folder, (folder / "backup.tar").is_file()))
    )
    backup = saved(station)
    assert flushed == [(tmp_path, True)]
    monkeypatch.setattr(
        restoring, "flush_folder", lambda folder: flushed.append((folder, (folder / "fresh" / "line.yaml").is_file()))
    )
    restored(backup, tmp_path / "fresh")
    assert flushed[1:] == [(tmp_path, True)]


AT_WORK = """
import sys
from runtime.priority import inspecting
with inspecting(), open(sys.argv[1]):
    print("at work", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("by", ["working folder", "open file"])
def test_a_folder_that_a_line_works_in_is_not_replaced(
    station: Path, tmp_path: Path, environment: dict[str, str], by: str
) -> None:
    backup, before = saved(station), contents(station)
    folder, file = (station, "/dev/null") if by == "working folder" else (tmp_path, station / "records" / FILE)
    line = subprocess.Popen(
        [sys.executable, "-c", AT_WORK, file],
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert line.stdout is not None
        assert line.stdout.readline() == b"at work\n"
        with pytest.raises(InputError, match=rf"process {line.pid} inspects, and works in {station}: .*stop the line"):
            restored(backup, station, overwrite=True)
        assert contents(station) == before
        restored(backup, tmp_path / "elsewhere")
    finally:
        line.communicate()
    assert restored(backup, station, overwrite=True) is not None


def test_without_pictures_records_name_none(station: Path, tmp_path: Path) -> None:
    manifest = back_up(station, tmp_path / "backup.tar", False, (), None)
    assert any("12 pictures" in what for what in manifest.left_out)
    restored(tmp_path / "backup.tar", tmp_path / "fresh")
    with Records(tmp_path / "fresh" / "records") as records:
        assert [each["image"] for each in records.find(Question())] == [None] * 6
    assert list((tmp_path / "fresh").rglob("*.jpg")) == []


def test_a_picture_that_went_meanwhile_is_not_named_either(station: Path, tmp_path: Path) -> None:
    gone = next((station / "records").rglob("*2.jpg"))
    gone.unlink()
    restored(saved(station), tmp_path / "fresh")
    with Records(tmp_path / "fresh" / "records") as records:
        images = [each["image"] for each in records.find(Question())]
    assert images.count(None) == 1
    assert len(list((tmp_path / "fresh").rglob("*.jpg"))) == 11


def test_no_picture_that_is_left_out_is_looked_for_in_all_rows(station: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A station has hundreds of thousands: with one scan each, a backup would take hours."""
    copy, connect, ran = station / "records" / FILE, sqlite3.connect, list[str]()

    def traced(*words: object, **options: object) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*words, **options)  # type: ignore[call-overload]
        connection.set_trace_callback(ran.append)
        return connection

    first, *others = pictures(copy)
    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", traced)
        forget_pictures(copy, lambda path: path != first)
    assert pictures(copy) == [first]
    deleted = [sql for sql in ran if sql.startswith("DELETE")]
    assert 0 < len(deleted) <= len(others)
    with closing(connect(copy)) as connection:
        plans = [row[-1] for sql in deleted for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")]
    assert plans
    assert not [plan for plan in plans if plan.startswith("SCAN")]


def test_whatever_byte_is_damaged_nothing_wrong_is_restored(station: Path, tmp_path: Path) -> None:
    data = saved(station, pictures=False).read_bytes()
    restored(tmp_path / "backup.tar", tmp_path / "whole")
    whole, random_ = contents(tmp_path / "whole"), random.Random(0)
    accepted = 0
    for _ in range(150):
        at = random_.randrange(len(data) - 1024)
        damaged = bytearray(data)
        damaged[at] ^= 1 << random_.randrange(8)
        (tmp_path / "damaged.tar").write_bytes(damaged)
        try:
            restored(tmp_path / "damaged.tar", tmp_path / "fresh")
        except InputError:
            assert not (tmp_path / "fresh").exists()
        else:  # it was in what fills up a block
            assert contents(tmp_path / "fresh") == whole
            shutil.rmtree(tmp_path / "fresh")
            accepted += 1
    assert accepted < 15


def test_a_backup_that_is_cut_off_is_refused(station: Path, tmp_path: Path) -> None:
    data = saved(station, pictures=False).read_bytes()
    for length in [*range(0, len(data) - 1024, 9973), len(data) - 1024]:
        (tmp_path / "cut.tar").write_bytes(data[:length])
        with pytest.raises(InputError, match=r"cut\.tar: .*(empty|cut off|no tar|last member)"):
            restored(tmp_path / "cut.tar", tmp_path / "fresh")
        assert not (tmp_path / "fresh").exists()


def hostile(
    path: Path,
    members: list[tuple[tarfile.TarInfo, bytes]],
    named: dict[str, bytes] | None = None,
    schema: int = SCHEMA,
) -> Path:
    """A tar of any members, with a manifest that names `named`, by default just them, and no folders."""
    if named is None:
        named = {info.name.removeprefix(PREFIX): data for info, data in members}
    files = {name: [len(data), 0o644, hashlib.sha256(data).hexdigest()] for name, data in named.items()}
    document = {
        "schema": schema, "software": "0.1.0", "at": "2026-11-30T00:00:00+00:00", "folder": "/srv", "pictures": True,
        "left_out": [], "files": files,
    }  # fmt: skip
    data = canonical(document | {"sha256": hashlib.sha256(canonical(document)).hexdigest()})
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in [*members, (tarfile.TarInfo(MANIFEST), data)]:
            info.size = info.size or len(content)
            tar.addfile(info, io.BytesIO(content.ljust(info.size, b"\0")[: info.size]))
    return path


def member(name: str, data: bytes = b"data", **others: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(PREFIX + name)
    for attribute, value in others.items():
        setattr(info, attribute, value)
    return info, data


def test_the_archives_of_the_next_test_are_hostile_in_one_thing_alone(tmp_path: Path) -> None:
    restored(hostile(tmp_path / "good.tar", [member("a/b.yaml"), member("c")]), tmp_path / "fresh")
    assert contents(tmp_path / "fresh") == {"a/b.yaml": b"data", "c": b"data"}


@pytest.mark.parametrize(
    ("members", "named", "said"),
    [
        ([member("../../evil")], None, "no name of a file below"),
        ([member("a/../../../evil")], None, "no name of a file below"),
        ([member("/evil")], None, "no name of a file below"),
        ([member(".")], None, "no name of a file below"),
        ([member("a//b")], None, "no name of a file below"),
        ([(tarfile.TarInfo("/etc/evil"), b"data")], None, "no name of a file below"),
        ([(tarfile.TarInfo("evil"), b"data")], {"evil": b"data"}, "which its manifest does not name"),
        ([member("a", b"", type=tarfile.SYMTYPE, linkname="/etc")], None, "is no regular file"),
        ([member("a", b"", type=tarfile.LNKTYPE, linkname="/etc/passwd")], None, "is no regular file"),
        ([member("a", b"", type=tarfile.CHRTYPE)], None, "is no regular file"),
        ([member("a", b"", type=tarfile.FIFOTYPE)], None, "is no regular file"),
        ([member("a", b"", type=tarfile.DIRTYPE)], None, "is no regular file"),
        ([member("a", b"", type=tarfile.GNUTYPE_SPARSE)], None, "is no regular file"),
        ([member("a", pax_headers={"GNU.sparse.size": "9999999999"})], None, "is no regular file"),
        ([member("a", bytes(10**6))], {"a": b"data"}, "1,000,000 bytes, and 4 by the manifest"),
        ([member("a"), member("b")], {"a": b"data"}, "which its manifest does not name"),
        ([member("a"), member("a")], None, "twice"),
        ([member("a")], {"a": b"data", "b": b""}, "b is missing"),
        ([member("a"), member("a/b")], None, "a is a file and holds a/b"),
        ([member("a")], {"a": b"atad"}, "a was damaged"),
        ([member("a")], {"../a": b"data"}, "no name of a file below"),
    ],
)
def test_a_hostile_archive_writes_nothing(
    members: list[tuple[tarfile.TarInfo, bytes]],
    named: dict[str, bytes] | None,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Archive, "unpack", lambda *_: pytest.fail("it was unpacked before all of it was checked"))
    inner = tmp_path / "inner"
    inner.mkdir()
    path = hostile(inner / "bad.tar", members, named)
    for target in ("fresh", "deep/er/fresh"):
        with pytest.raises(InputError, match=said):
            restored(path, inner / target)
    assert [str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*")] == ["inner", "inner/bad.tar"]


def test_sizes_that_no_file_has_are_refused(tmp_path: Path) -> None:
    good = hostile(tmp_path / "good.tar", [member("a")])
    for claimed in (10**12, -1):
        info = tarfile.TarInfo(PREFIX + "a")
        info.size = claimed
        header = info.tobuf(tarfile.GNU_FORMAT)
        (tmp_path / "bad.tar").write_bytes(header + good.read_bytes()[512:])
        with pytest.raises(InputError, match=r"cut off|no tar"):
            restored(tmp_path / "bad.tar", tmp_path / "fresh")
    long_name = tarfile.TarInfo("././@LongLink")
    long_name.type, long_name.size = tarfile.GNUTYPE_LONGNAME, 10**6
    (tmp_path / "bad.tar").write_bytes(long_name.tobuf(tarfile.GNU_FORMAT) + bytes(2 * 10**6))
    with pytest.raises(InputError, match="no regular file"):
        restored(tmp_path / "bad.tar", tmp_path / "fresh")


def test_a_compressed_file_is_no_backup(station: Path, tmp_path: Path) -> None:
    subprocess.run(["gzip", "-k", saved(station)], check=True)
    with pytest.raises(InputError, match="no tar"):
        restored(tmp_path / "backup.tar.gz", tmp_path / "fresh")


def test_a_folder_that_holds_something_is_replaced_only_when_told(station: Path, tmp_path: Path) -> None:
    backup, before = saved(station), contents(station)
    (station / "line.yaml").write_text("spoilt")
    spoilt = contents(station)
    with pytest.raises(InputError, match="--overwrite"):
        restored(backup, station)
    assert contents(station) == spoilt
    old = restored(backup, station, overwrite=True)
    assert old is not None
    assert contents(old) == spoilt
    assert contents(station)["line.yaml"] == before["line.yaml"]
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(["backup.tar", "station", old.name])


def test_it_is_replaced_where_names_cannot_be_exchanged(
    station: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = saved(station)
    (station / "line.yaml").write_text("spoilt")
    monkeypatch.setattr(atomic, "_exchanged", lambda one, other: False)
    old = restored(backup, station, overwrite=True)
    assert old is not None
    assert (old / "line.yaml").read_text() == "spoilt"
    assert (station / "line.yaml").read_text() != "spoilt"


def test_a_restore_that_breaks_off_changes_nothing(
    station: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup, before, whole = saved(station), contents(station), Archive._copy

    def full(opened: Archive, name: str, out: io.BufferedWriter | None) -> None:
        if out is not None and name == "line.yaml":
            raise OSError(28, "No space left on device")
        whole(opened, name, out)

    monkeypatch.setattr(Archive, "_copy", full)
    for folder in (station, tmp_path / "fresh"):
        with pytest.raises(InputError, match="No space left on device"):
            restored(backup, folder, overwrite=True)
    assert contents(station) == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["backup.tar", "station"]


def test_a_restore_that_is_killed_leaves_the_folder_as_it_was(
    station: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    for number in range(300):
        (station / f"{number}.yaml").write_bytes(os.urandom(20_000))
    backup, before = saved(station, pictures=False), contents(station)
    command = [sys.executable, "-m", "runtime.backup.restore", backup, station, "--overwrite"]
    child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    limit = time.monotonic() + START_S
    while child.poll() is None and not list(tmp_path.glob(".station.*/station/1*.yaml")):
        assert time.monotonic() < limit
    child.send_signal(signal.SIGKILL)
    child.wait(START_S)
    moved = list(tmp_path.glob("station.before-*"))
    assert contents(station) == before if not moved else contents(moved[0]) == before


DYING = """
import os, signal, sys
from pathlib import Path
from runtime import atomic
from runtime.backup.archive import Archive
from runtime.backup.restoring import restore
from runtime.backup.snapshot import forget_pictures, pictures
left, renamed, exchanged = int(sys.argv[3]), Path.rename, atomic._exchanged

def counted(step):
    def dying(*words):
        global left
        found = step(*words)
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return found
    return dying

Path.rename = counted(renamed)
atomic._exchanged = counted(exchanged) if sys.argv[4] == "exchanged" else lambda one, other: False
with Archive(Path(sys.argv[1])) as opened:
    restore(opened, Path(sys.argv[2]), True)
"""


@pytest.mark.parametrize(("how", "steps"), [("exchanged", 2), ("renamed", 4)])
def test_a_kill_between_the_names_loses_nothing_and_a_second_restore_works(
    how: str, steps: int, station: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    backup, whole = saved(station), contents(station)
    for step in range(1, steps + 1):
        for old in tmp_path.glob("station.before-*"):
            shutil.rmtree(old)
        (station / "line.yaml").write_text(f"spoilt {step}")
        spoilt = contents(station)
        command = [sys.executable, "-c", DYING, backup, station, str(step), how]
        assert subprocess.run(command, env=environment, timeout=START_S).returncode == -signal.SIGKILL
        there = [contents(each) for each in tmp_path.iterdir() if each.is_dir() and not each.name.startswith(".")]
        assert spoilt in there
        time.sleep(1.0)  # the name of what was there before holds the second
        restored(backup, station, overwrite=True)
        assert contents(station)["line.yaml"] == whole["line.yaml"]
        assert spoilt in [contents(each) for each in tmp_path.glob("station.before-*")]
        assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []


def test_what_a_killed_restore_left_takes_no_room_from_the_next(
    station: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup, left = saved(station), tmp_path / ".station.unfinished" / "station"
    left.mkdir(parents=True)
    (left / "half").write_bytes(bytes(10**6))
    usage = shutil.disk_usage

    def scarce(path: Path) -> object:
        found = usage(path)
        return found._replace(free=0) if left.exists() else found

    monkeypatch.setattr(shutil, "disk_usage", scarce)
    restored(backup, station, overwrite=True)
    assert not left.parent.exists()


def test_two_restores_at_once_are_refused(
    station: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    backup, unpack = saved(station), Archive.unpack
    command = [sys.executable, "-m", "runtime.backup.restore", backup, station, "--overwrite"]
    refusals = []

    def meanwhile(opened: Archive, into: Path) -> None:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=START_S)
        refusals.append((done.returncode, done.stderr))
        unpack(opened, into)

    monkeypatch.setattr(Archive, "unpack", meanwhile)
    restored(backup, station, overwrite=True)
    ((status, said),) = refusals
    assert status == 2
    assert said.startswith(f"error: {station} is in use by process {os.getpid()} on ")


def test_a_folder_that_takes_no_other_name_is_left_as_it_was(
    station: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup, before = saved(station), contents(station)

    def busy(one: Path, other: Path) -> bool:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(other))

    monkeypatch.setattr(atomic, "_exchanged", busy)
    with pytest.raises(InputError, match=r"station cannot be written \(Device or resource busy\); a mount point, or"):
        restored(backup, station, overwrite=True)
    assert contents(station) == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["backup.tar", "station"]
    monkeypatch.setattr(os.path, "ismount", lambda path: str(path) == str(station))
    with pytest.raises(InputError, match="station is a mount point, which cannot be replaced; restore into a folder"):
        restored(backup, station, overwrite=True)


@pytest.mark.skipif(os.getuid() != 0, reason="mounting takes root")
def test_a_real_mount_point_is_refused_whichever_way_it_is_found(station: Path, tmp_path: Path) -> None:
    backup, mounts = saved(station), tmp_path / "mounts"
    for name, words in (("tmpfs", ("-t", "tmpfs", "none")), ("bound", ("--bind", str(station)))):
        place = mounts / name
        place.mkdir(parents=True)
        if subprocess.run(["mount", *words, place], capture_output=True).returncode != 0:
            pytest.skip("nothing can be mounted here")
        try:
            with pytest.raises(InputError, match="mount point"):
                restored(backup, place, overwrite=True)
            assert [each.name for each in mounts.iterdir()] == [name]
        finally:
            subprocess.run(["umount", place], check=True)
        place.rmdir()


def test_a_folder_that_nobody_else_may_enter_stays_so(station: Path) -> None:
    backup = saved(station)
    station.chmod(0o700)
    restored(backup, station, overwrite=True)
    assert station.stat().st_mode & 0o777 == 0o700


def test_a_disk_that_fails_while_the_backup_is_read_is_not_the_folders_fault(
    station: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = saved(station)

    class Failing(io.BufferedReader):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 10_000:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return super().read(size)

    with Archive(backup) as opened:
        opened.close()
        monkeypatch.setattr(opened, "_file", Failing(io.FileIO(backup)))
        with pytest.raises(
            InputError, match=r"backup\.tar cannot be read \(Input/output error\); the disk or its cable"
        ):
            restore(opened, tmp_path / "fresh", False)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["backup.tar", "station"]


def test_what_a_line_removes_while_it_is_backed_up_is_not_missed(
    station: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (station / "records" / "images" / "old").mkdir()
    walked, gone = os.walk, []

    def walk(folder: Path, **others: object) -> Iterator[tuple[str, list[str], list[str]]]:
        for place, folders, files in walked(folder, **others):  # type: ignore[call-overload]
            for name in [name for name in files if name.endswith("2.jpg")]:
                (Path(place) / name).unlink()
                gone.append(name)
            if "old" in folders:
                (Path(place) / "old").rmdir()
                gone.append("old")
            yield place, folders, files

    monkeypatch.setattr(station_module.os, "walk", walk)
    backup = saved(station)
    assert len(gone) > 1
    assert "old" in gone
    restored(backup, tmp_path / "fresh")
    assert not [name for name in contents(tmp_path / "fresh") if Path(name).name in gone]


def test_a_disk_that_is_not_there_is_not_made_up(station: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no folder .*/usb; make it, or mount its disk"):
        back_up(station, tmp_path / "usb" / "backup.tar", True, (), None)
    assert not (tmp_path / "usb").exists()


def growing(path: Path, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a file grow each time that a backup looks at its size, so many times."""
    looked, left = os.fstat, iter(range(times))

    def fstat(number: int) -> os.stat_result:
        if os.path.samefile(f"/proc/self/fd/{number}", path) and next(left, None) is not None:
            found = looked(number)
            with path.open("a") as more:
                more.write("# one line more\n")
            return found
        return looked(number)

    monkeypatch.setattr(archive, "PAUSE_S", 0.0)
    monkeypatch.setattr(archive.os, "fstat", fstat)


def test_a_file_that_never_rests_is_refused(station: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(station.parent.iterdir())
    growing(station / "line.yaml", 1000, monkeypatch)
    with pytest.raises(InputError, match=r"line\.yaml changes while it is read"):
        saved(station)
    monkeypatch.undo()
    assert sorted(station.parent.iterdir()) == before


def test_a_file_that_changed_once_is_read_again(station: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    growing(station / "line.yaml", 1, monkeypatch)
    backup = saved(station)
    monkeypatch.undo()
    assert (station / "line.yaml").read_text().endswith("# one line more\n")
    restored(backup, tmp_path / "fresh")
    assert (tmp_path / "fresh" / "line.yaml").read_bytes() == (station / "line.yaml").read_bytes()


def test_links_are_refused_and_sockets_and_locks_left_out(station: Path, tmp_path: Path) -> None:
    (station / ".detector.lock").write_text("")
    (station / "detectors" / ".hidden" / ".deeper").mkdir(parents=True)
    (station / "detectors" / ".hidden" / "b.onnx").write_bytes(b"missed")
    (station / "overlays").mkdir()
    (station / "overlays" / "1.jpg").write_bytes(b"picture")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(station / "line.sock"))
    os.symlink("detectors", station / "link")
    for _ in range(2):  # a link to a folder, and one to a file
        with pytest.raises(InputError, match=r"link is a link; .*--leave-out link"):
            saved(station)
        (station / "link").unlink()
        os.symlink("line.yaml", station / "link")
    manifest = back_up(station, tmp_path / "b.tar", True, (Path("link"), station / "overlays"), None)
    restored(tmp_path / "b.tar", tmp_path / "fresh")
    assert not {"link", "line.sock", "overlays/1.jpg", ".detector.lock"} & set(contents(tmp_path / "fresh"))
    words = "; ".join(manifest.left_out)
    assert "link (as asked); overlays (as asked)" in words
    assert "1 hidden files; " in words
    assert "1 hidden folders" in words  # what lies in it goes without saying
    assert "1 sockets" in words


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "records" / FILE).write_bytes(b"SQLite format 3\0" + bytes(4000)), "cannot be back"),
        (lambda folder: _damage(folder / "records" / FILE), "malformed|damaged|cannot be backed up"),
        (lambda folder: shutil.rmtree(folder), "is no folder"),
        (lambda folder: [shutil.rmtree(folder), folder.mkdir()], "holds nothing"),
    ],
)
def test_what_cannot_be_backed_up_leaves_the_backup_of_before(
    spoil: Callable[[Path], object], said: str, station: Path
) -> None:
    backup = saved(station)
    before = backup.read_bytes()
    spoil(station)
    with pytest.raises(InputError, match=said):
        saved(station)
    assert backup.read_bytes() == before
    assert [each for each in station.parent.iterdir() if each.name.startswith(".")] == []


def _damage(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    data[4096:] = bytes(len(data) - 4096)
    path.write_bytes(data)


def test_a_backup_lies_outside_of_what_it_holds(station: Path) -> None:
    with pytest.raises(InputError, match="lies in the folder"):
        back_up(station, station / "backup.tar", True, (), None)
    with pytest.raises(InputError, match="to leave out"):
        back_up(station, station.parent / "b.tar", True, (Path("../backup.tar"),), None)


def test_with_a_key_only_what_it_signed_is_restored(station: Path, tmp_path: Path) -> None:
    signed = saved(station, key=KEY)
    restored(signed, tmp_path / "fresh", key=KEY)
    with pytest.raises(InputError, match="another key"):
        restored(signed, tmp_path / "no", key=b"another key of 16 bytes")
    with pytest.raises(InputError, match="no key was given"):
        restored(signed, tmp_path / "no")
    with pytest.raises(InputError, match="is not signed"):
        restored(saved(station), tmp_path / "no", key=KEY)


def test_a_backup_of_a_later_version_says_so(tmp_path: Path) -> None:
    path = hostile(tmp_path / "later.tar", [member("a")])
    data = path.read_bytes()
    begin = data.index(b'{"at"')
    document = json.loads(data[begin : data.index(b"\0", begin)])
    document.pop("sha256")
    document["schema"] = SCHEMA + 1
    text = canonical(document | {"sha256": hashlib.sha256(canonical(document)).hexdigest()})
    path.write_bytes(data[:begin] + text + data[begin + len(text) :])
    with pytest.raises(InputError, match="install a later Proctor"):
        restored(path, tmp_path / "fresh")


def test_the_commands_say_what_they_did(station: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    def proctor(*words: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from runtime.console import main; main()", *map(str, words)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)

    done = proctor("backup", "station", "b.tar", "--leave-out", "detectors")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:] == ["left out: detectors (as asked)", "left out: 12 pictures of the records"]
    assert proctor("restore", "b.tar", "--check").stdout.startswith("b.tar is whole: 6 files, ")
    done = proctor("restore", "b.tar", "fresh")
    assert "not in the backup: detectors (as asked)" in done.stdout
    assert (tmp_path / "fresh" / "recipes" / "journal.jsonl").is_file()
    for words, said in (
        (("restore", "b.tar"), "give a folder"),
        (("restore", "b.tar", "fresh"), "--overwrite"),
        (("restore", "gone.tar", "new"), "gone.tar cannot be read"),
        (("backup", "gone", "c.tar"), "is no folder"),
    ):
        done = proctor(*words)
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr

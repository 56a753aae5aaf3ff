"""Sealed recipes: whatever was changed since it was sealed is refused, and says who sealed it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.errors import DetectorError, InputError
from runtime.recipes import store as recipe_store
from runtime.recipes.store import JOURNAL, LOCK, SEAL, RecipeStore

KEY = b"0123456789abcdef-key"
ROUNDS, PROCESSES, THREADS = 3, 3, 2
WRITER = f"""
import sys, threading, time
from pathlib import Path
from runtime.recipes import store as recipe_store

now = recipe_store._now
recipe_store._now = lambda: time.sleep(0.005) or now()  # between the journal's last line and the next one

def write():
    store = recipe_store.RecipeStore(Path(sys.argv[1]))
    for _ in range({ROUNDS}):
        seal = store.seal("bottle", [Path(sys.argv[2])], "somebody", "at once")
        store.activate("bottle", "somebody", "at once", seal.version)

print("ready", flush=True)
sys.stdin.readline()
threads = [threading.Thread(target=write) for _ in range({THREADS})]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    made = []
    for name, data in (("detector.onnx", b"a graph"), ("line.yaml", b"cameras: {}")):
        path = tmp_path / "given" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        made.append(path)
    return made


@pytest.fixture(params=[None, KEY], ids=["plain", "signed"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> RecipeStore:
    return RecipeStore(tmp_path / "recipes", request.param)


def test_a_recipe_is_sealed_put_in_force_and_rolled_back(store: RecipeStore, files: list[Path]) -> None:
    assert store.active() is None
    first = store.seal("bottle", files, "the shift's engineer", "first run")
    assert store.active() is None
    assert store.activate("bottle", "the shift's engineer", "released") == first
    files[0].write_bytes(b"another graph")
    second = store.seal("bottle", files, "the shift's engineer", "threshold raised")
    assert (first.version, second.version) == (1, 2)
    assert store.active() == first
    store.activate("bottle", "the shift's engineer", "tried on 200 parts")
    assert store.active() == second
    assert store.roll_back("the shift's engineer", "too many false rejects") == first
    assert store.active() == first
    assert (store.path("bottle", 2) / "detector.onnx").read_bytes() == b"another graph"
    assert [(each.action, each.version) for each in store.history()] == [
        ("sealed", 1), ("activated", 1), ("sealed", 2), ("activated", 2), ("activated", 1),
    ]  # fmt: skip


def test_a_file_is_found_by_its_hash_in_the_newest_version_that_has_it(store: RecipeStore, files: list[Path]) -> None:
    first = store.seal("bottle", files, "the shift's engineer", "first run")
    second = store.seal("bottle", files, "the shift's engineer", "the same again")
    files[0].write_bytes(b"another graph")
    store.seal("bottle", files, "the shift's engineer", "another one")
    assert store.with_file(first.files["detector.onnx"]) == (second, "detector.onnx")
    assert store.with_file("0" * 64) is None
    (store.path("bottle", 1) / "line.yaml").write_text("cameras: {evil: {}}")  # of another version: no matter
    assert store.with_file(first.files["detector.onnx"]) == (second, "detector.onnx")
    (store.path("bottle", 2) / "line.yaml").write_text("cameras: {evil: {}}")
    with pytest.raises(DetectorError, match="was changed since the shift's engineer sealed it"):
        store.with_file(first.files["detector.onnx"])


def test_of_several_recipes_with_a_file_the_one_in_force_is_found(store: RecipeStore, files: list[Path]) -> None:
    alpha = store.seal("alpha", files, "me", "first")
    beta = store.seal("beta", files, "me", "first")
    store.seal("beta", files, "me", "the same again, not in force")
    sha256 = alpha.files["detector.onnx"]
    assert store.with_file(sha256) == (alpha, "detector.onnx")
    store.activate("beta", "me", "released", beta.version)
    assert store.with_file(sha256) == (beta, "detector.onnx")
    files[0].write_bytes(b"another graph")
    store.seal("beta", files, "me", "another one")
    store.activate("beta", "me", "released")
    assert store.with_file(sha256) == (alpha, "detector.onnx")
    (store.folder / JOURNAL).write_bytes(b"{\n")
    with pytest.raises(DetectorError, match="is damaged; put back this file from the last backup"):
        store.with_file(sha256)


def test_processes_and_threads_that_write_at_once_break_no_journal(
    files: list[Path], tmp_path: Path, environment: dict[str, str]
) -> None:
    folder = tmp_path / "recipes"
    command = [sys.executable, "-c", WRITER, str(folder), str(files[0])]
    writers = [
        subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(PROCESSES)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"\n")
        writer.stdin.flush()
    assert [writer.communicate(timeout=60)[1] for writer in writers] == [b""] * PROCESSES
    store, count = RecipeStore(folder), PROCESSES * THREADS * ROUNDS
    assert store.versions("bottle") == list(range(1, count + 1))
    for action in ("sealed", "activated"):
        found = [each.version for each in store.history() if each.action == action]
        assert sorted(found) == store.versions("bottle")
    assert [store.checked("bottle", version).version for version in store.versions("bottle")] == store.versions(
        "bottle"
    )
    assert store.names() == ["bottle"]


def test_who_cannot_write_for_long_is_told_and_who_reads_waits_for_nobody(
    store: RecipeStore, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe_store, "PATIENCE_S", 0.1)
    first = store.seal("bottle", files, "me", "first")
    store.activate("bottle", "me", "first")
    store.seal("bottle", files, "me", "second")
    store.activate("bottle", "me", "second")
    history = store.history()
    with store._writing():
        for write in (
            lambda: store.seal("bottle", files, "me", "third"),
            lambda: store.activate("bottle", "me", "again"),
            lambda: store.roll_back("me", "back"),
        ):
            with pytest.raises(InputError, match=r"others have written in .* for 0\.1 s; nothing was changed"):
                write()
        assert (store.history(), store.versions("bottle"), store.find("bottle", 1)) == (history, [1, 2], first)
    (store.folder / LOCK).touch()  # as a kill leaves it
    assert store.roll_back("me", "back") == first
    assert sorted(each.name for each in store.folder.iterdir()) == ["bottle", JOURNAL]


def test_whoever_only_reads_needs_no_lock(store: RecipeStore, files: list[Path]) -> None:
    seal = store.seal("bottle", files, "me", "first")
    store.activate("bottle", "me", "first")
    store.folder.chmod(0o555)
    try:
        assert (store.active(), store.find("bottle"), len(store.history())) == (seal, seal, 2)
        assert store.with_file(seal.files["line.yaml"]) == (seal, "line.yaml")
        assert not (store.folder / LOCK).exists()
    finally:
        store.folder.chmod(0o755)


def test_rolling_back_twice_goes_forth_again_and_without_a_way_back_is_refused(
    store: RecipeStore, files: list[Path]
) -> None:
    store.seal("a", files, "me", "first")
    store.activate("a", "me", "first")
    with pytest.raises(InputError, match="no recipe was in force before"):
        store.roll_back("me", "hm")
    store.activate("a", "me", "again")
    with pytest.raises(InputError, match="no other recipe"):
        store.roll_back("me", "hm")
    store.seal("b", files, "me", "first")
    store.activate("b", "me", "other part")
    assert store.roll_back("me", "back").name == "a"
    assert store.roll_back("me", "forth").name == "b"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda place: (place / "detector.onnx").write_bytes(b"a grapH"), "was changed since the engineer sealed it"),
        (lambda place: (place / "line.yaml").unlink(), "is missing, which the engineer sealed"),
        (lambda place: (place / "detector.plan").write_bytes(b"x"), "was put there since the engineer sealed it"),
        (lambda place: (place / SEAL).unlink(), "cannot be read"),
        (lambda place: (place / SEAL).write_bytes(b"{"), "is damaged"),
        (lambda place: (place / SEAL).write_bytes(b"[" * 9999), "is damaged"),
    ],
)
def test_what_was_changed_is_refused_until_it_is_sealed_again(  # type: ignore[no-untyped-def]
    store: RecipeStore, files: list[Path], change, message: str
) -> None:
    store.seal("bottle", files, "the engineer", "first run")
    store.activate("bottle", "the engineer", "first run")
    change(store.path("bottle", 1))
    with pytest.raises(DetectorError, match=message) as refused:
        store.active()
    assert "seal it again by name and reason" in str(refused.value)
    store.seal("bottle", files, "the engineer", "looked at it")
    store.activate("bottle", "the engineer", "looked at it")
    active = store.active()
    assert active is not None
    assert active.version == 2


def test_a_signature_that_is_no_text_is_none(files: list[Path], tmp_path: Path) -> None:
    store = RecipeStore(tmp_path / "recipes", KEY)
    store.seal("bottle", files, "me", "first")
    path = store.path("bottle", 1) / SEAL
    path.write_text(json.dumps({**json.loads(path.read_text()), "hmac_sha256": "\ud800"}))
    with pytest.raises(DetectorError, match="is signed with another key, or was changed"):
        store.checked("bottle", 1)


def test_a_seal_made_anew_without_the_key_is_refused(files: list[Path], tmp_path: Path) -> None:
    store = RecipeStore(tmp_path / "recipes", KEY)
    seal = store.seal("bottle", files, "the engineer", "first run")
    store.activate("bottle", "the engineer", "first run")
    place = store.path("bottle", 1)
    (place / "detector.onnx").write_bytes(b"evil")
    document = json.loads((place / SEAL).read_bytes())
    document["files"]["detector.onnx"] = "8c2f58e0a1d7b1ab6b1ac5ae8bd2a5e2e0d9cf5a0fdda6d1f0ec7f3e3f3f3f3f"
    (place / SEAL).write_text(json.dumps(document))
    with pytest.raises(DetectorError, match="signed with another key, or was changed"):
        store.checked("bottle", seal.version)
    with pytest.raises(DetectorError, match="no key was given"):
        RecipeStore(tmp_path / "recipes").history()
    with pytest.raises(DetectorError, match="another key"):
        RecipeStore(tmp_path / "recipes", b"another key of 24 bytes.").history()


@pytest.mark.parametrize("line", [0, 1, 2])
@pytest.mark.parametrize("change", ["removed", "changed"])
def test_a_journal_that_was_changed_is_refused_and_not_written_to(
    store: RecipeStore, files: list[Path], line: int, change: str
) -> None:
    store.seal("bottle", files, "me", "first")
    store.activate("bottle", "me", "first")
    store.seal("bottle", files, "me", "second")
    store.activate("bottle", "me", "second")
    path = store.folder / JOURNAL
    lines = path.read_bytes().splitlines(keepends=True)
    lines[line] = b"" if change == "removed" else lines[line].replace(b'"me"', b'"you"')
    path.write_bytes(b"".join(lines))
    with pytest.raises(DetectorError):
        store.active()
    with pytest.raises(DetectorError):
        store.seal("bottle", files, "me", "third")
    with pytest.raises(DetectorError):
        store.activate("bottle", "me", "third")
    assert path.read_bytes() == b"".join(lines)
    assert store.versions("bottle") == [1, 2]


@pytest.mark.parametrize(
    "left",
    [
        lambda line: line[: len(line) // 2],
        lambda line: line[:1],
        lambda line: bytes(37),
        lambda line: line[:20] + bytes(9),
    ],
    ids=["half", "one byte", "zeros", "half and zeros"],
)
def test_a_line_that_a_power_cut_tore_was_never_written(
    store: RecipeStore, files: list[Path], left: Callable[[bytes], bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    first = store.seal("bottle", files, "me", "first")
    store.activate("bottle", "me", "first")
    path = store.folder / JOURNAL
    whole = path.read_bytes()
    torn = left(whole.splitlines()[-1])
    path.write_bytes(whole + torn)
    history = store.history()
    assert (store.active(), len(history)) == (first, 2)
    assert path.read_bytes() == whole + torn  # who only reads changes nothing
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"warning: the last {len(torn)} bytes of {path} are a line that was never written to its end" in said
    second = store.seal("bottle", files, "me", "second")
    assert f"warning: the last {len(torn)} bytes of" in capsys.readouterr().err
    assert path.read_bytes().startswith(whole + b"{")
    path.write_bytes(path.read_bytes() + torn)
    assert store.activate("bottle", "me", "second") == second == store.active()
    assert store.roll_back("me", "back") == first
    assert [(each.action, each.version) for each in store.history()][2:] == [
        ("sealed", 2), ("activated", 2), ("activated", 1),
    ]  # fmt: skip


def test_a_last_line_that_is_whole_but_for_its_end_counts(
    store: RecipeStore, files: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    first = store.seal("bottle", files, "me", "first")
    store.activate("bottle", "me", "first")
    path = store.folder / JOURNAL
    path.write_bytes(path.read_bytes()[:-1])
    assert (store.active(), len(store.history())) == (first, 2)
    store.seal("bottle", files, "me", "second")
    assert len(store.history()) == 3
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("change", ["forged", "out of place"])
def test_a_last_line_without_its_end_is_held_against_chain_and_key(
    store: RecipeStore, files: list[Path], change: str
) -> None:
    store.seal("bottle", files, "me", "first")
    store.activate("bottle", "me", "first")
    store.seal("bottle", files, "me", "second")
    path = store.folder / JOURNAL
    *before, last = path.read_bytes().splitlines(keepends=True)
    if change == "forged":
        forged = json.dumps({**json.loads(last), "hmac_sha256": "0" * 64}).encode()
        path.write_bytes(b"".join([*before, forged]))
    else:
        path.write_bytes(b"".join([*before[:-1], last[:-1]]))
    written = path.read_bytes()
    for step in (store.history, store.active, lambda: store.seal("bottle", files, "me", "third")):
        with pytest.raises(DetectorError, match=r"no key was given|another key|does not follow the one before"):
            step()
    assert path.read_bytes() == written
    assert store.versions("bottle") == [1, 2]


def test_a_journal_that_is_damaged_elsewhere_says_which_copy_to_put_back(store: RecipeStore, files: list[Path]) -> None:
    store.seal("bottle", files, "me", "first")
    store.activate("bottle", "me", "first")
    path = store.folder / JOURNAL
    copy = path.read_bytes()
    store.seal("bottle", files, "me", "second")
    path.write_bytes(b"{}\n" + path.read_bytes())
    with pytest.raises(
        DetectorError, match=r"line 1 of .* is damaged; put back this file from the last backup"
    ) as said:
        store.activate("bottle", "me", "second")
    assert "seal it again" not in str(said.value)
    path.write_bytes(copy)  # which does not know the version that was sealed since
    assert store.activate("bottle", "me", "second").version == 2
    assert store.seal("bottle", files, "me", "third").version == 3


def test_a_journal_that_cannot_be_written_leaves_all_as_it_was(
    store: RecipeStore, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    store.seal("bottle", files, "me", "first")
    before = (store.folder / JOURNAL).read_bytes()

    def full(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(JOURNAL):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="nothing was changed"):
        store.seal("bottle", files, "me", "second")
    assert (store.folder / JOURNAL).read_bytes() == before
    assert store.versions("bottle") == [1]


@pytest.mark.parametrize(
    ("name", "by", "reason"),
    [("", "me", "x"), ("../up", "me", "x"), (".hidden", "me", "x"), ("a" * 33, "me", "x"), ("a", " ", "x"),
     ("a", "me", ""), ("a", "me", "x" * 501)],
)  # fmt: skip
def test_names_that_could_not_be_used_are_refused_and_leave_nothing(
    store: RecipeStore, files: list[Path], name: str, by: str, reason: str
) -> None:
    with pytest.raises(InputError):
        store.seal(name, files, by, reason)
    assert store.names() == []
    assert not list(store.folder.parent.glob("up*"))


def test_a_file_that_is_not_there_leaves_nothing(store: RecipeStore, files: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"detector\.plan cannot be used"):
        store.seal("bottle", [*files, tmp_path / "detector.plan"], "me", "first")
    assert store.names() == []
    assert store.history() == []
    with pytest.raises(InputError, match="there is no recipe bottle; there are none yet"):
        store.activate("bottle", "me", "first")


def test_the_command_does_all_of_it(files: list[Path], tmp_path: Path, environment: dict[str, str]) -> None:
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "runtime.recipes", str(tmp_path / "recipes"), *map(str, arguments)]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    who = ("--by", "me", "--reason", "a test")
    for action in (("list",), ("history",), ("check",), ("path",), ("rollback", *who)):
        absent = run(*action)
        assert (absent.returncode, absent.stdout) == (2, "")
        assert "is no folder of recipes" in absent.stderr
    assert run("seal", "bottle", *files, *who).returncode == 0
    assert "bottle 1 is in force" in run("activate", "bottle", *who).stdout
    assert "* bottle 1" in run("list").stdout
    assert run("path").stdout == f"{tmp_path / 'recipes' / 'bottle' / '0001'}\n"
    assert run("check").stdout.startswith("1 versions and 2 lines")
    (tmp_path / "recipes" / "bottle" / "0001" / "line.yaml").write_bytes(b"changed")
    assert (run("path").returncode, run("path").stdout) == (2, "")
    refused = run("check")
    assert refused.returncode == 2
    assert "was changed since me sealed it" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "by me: a test" in run("history").stdout

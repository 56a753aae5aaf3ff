"""Files that appear whole or not at all."""

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime import atomic
from runtime.atomic import check_writable, flush_folder, replace_folder, write_atomically
from runtime.errors import InputError


def test_a_file_and_its_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.bin"
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"


@pytest.fixture
def _umask() -> Iterator[None]:
    before = os.umask(0o007)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_umask")
@pytest.mark.parametrize(
    ("before", "only_ours", "after"),
    [(None, False, 0o660), (None, True, 0o640), (0o604, False, 0o604), (0o444, False, 0o444), (0o666, True, 0o644)],
)
def test_permissions_are_those_of_the_file_before_or_of_the_umask(
    before: int | None, only_ours: bool, after: int, tmp_path: Path
) -> None:
    path = tmp_path / "a.bin"
    if before is not None:
        path.touch(before)
        path.chmod(before)
        if not os.access(path, os.W_OK):
            with pytest.raises(InputError, match=r"a\.bin cannot be written \(Permission denied\); choose a folder"):
                write_atomically(path, b"new")
            return
    write_atomically(path, b"new", only_ours=only_ours)
    assert path.stat().st_mode & 0o777 == after


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="root alone can give a file away")
def test_the_owner_is_that_of_the_file_before(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.touch()
    os.chown(path, 1234, 1235)
    write_atomically(path, b"new")
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 1235)


def test_a_link_stays_and_its_target_is_written(tmp_path: Path) -> None:
    target, link = tmp_path / "a" / "target.bin", tmp_path / "link.bin"
    link.symlink_to(target)
    for data in (b"first", b"second"):
        write_atomically(link, data)
        assert (link.is_symlink(), target.read_bytes()) == (True, data)
    assert list(target.parent.iterdir()) == [target]


def test_what_is_no_regular_file_is_written_directly(tmp_path: Path) -> None:
    null = tmp_path / "null"
    null.symlink_to(os.devnull)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    for path in (null, pipe):
        check_writable(path)
        write_atomically(path, b"new")
    assert os.read(reader, 10) == b"new"
    os.close(reader)
    assert sorted(tmp_path.iterdir()) == [null, pipe]
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


@pytest.mark.skipif(not os.path.exists("/proc/self/fd/1"), reason="this system has no /proc")
def test_a_standard_output_that_is_a_file_is_added_to(tmp_path: Path) -> None:
    """By the name that /dev/stdout stands for: a fault here, as root, would replace /dev/stdout for the machine."""
    program = (
        "from pathlib import Path; from runtime.atomic import write_atomically\n"
        "print('printed', flush=True); write_atomically(Path('/proc/self/fd/1'), b'written')"
    )
    with open(tmp_path / "out.txt", "wb") as out:
        subprocess.run([sys.executable, "-c", program], stdout=out, check=True, timeout=60)
    assert (tmp_path / "out.txt").read_text() == "printed\nwritten"


def test_an_interrupt_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def interrupted(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"a\.bin cannot be written \(No space left on device\); free space or choose"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_is_replaced_only_when_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    seen = []
    replace = os.replace

    def watched(source: str, target: Path) -> None:
        seen.append((Path(source).read_bytes(), target.read_bytes()))
        replace(source, target)

    monkeypatch.setattr(os, "replace", watched)
    write_atomically(path, b"new")
    assert seen == [(b"new", b"old")]


@pytest.mark.parametrize("write", [check_writable, lambda path: write_atomically(path, b"")])
def test_a_place_that_cannot_be_written_is_refused(write: Callable[[Path], None], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"b\.bin cannot be written \(.*\); choose a folder that can"):
        write(tmp_path / "file" / "b.bin")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"folder cannot be written \(Is a directory\)"):
        write(tmp_path / "folder")


def test_asking_whether_a_file_can_be_written_leaves_it_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"old")
    check_writable(tmp_path / "a.bin")
    check_writable(tmp_path / "b" / "c.bin")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.bin", b"old")]


class _Ended(BaseException):
    """Whatever ends a command, as Ctrl-C does."""


@pytest.mark.parametrize("exchanges", [True, False])
@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize("step", range(1, 6))
def test_a_folder_is_replaced_whole_or_not_at_all_wherever_it_is_ended(
    exchanges: bool, after: bool, step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh, folder, before = tmp_path / "made" / "station", tmp_path / "station", tmp_path / "before"
    for each, text in ((fresh, "new"), (folder, "old")):
        each.mkdir(parents=True)
        (each / "file").write_text(text)
    count = 0

    def ending(call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*words: Path) -> Any:
            nonlocal count
            count += 1
            if count == step and not after:
                raise _Ended
            found = call(*words)
            if count == step:
                raise _Ended
            return found

        return counted

    monkeypatch.setattr(Path, "rename", ending(Path.rename))
    monkeypatch.setattr(atomic, "_exchanged", ending(atomic._exchanged if exchanges else lambda one, other: False))
    ended = False
    try:
        replace_folder(fresh, folder, before)
    except _Ended:
        ended = True
    assert ended is (step <= (2 if exchanges else 5))
    found = {each: (each / "file").read_text() for each in (fresh, folder, before) if each.exists()}
    assert found in ({fresh: "new", folder: "old"}, {folder: "new", before: "old"})
    if not ended:
        assert found == {folder: "new", before: "old"}


def test_the_names_of_a_folder_are_flushed_where_its_file_system_flushes_no_folder_all_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed = list[str]()
    monkeypatch.setattr(os, "sync", lambda: flushed.append("all"))
    monkeypatch.setattr(os, "fsync", lambda number: flushed.append(os.readlink(f"/proc/self/fd/{number}")))
    flush_folder(tmp_path)
    assert flushed == [str(tmp_path)]

    def refuse(number: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    code = errno.EINVAL
    flush_folder(tmp_path)
    assert flushed[1:] == ["all"]
    code = errno.EIO
    with pytest.raises(OSError, match="Input/output"):
        flush_folder(tmp_path)

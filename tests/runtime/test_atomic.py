"""Files that appear whole or not at all."""

import errno
import os
from pathlib import Path

import pytest

from runtime.atomic import write_atomically
from runtime.errors import InputError


def test_a_file_and_its_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.bin"
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o644


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


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"b\.bin cannot be written \(.*\); choose a folder that can"):
        write_atomically(tmp_path / "file" / "b.bin", b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"folder cannot be written \(Is a directory\)"):
        write_atomically(tmp_path / "folder", b"")

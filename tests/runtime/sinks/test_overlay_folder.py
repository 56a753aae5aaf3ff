"""Overlays on disk: where they go, and what a full disk leaves of them."""

import errno
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from runtime_samples import fake_detector, grey_frame

from runtime.errors import InputError
from runtime.sinks.overlays import OverlayFolder


def test_a_full_disk_is_refused_before_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", ["total", "used", "free"])
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(100, 99, 2**20))
    with pytest.raises(InputError, match="1 MB are free, 64 MB are needed; free space or choose another disk"):
        OverlayFolder(tmp_path)


def test_an_overlay_that_cannot_be_written_is_an_error_of_the_system(tmp_path: Path) -> None:
    overlays = OverlayFolder(tmp_path / "overlays")
    shutil.rmtree(tmp_path / "overlays")
    with fake_detector() as detector, pytest.raises(FileNotFoundError):
        overlays.write(grey_frame(), detector.inspect(grey_frame()))


def test_overlays_of_an_earlier_run_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "overlays" / "run-3").mkdir(parents=True)
    folders = []
    with fake_detector() as detector:
        for _ in range(3):
            overlays = OverlayFolder(tmp_path / "overlays")
            folders.append(overlays.folder.relative_to(tmp_path).as_posix())
            overlays.write(grey_frame(), detector.inspect(grey_frame()))
            assert [path.name for path in overlays.folder.glob("*.jpg")] == ["000000-OK.jpg"]
    assert folders == ["overlays", "overlays/run-2", "overlays/run-3"]


def test_half_an_overlay_does_not_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overlays = OverlayFolder(tmp_path)

    def full(path: Path, data: bytes) -> None:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with fake_detector() as detector, pytest.raises(OSError, match="No space left on device"):
        overlays.write(grey_frame(), detector.inspect(grey_frame()))
    assert list(tmp_path.iterdir()) == []

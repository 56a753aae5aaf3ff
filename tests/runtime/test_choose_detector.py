"""Which detector file a stream takes, and where its overlays and lines go."""

import errno
import io
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from runtime_samples import fake_detector, grey_frame

from runtime import stream
from runtime.errors import DetectorError, InputError
from runtime.report import Headlines, OverlayFolder
from runtime.stream import choose_detector


@pytest.fixture(autouse=True)
def _working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stream, "DEMO_DETECTOR", tmp_path / "package" / "demo.onnx")


def packaged() -> Path:
    stream.DEMO_DETECTOR.parent.mkdir()
    stream.DEMO_DETECTOR.touch()
    return stream.DEMO_DETECTOR


def test_the_one_given_is_taken() -> None:
    assert choose_detector(Path("mine.onnx"), "0") == Path("mine.onnx")
    assert choose_detector(Path("mine.onnx"), "demo") == Path("mine.onnx")


def test_a_plan_in_the_working_folder_goes_before_an_onnx_file() -> None:
    Path("detector.onnx").touch()
    assert choose_detector(None, "0") == Path("detector.onnx")
    Path("detector.plan").touch()
    assert choose_detector(None, "0") == Path("detector.plan")


def test_the_demo_line_has_its_own() -> None:
    Path("detector.onnx").touch()
    shipped = packaged()
    assert choose_detector(None, "demo") == shipped


def test_the_demo_detector_serves_the_demo_line_only() -> None:
    with pytest.raises(DetectorError, match=r"demo\.onnx knows the demo line's parts alone; train a detector for this"):
        choose_detector(packaged(), "0")


def test_an_installation_without_the_demo_detector_says_so() -> None:
    with pytest.raises(DetectorError, match=r"lacks the demo detector .*demo\.onnx; install Proctor again"):
        choose_detector(None, "demo")


def test_a_full_disk_is_refused_before_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", ["total", "used", "free"])
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(100, 99, 2**20))
    with pytest.raises(InputError, match="1 MB are free, 64 MB are needed; free space or choose another disk"):
        OverlayFolder(tmp_path)


def test_an_overlay_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    overlays = OverlayFolder(tmp_path / "overlays")
    shutil.rmtree(tmp_path / "overlays")
    with (
        fake_detector() as detector,
        pytest.raises(InputError, match=r"000000-OK\.jpg cannot be written \(No such file"),
    ):
        overlays(grey_frame(), detector.inspect(grey_frame()))


def test_overlays_of_an_earlier_run_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "overlays" / "run-3").mkdir(parents=True)
    folders = []
    with fake_detector() as detector:
        for _ in range(3):
            overlays = OverlayFolder(tmp_path / "overlays")
            folders.append(overlays.folder.relative_to(tmp_path).as_posix())
            overlays(grey_frame(), detector.inspect(grey_frame()))
            assert [path.name for path in overlays.folder.glob("*.jpg")] == ["000000-OK.jpg"]
    assert folders == ["overlays", "overlays/run-2", "overlays/run-3"]


def test_half_an_overlay_does_not_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overlays = OverlayFolder(tmp_path)

    def full(path: Path, data: bytes) -> None:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with (
        fake_detector() as detector,
        pytest.raises(InputError, match=r"000000-OK\.jpg cannot be written \(No space left on device\); free space or"),
    ):
        overlays(grey_frame(), detector.inspect(grey_frame()))
    assert list(tmp_path.iterdir()) == []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_a_count_and_wipes_it_before_each_line() -> None:
    out, terminal = io.StringIO(), Terminal()
    headlines = Headlines(out, terminal)
    with fake_detector() as detector:
        for frame in (grey_frame(0), grey_frame(1, spot=255)):
            headlines(frame, detector.inspect(frame))
    headlines.close()
    wipe = "\r\033[K"
    counts = ["1 frames: 1 OK, 0 NG, 0 NO_DECISION", "2 frames: 1 OK, 1 NG, 0 NO_DECISION"]
    assert terminal.getvalue() == wipe + counts[0] + wipe + wipe + counts[1] + wipe
    assert out.getvalue().startswith("NG          frame 1: score 0.992 above 0.500; 1 region")


def test_a_file_gets_no_count() -> None:
    terminal = io.StringIO()
    with fake_detector() as detector:
        Headlines(io.StringIO(), terminal)(grey_frame(), detector.inspect(grey_frame()))
    assert terminal.getvalue() == ""

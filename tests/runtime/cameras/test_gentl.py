"""GenTL producers by harvesters, over the simulator that genicam ships: pictures, kills, refusals."""

import os
import re
import signal
from pathlib import Path

import pytest

from runtime.cameras import open_source
from runtime.cameras.capture import Capture
from runtime.cameras.genicam.gentl import gentl_driver
from runtime.cameras.listing import found_by, found_cameras
from runtime.cameras.live import LiveSource
from runtime.errors import SetupError, SourceError

pytestmark = pytest.mark.peer

pytest.importorskip("harvesters", reason="GENTL IS NOT TESTED here: pip install '.[gentl]'")
genicam = pytest.importorskip("genicam", reason="GENTL IS NOT TESTED here: pip install '.[gentl]'")

SIMULATOR = Path(genicam.__file__).with_name("viky.cti")
URI = f"gentl:{SIMULATOR}#VikyTL_DEV_red"


def test_a_driver_killed_twice_loses_no_more_than_what_was_on_the_way() -> None:
    driver = gentl_driver(URI, {"AcquisitionFrameRate": "50"})
    processes: list[int] = []

    def noted() -> Capture:
        capture = driver.open()
        processes.append(capture.pid)
        return capture

    with LiveSource(driver.name, noted, first_backoff_s=0.1, interrupt=driver.interrupt) as source:
        frames, counters, problems = 0, [0], []
        while frames < 100:
            frame = source.read(timeout_s=30)
            assert frame is not None
            if frame.problem:
                problems.append(frame.problem)
                counters.append(0)
                continue
            frames += 1
            assert frame.image.shape == (400, 400, 3)
            assert frame.counter is not None
            assert frame.counter > counters[-1]  # they begin anew with the camera
            counters.append(frame.counter)
            if frames in (30, 60):
                os.kill(processes[-1], signal.SIGKILL)
    assert len(problems) == 2
    assert all("ended by SIGKILL" in problem for problem in problems)
    assert source.reconnects == 2
    assert len(processes) == 3


def test_grey_and_colour_of_the_simulator_agree() -> None:
    pictures = {}
    for pixel_format in ("Mono8", "RGBa8"):
        with open_source(URI, settings={"PixelFormat": pixel_format, "Width": 120}) as source:
            frame = source.read(timeout_s=30)
        assert frame is not None
        assert frame.problem is None
        assert frame.image.shape == (400, 120, 3)
        pictures[pixel_format] = frame.image
    assert (pictures["Mono8"][:, :, :1] == pictures["Mono8"]).all()
    red = pictures["RGBa8"].reshape(-1, 3)
    assert (red[:, 2] > red[:, 0]).any()  # the red camera's ball: red is last in BGR
    assert not (red[:, 0] > red[:, 2]).any()


def test_producers_are_found_by_the_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GENICAM_GENTL64_PATH", f"{tmp_path}{os.pathsep}{SIMULATOR.parent}")
    with open_source("gentl:#2") as source:  # by its serial number
        frame = source.read(timeout_s=30)
    assert frame is not None
    assert frame.problem is None
    monkeypatch.setenv("GENICAM_GENTL64_PATH", str(tmp_path))
    with pytest.raises(SetupError, match=f"no GenTL producer was found in {re.escape(str(tmp_path))}; install the one"):
        open_source("gentl:#2")
    monkeypatch.delenv("GENICAM_GENTL64_PATH")
    with pytest.raises(SetupError, match="no GenTL producer was found since GENICAM_GENTL64_PATH is not set"):
        open_source("gentl")


def test_a_relative_path_is_one_from_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(SIMULATOR.parent)
    with open_source("gentl:viky.cti#0") as source:
        assert source.read(timeout_s=30) is not None


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("gentl:/nowhere/x.cti", "there is no GenTL producer /nowhere/x.cti; give the path"),
        (f"gentl:{SIMULATOR}", r"found 3 cameras at .*: #VikyTL_DEV_red \(Viky\), .*; give one of them"),
        (f"gentl:{SIMULATOR}#99", r"found no camera #99 at .*the cameras that answer are: #VikyTL_DEV_red \(Viky\)"),
    ],
)
def test_what_cannot_be_opened_says_what_there_is(uri: str, sentence: str) -> None:
    with pytest.raises(SourceError, match=sentence):
        open_source(uri)


def test_a_file_that_is_no_producer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.cti"
    path.write_bytes(b"no library")
    with pytest.raises(SourceError, match=r"broken\.cti"):
        open_source(f"gentl:{path}")


def test_a_camera_without_triggers_refuses_them() -> None:
    with pytest.raises(SetupError, match="#VikyTL_DEV_red has no TriggerMode: it cannot be triggered"):
        gentl_driver(URI, {}, "software").open()


def test_cameras_of_the_producers_on_the_path_are_listed_with_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENICAM_GENTL64_PATH", str(SIMULATOR.parent))
    found = found_by("runtime.cameras.genicam.gentl:found_here", "gentl", 30.0)
    assert URI in [each.uri for each in found]
    with open_source(str(found[0].uri)) as source:
        assert source.read(timeout_s=30) is not None


def test_a_producer_that_is_none_says_so_and_hides_no_other_kind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "broken.cti").write_bytes(b"no library")
    monkeypatch.setenv("GENICAM_GENTL64_PATH", str(tmp_path))
    texts = [each.text for each in found_cameras()]
    assert any(text.startswith("gentl:") and "broken.cti" in text for text in texts), texts
    assert any("aravis" in text.lower() for text in texts)

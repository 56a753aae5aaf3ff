"""Basler's cameras by pylon, over its own emulation: pictures to the pixel, triggers, failed buffers, refusals."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.cameras import Source, open_source
from runtime.cameras.base import Found
from runtime.cameras.capture import Damaged, Shot
from runtime.cameras.driver.hosted import HostedCapture
from runtime.cameras.genicam.pylon import pylon_driver
from runtime.cameras.listing import found_by
from runtime.errors import SetupError, SourceError

pytestmark = pytest.mark.peer

pytest.importorskip("pypylon", reason="PYLON IS NOT TESTED here: pip install '.[pylon]'")

FIRST, SECOND = "pylon:0815-0000", "pylon:0815-0001"
RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (48, 64), np.uint8)
DEEP = RANDOM.integers(0, 65536, (48, 64), np.uint16)
COLOUR = RANDOM.integers(0, 256, (48, 64, 3), np.uint8)


@pytest.fixture(autouse=True)
def _emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYLON_CAMEMU", "2")


def showing(folder: Path, image: NDArray[np.generic], pixel_format: str) -> dict[str, str]:
    """Settings of an emulated camera that shows a picture."""
    path = folder / "shown.png"
    assert cv2.imwrite(str(path), image)
    return {
        "Width": "64",
        "Height": "48",
        "TestImageSelector": "Off",
        "ImageFileMode": "On",
        "ImageFilename": str(path),
        "PixelFormat": pixel_format,
    }


@contextmanager
def triggered(settings: dict[str, str], uri: str = FIRST) -> Iterator[HostedCapture]:
    capture = pylon_driver(uri, settings, "software").open()
    try:
        yield capture
    finally:
        capture.release()


def pictured(capture: HostedCapture) -> Shot:
    capture.trigger()
    shot = capture.wait(10)
    assert shot is not None
    return shot


def bilinear_green_of_red_rows(mosaic: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Green at the red samples of RGGB, from the four around each; without the border."""
    around = mosaic.astype(np.int64)
    return (around[1:-3:2, 2:-1:2] + around[3:-1:2, 2:-1:2] + around[2:-2:2, 1:-2:2] + around[2:-2:2, 3::2] + 2) // 4


def test_pictures_are_right_to_the_pixel(tmp_path: Path) -> None:
    expected = {
        "Mono8": (GREY, GREY),
        "Mono12": (DEEP, DEEP >> 8),  # the emulation makes 12 bits of a picture's 16
        "RGB8Packed": (COLOUR, COLOUR),
    }
    for pixel_format, (image, seen) in expected.items():
        with triggered(showing(tmp_path, image, pixel_format)) as capture:
            picture = pictured(capture).picture
        assert isinstance(picture, np.ndarray)
        assert np.array_equal(picture, seen if seen.ndim == 3 else np.repeat(seen[:, :, None], 3, axis=2)), pixel_format
    with triggered(showing(tmp_path, COLOUR, "BayerRG8")) as capture:
        picture = pictured(capture).picture
    assert isinstance(picture, np.ndarray)
    mosaic = COLOUR[:, :, 1].copy()  # the emulation takes of each pixel the colour of its filter
    mosaic[::2, ::2], mosaic[1::2, 1::2] = COLOUR[::2, ::2, 2], COLOUR[1::2, 1::2, 0]
    assert np.array_equal(picture[2:-2:2, 2:-1:2, 2], COLOUR[2:-2:2, 2:-1:2, 2])  # red at red samples
    assert np.array_equal(picture[1:-1:2, 1:-1:2, 0], COLOUR[1:-1:2, 1:-1:2, 0])  # blue at blue ones
    assert np.array_equal(picture[2:-2:2, 2:-1:2, 1], bilinear_green_of_red_rows(mosaic))


def test_a_software_trigger_is_one_picture_with_the_next_number() -> None:
    with triggered({"Width": "64", "Height": "48"}) as capture:
        assert capture.pairs_by == "frame counter"
        assert capture.is_alive()
        assert capture.wait(0.3) is None  # none without a trigger
        counters = []
        for _ in range(20):
            before_s = time.monotonic()
            shot = pictured(capture)
            assert before_s < shot.captured_s < time.monotonic()
            counters.append(shot.counter)
        assert counters == list(range(20))
        assert capture.wait(0.3) is None


def test_failed_buffers_are_damaged_pictures_and_count() -> None:
    forced = {"Width": "64", "Height": "48", "ForceFailedBufferCount": "3", "ForceFailedBuffer": ""}
    with triggered(forced) as capture:
        shots = [pictured(capture) for _ in range(6)]
    assert [isinstance(shot.picture, Damaged) for shot in shots] == [True] * 3 + [False] * 3
    assert [shot.counter for shot in shots] == list(range(6))
    assert shots[0].picture == Damaged("pylon:0815-0000 says: The buffer was incompletely grabbed")


def test_a_live_camera_delivers_and_names_failed_buffers() -> None:
    settings = {"Width": 64, "Height": 48, "ForceFailedBufferCount": 3, "ForceFailedBuffer": ""}
    with open_source(FIRST, settings=settings) as source:
        frames = [source.read(timeout_s=30) for _ in range(30)]
    problems = [frame.problem for frame in frames if frame is not None and frame.problem]
    assert len(problems) == 3
    assert all("the buffer was incompletely grabbed" in problem.lower() for problem in problems)
    counters = [frame.counter for frame in frames if frame is not None and frame.counter is not None]
    assert counters == sorted(set(counters))
    assert len(counters) == 30


def test_each_trigger_is_one_result_of_its_own_picture() -> None:
    settings = {"Width": 64, "Height": 48, "ForceFailedBufferCount": 3, "ForceFailedBuffer": ""}
    with open_source(FIRST, settings=settings, trigger="external", deadline_s=20.0) as source:
        frames = []
        for number in range(12):
            source.trigger(f"part {number}")
            frame = source.read(timeout_s=60)
            assert frame is not None
            frames.append(frame)
        assert [frame.part_id for frame in frames] == [f"part {number}" for number in range(12)]
        assert [(frame.problem or "").split(":")[0] for frame in frames] == ["incomplete"] * 3 + [""] * 9
        assert [frame.counter for frame in frames if not frame.problem] == list(range(3, 12))
        assert source.lost == 0
        assert not source.unpaired


def children() -> set[int]:
    """Processes of this one: those of other tests may be among them."""
    return {int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}


def test_a_triggered_camera_whose_driver_is_killed_comes_back() -> None:
    others = children()
    with open_source(FIRST, settings={"Width": 64, "Height": 48}, trigger="external", deadline_s=3.0) as source:
        source.trigger("before")
        assert problem_of(source, "before") is None
        (driver,) = children() - others
        os.kill(driver, signal.SIGKILL)
        for number in range(200):  # triggers meanwhile are rejects
            source.trigger(f"part {number}")
            if (problem := problem_of(source, f"part {number}")) is None:
                break
            assert problem.startswith(("missed: ", "overrun: "))
            time.sleep(0.2)
        assert problem is None
        assert source.reconnects == 1


def problem_of(source: Source, part_id: str) -> str | None:
    frame = source.read(timeout_s=60)
    assert frame is not None
    assert frame.part_id == part_id
    return frame.problem


def test_what_cannot_be_opened_says_what_there_is() -> None:
    with pytest.raises(SourceError, match=r"no camera pylon:99; the cameras that answer are: pylon:0815-0000 \(Emul"):
        open_source("pylon:99")
    with pytest.raises(SourceError, match=r"found 2 cameras .* pylon:0815-0001 .*; give one of them"):
        open_source("pylon")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"ExposureTime": 5e8}, "takes no ExposureTime=500000000.0; it has 1 to 10,000,000"),
        ({"PixelFormat": "Mono9"}, "takes no PixelFormat=Mono9; it has Mono8, Mono10, "),
        ({"ExposreTime": 1}, "has no feature ExposreTime, or not with its other settings; it has ExposureTime"),
        ({"DeviceModelName": "x"}, "does not let DeviceModelName be set now, it is CamEmu"),
    ],
)
def test_settings_that_are_refused_say_their_range(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(SetupError, match=f"^{SECOND} {sentence}"):
        open_source(SECOND, settings=settings, wait=True)  # waiting would not help


def test_a_selector_chooses_what_a_setting_is_of() -> None:
    chosen = {"TriggerMode[TriggerSelector=FrameStart]": "On", "TriggerSelector": "FrameEnd", "TriggerMode": "Off"}
    with open_source(SECOND, settings=chosen) as source, pytest.raises(SourceError, match="no frame from"):
        source.read(timeout_s=1.5)  # it waits for a trigger: the mode of FrameEnd is another one


def test_contradictions_of_trigger_and_settings_are_refused() -> None:
    for settings, trigger, sentence in (
        ({"TriggerSource": "Line1"}, "software", "TriggerSource=Line1 is no software trigger"),
        ({"TriggerSource": "Software"}, "hardware", "TriggerSource=Software is no input of the camera"),
        ({"TriggerMode": "Off"}, "software", "TriggerMode=Off and a trigger exclude each other"),
    ):
        with pytest.raises(SetupError, match=sentence):
            pylon_driver(FIRST, settings, trigger).open()  # type: ignore[arg-type]


def test_cameras_that_answer_are_listed_with_what_to_type() -> None:
    assert found_by("runtime.cameras.genicam.pylon:found_here", "pylon", 30.0) == [
        Found("pylon:0815-0000", "Emulation"),
        Found("pylon:0815-0001", "Emulation"),
    ]

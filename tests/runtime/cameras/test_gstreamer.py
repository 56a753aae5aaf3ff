"""GStreamer pipelines as cameras, to the pixel: formats, strides, failures, stalls, and changes under way."""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rtp_camera import RtpCamera
from video_samples import number_of, numbered_picture

from runtime.cameras import gstreamer, open_source
from runtime.cameras.base import Source
from runtime.cameras.csi import pipeline_of
from runtime.cameras.gstreamer import GstCapture
from runtime.errors import InputError, SetupError, SourceError
from runtime.frames import Frame

pytestmark = pytest.mark.peer

CHANGED = "the camera changed its resolution from 128×96 to 112×64"
PACKAGES = (
    "libgirepository1.0-dev libcairo2-dev gir1.2-gstreamer-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good"
)


@pytest.fixture(autouse=True, scope="module")
def gst() -> Any:
    try:
        return gstreamer._gstreamer()
    except SetupError:
        pytest.skip(f"GSTREAMER IS NOT TESTED here: apt-get install {PACKAGES}; pip install 'PyGObject<3.52'")


def first(uri: str, **options: Any) -> Frame:
    with open_source(uri, **options) as source:
        frame = source.read()
    assert frame is not None
    return frame


def as_png(gst: Any, pipeline: str, path: Path) -> np.ndarray[Any, Any]:
    """What a pipeline shows first, by GStreamer's own PNG encoder and OpenCV's decoder."""
    pipe = gst.parse_launch(f"{pipeline} ! videoconvert ! video/x-raw,format=RGB ! pngenc ! filesink location={path}")
    pipe.set_state(gst.State.PLAYING)
    pipe.get_bus().timed_pop_filtered(10 * gst.SECOND, gst.MessageType.EOS | gst.MessageType.ERROR)
    pipe.set_state(gst.State.NULL)
    return cv2.imread(str(path), cv2.IMREAD_COLOR)


@pytest.mark.parametrize("size", [(64, 48), (33, 7), (1, 1), (127, 5), (641, 479), (2, 3)])
@pytest.mark.parametrize("form", ["BGR", "RGB", "RGBx", "GRAY8", "ARGB"])
def test_a_picture_is_that_of_the_pipeline_to_the_pixel(
    gst: Any, size: tuple[int, int], form: str, tmp_path: Path
) -> None:
    source = f"videotestsrc num-buffers=1 pattern=smpte ! video/x-raw,format={form},width={size[0]},height={size[1]}"
    frame = first(f"gst:{source}")
    assert frame.image.shape == (size[1], size[0], 3)
    np.testing.assert_array_equal(frame.image, as_png(gst, source, tmp_path / "seen.png"))


def test_blue_comes_first_also_of_chroma_that_is_subsampled() -> None:
    colour = "videotestsrc is-live=true pattern=solid-color foreground-color=0xff1464c8"
    image = first(f"gst:{colour} ! video/x-raw,format=I420,width=50,height=30").image
    assert np.abs(image.reshape(-1, 3).astype(int) - (0xC8, 0x64, 0x14)).max() <= 6


def test_a_csi_camera_is_the_same_code_over_a_sensors_pipeline() -> None:
    text = pipeline_of("csi:1?width=160&height=90&framerate=20")
    assert text == (
        "nvarguscamerasrc sensor-id=1 ! video/x-raw(memory:NVMM),format=NV12,width=160,height=90,framerate=20/1 "
        "! nvvidconv ! video/x-raw,format=BGRx"
    )
    assert "width=1920,height=1080,framerate=30/1" in pipeline_of("csi:0")
    here = text.replace("nvarguscamerasrc sensor-id=1", "videotestsrc is-live=true pattern=blue")
    here = here.replace("(memory:NVMM)", "").replace("nvvidconv", "videoconvert")
    with open_source(f"gst:{here} ! appsink drop=1 max-buffers=1 sync=false") as source:
        frames = [read(source) for _ in range(4)]
    assert [frame.image.shape for frame in frames] == [(90, 160, 3)] * 4
    assert frames[0].image[45, 80].tolist() == pytest.approx([255, 0, 0], abs=3)


@pytest.mark.parametrize(
    "uri", ["csi:", "csi:x", "csi:0?", "csi:0?width=0", "csi:0?height=x", "csi:0?fps=3", "csi:0?framerate=1001"]
)
def test_a_csi_camera_that_cannot_be_is_refused(uri: str) -> None:
    with pytest.raises((InputError, SourceError), match=r"expected csi:0, or as in csi:0.width=|names nothing to open"):
        open_source(uri)


def read(source: Source) -> Frame:
    frame = source.read(10)
    assert frame is not None
    return frame


def read_until(source: Source, wanted: Callable[[Frame], bool]) -> list[Frame]:
    seen = [read(source)]
    deadline_s = time.monotonic() + 20
    while not wanted(seen[-1]):
        assert time.monotonic() < deadline_s, "what the test waits for never came"
        seen.append(read(source))
    return seen


def test_frames_are_counted_and_timed_by_the_pipeline_and_what_a_slow_reader_misses_is_a_drop() -> None:
    with open_source("gst:videotestsrc is-live=true ! video/x-raw,width=16,height=16,framerate=100/1") as source:
        frames = []
        for _ in range(5):
            frames.append(read(source))
            time.sleep(0.1)
        counters = [int(frame.counter or 0) for frame in frames]
        stamps = [int(frame.camera_ns or 0) for frame in frames]
        assert counters == sorted(set(counters))
        assert np.diff(stamps).tolist() == pytest.approx([10e6 * step for step in np.diff(counters)], abs=2)
        assert source.drops >= counters[-1] - len(frames) > 10


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        (
            "nosuchelement",
            r'\(no element "nosuchelement"\); find what brings it: gst-inspect-1.0 nosuchelement, or apt',
        ),
        ("videotestsrc ! !", r"\(syntax error\); try it with gst-launch-1.0"),
        ("videotestsrc ! video/x-raw,width=0", r"can't handle caps video/x-raw, width=\(int\)0"),
        ("videotestsrc ! jpegenc ! jpegdec", r"jpegdec in the pipeline fills in .*; end the pipeline at image/jpeg"),
        ("videotestsrc ! jpegenc ! decodebin", r"jpegdec in the pipeline fills in what is missing"),
        (
            "filesrc location=/nope.jpg ! image/jpeg",
            r'says: Resource not found: No such file "/nope.jpg"; check its path',
        ),
        ("v4l2src device=/dev/video99", r"says: Cannot identify device '/dev/video99'.*; check its path, and"),
        ("videotestsrc num-buffers=0", r"cannot be opened: its stream ended"),
        ("videotestsrc ! identity error-after=1", r"identity\d+ says: Failed after iterations as requested"),
    ],
)
def test_a_pipeline_that_delivers_nothing_is_one_sentence(pipeline: str, message: str) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        open_source(f"gst:{pipeline}")
    assert "\n" not in str(caught.value)


def test_what_waiting_does_not_change_is_not_waited_for() -> None:
    for pipeline in ("nosuchelement", "videotestsrc ! jpegenc ! jpegdec"):
        with pytest.raises(SetupError):
            open_source(f"gst:{pipeline}", wait=True)


def test_a_pipeline_that_never_plays_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gstreamer, "OPEN_TIMEOUT_S", 0.3)
    with pytest.raises(SourceError, match=r"it delivers no picture within 0\.3 s"):
        open_source("gst:videotestsrc ! valve drop=true")


def test_a_pipeline_that_fails_is_lost_with_its_reason_and_opened_again() -> None:
    with open_source("gst:videotestsrc is-live=true ! identity error-after=6") as source:
        seen = read_until(source, lambda frame: source.reconnects == 2 and frame.problem is None)
    lost = "gst:videotestsrc was closed, since identity"
    problems = [problem for problem in (frame.problem for frame in seen) if problem]
    assert len(problems) == 2
    assert all(each.startswith(f"camera lost: {lost}") for each in problems)
    assert all(each.endswith("says: Failed after iterations as requested; opening it again") for each in problems)


def changing(second: str) -> str:
    """Eight grey pictures of 64×48 as BGR, then others without end."""
    return (
        "gst:videotestsrc is-live=true num-buffers=8 ! video/x-raw,format=BGR,width=64,height=48,framerate=20/1"
        f" ! concat name=both videotestsrc is-live=true ! {second},framerate=20/1 ! both. both."
    )


@pytest.mark.parametrize(
    ("second", "told"),
    [
        (
            "video/x-raw,format=BGR,width=33,height=24",
            "wrong size: the camera changed its resolution from 64×48 to 33×24",
        ),
        (
            "video/x-raw,format=GRAY8,width=64,height=48",
            "wrong format: the camera changed its format from BGR to GRAY8",
        ),
    ],
)
def test_a_pipeline_that_changes_what_it_sends_is_told_until_that_is_accepted(
    second: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    with open_source(changing(second)) as source:
        seen = read_until(source, lambda frame: frame.problem is not None)
        seen += [read(source) for _ in range(3)]
    problems = [problem for problem, _ in groupby(frame.problem for frame in seen)]
    assert problems == [None, f"{told}; --accept-size-change goes on with it"]
    height, width = (24, 33) if "33" in second else (48, 64)
    with open_source(changing(second), accept_size_change=True) as source:
        seen = [read(source)]
        while not caplog.messages:
            seen.append(read(source))
        seen += [read(source) for _ in range(3)]
    assert {frame.problem for frame in seen} == {None}
    assert seen[-1].image.shape == (height, width, 3)
    assert caplog.messages == [f"gst:videotestsrc: {told.partition(': ')[2]}; accepted"]


@contextmanager
def rtp_camera(gst: Any) -> Iterator[RtpCamera]:
    camera = RtpCamera(gst)
    try:
        yield camera
    finally:
        camera.close()


def test_a_camera_over_rtp_stalls_and_comes_back_with_another_size(gst: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gstreamer, "STALL_S", 1.0)
    with rtp_camera(gst) as camera:
        camera.play(itertools.count(), (96, 128))
        with open_source(camera.uri) as source:
            seen = [read(source) for _ in range(5)]
            camera.stop()
            seen += read_until(source, lambda frame: frame.problem is not None)
            stalled = "gst:udpsrc was closed, since it stalls: no picture came within 1 s"
            assert seen[-1].problem == f"camera lost: {stalled}; opening it again"
            camera.play(itertools.count(100), (96, 128))
            back_s = time.monotonic()
            again = read_until(source, lambda frame: frame.problem is None)
            assert time.monotonic() - back_s < 5
            camera.stop()
            camera.play(itertools.count(), (64, 112))
            changed = read_until(source, lambda frame: str(frame.problem).startswith("wrong size"))
    numbers = [number_of(frame.image) for frame in seen if frame.problem is None]
    assert numbers == sorted(set(numbers))
    assert number_of(again[-1].image) >= 100
    assert changed[-1].problem == f"wrong size: {CHANGED}; --accept-size-change goes on with it"


def test_of_a_picture_that_lost_packets_nothing_is_scored(gst: Any) -> None:
    """Also where GStreamer delivers what is left of it: the strict decoder refuses that."""
    with rtp_camera(gst) as camera:
        camera.loses = lambda packet: packet % 13 == 5
        camera.play(itertools.count(), (96, 128))
        with open_source(camera.uri) as source:
            seen = [read(source) for _ in range(40)]
    shown = [frame.image for frame in seen if frame.problem is None]
    numbers = [number_of(image) for image in shown]
    assert len(numbers) > 5
    assert all(before < after for before, after in pairwise(numbers))
    assert max(numbers) - min(numbers) > len(numbers)
    for number, image in zip(numbers, shown, strict=True):
        np.testing.assert_allclose(image.astype(int).mean(), numbered_picture(number).mean(), atol=1)


def test_buffers_that_gstreamer_marks_are_damaged_pictures(gst: Any) -> None:
    capture = GstCapture("videotestsrc num-buffers=1 ! video/x-raw,width=8,height=8")
    sample = capture._first.sample if capture._first else None
    buffer = sample.get_buffer().copy_deep()
    for flag, cause in (("CORRUPTED", "GStreamer marks it as corrupted"), ("GAP", "GStreamer put it in for one")):
        marked = buffer.copy_deep()
        marked.set_flags(getattr(gst.BufferFlags, flag))
        picture = capture._picture(sample, marked)
        assert str(getattr(picture, "cause", "")).startswith(cause)
    short = gst.Buffer.new_wrapped(bytes(100))
    assert "100 bytes arrived; 8×8 pixels have 192" in str(getattr(capture._picture(sample, short), "cause", ""))
    capture.release()


def test_a_pipeline_that_repeats_pictures_does_not_show_them_as_new() -> None:
    """As videorate does where its camera hangs."""
    slow = "videotestsrc is-live=true ! video/x-raw,width=16,height=16,framerate=5/1"
    with open_source(f"gst:{slow} ! videorate ! video/x-raw,framerate=20/1") as source:
        problems = [read(source).problem for _ in range(12)]
    assert any("GStreamer put it in for one that is missing" in str(problem) for problem in problems)
    assert problems.count(None) < 6

"""Sources by URI: files, folders, videos, the demo line, and what is refused."""

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from runtime.cameras import ROWS, CameraRow, Source, open_source
from runtime.cameras.capture import without_password
from runtime.demo import DemoLine
from runtime.errors import InputError, SourceError
from runtime.frames import Frame


def write_image(path: Path, grey: int) -> None:
    cv2.imwrite(str(path), np.full((8, 12, 3), grey, np.uint8))


def read_all(source: Source) -> list[Frame]:
    frames = []
    with source:
        while (frame := source.read()) is not None:
            frames.append(frame)
        assert source.read() is None
    return frames


def test_a_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    for name, grey in (("b.png", 20), ("a.bmp", 10), ("c.PNG", 30)):
        write_image(tmp_path / name, grey)
    (tmp_path / "notes.txt").write_text("not an image")
    frames = read_all(open_source(str(tmp_path)))
    assert [(frame.frame_id, frame.name, frame.image[0, 0, 0]) for frame in frames] == [
        (0, "a.bmp", 10),
        (1, "b.png", 20),
        (2, "c.PNG", 30),
    ]
    assert not any(frame.live for frame in frames)


def test_an_unreadable_image_is_a_frame_with_a_problem_that_names_it(tmp_path: Path) -> None:
    for name in ("a.png", "c.png"):
        write_image(tmp_path / name, 99)
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    good, bad, last = read_all(open_source(str(tmp_path)))
    assert bad.problem == f"{tmp_path / 'b.png'} is truncated; copy it again or remove it"
    assert (bad.name, bad.frame_id, bad.image.size) == ("b.png", 1, 0)
    assert good.problem is None
    assert last.problem is None


NO_TEXT = os.fsdecode(b"part \xff.")  # names are bytes, and these are no UTF-8


def test_a_name_that_is_no_text_is_escaped_where_a_problem_shows_it(tmp_path: Path) -> None:
    (tmp_path / f"{NO_TEXT}png").write_bytes(b"")
    (bad,) = read_all(open_source(str(tmp_path)))
    assert bad.problem == f"{tmp_path}/part \\udcff.png is empty; copy it again or remove it"
    assert bad.name == f"{NO_TEXT}png"


def test_a_video_whose_name_is_no_text_is_escaped_where_a_problem_shows_it(tmp_path: Path) -> None:
    path = tmp_path / "line.avi"
    write_video(path, "MJPG", [100] * 3)
    video = bytearray(path.read_bytes())
    data = frame_data(video, 0)
    video[data] = bytes(data.stop - data.start)
    (tmp_path / f"{NO_TEXT}avi").write_bytes(video[: frame_data(video, 1).stop])
    damaged, _, cut = read_all(open_source(str(tmp_path / f"{NO_TEXT}avi")))
    assert str(damaged.problem).startswith("damaged picture: frame 0 of part \\udcff.avi is damaged")
    assert str(cut.problem).startswith("part \\udcff.avi ends after 2 of 3 frames")


def test_one_image_file_is_a_stream_of_one(tmp_path: Path) -> None:
    write_image(tmp_path / "part.png", 50)
    assert [frame.name for frame in read_all(open_source(str(tmp_path / "part.png")))] == ["part.png"]


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no images; expected files ending in"):
        open_source(str(tmp_path))


def write_video(path: Path, code: str, greys: Sequence[int]) -> None:
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*code), 25, (64, 48))
    for grey in greys:
        writer.write(np.full((48, 64, 3), grey, np.uint8))
    writer.release()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("line.avi", "MJPG"),
        ("line.mp4", "mp4v"),
        ("line.mkv", "VP80"),
        ("line.ts", "mpg1"),  # FFmpeg announces nearly twice its frames
        ("line.mjpeg", "MJPG"),  # and here a negative number
        ("10:30.avi", "MJPG"),
    ],
)
def test_a_video_file_gives_each_frame_once(
    tmp_path: Path, name: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / name, code, (40, 80, 120, 160) * 5)
    frames = read_all(open_source(name))
    assert [round(float(frame.image.mean()), -1) for frame in frames] == [40, 80, 120, 160] * 5
    assert [frame.frame_id for frame in frames] == list(range(20))
    assert frames[0].image.shape == (48, 64, 3)


def frame_data(video: bytes | bytearray, number: int) -> slice:
    """Where a frame lies in an AVI file."""
    at = [found.end() + 4 for found in re.finditer(b"00dc", video)][number + 1]  # the first is in the header
    return slice(at, at + int.from_bytes(video[at - 4 : at], "little"))


@pytest.mark.parametrize("damaged", [[0], [3], [2, 3]])
def test_frames_of_a_video_that_cannot_be_decoded_are_missing_ones(tmp_path: Path, damaged: list[int]) -> None:
    path = tmp_path / "line.avi"
    write_video(path, "MJPG", range(40, 100, 10))
    video = bytearray(path.read_bytes())
    for number in damaged:
        data = frame_data(video, number)
        video[data] = bytes(data.stop - data.start)
    path.write_bytes(video)
    frames = read_all(open_source(str(path)))
    for at, frame in enumerate(frames):
        said = f"damaged picture: frame {at} of line.avi is damaged and cannot be decoded ("
        assert (frame.problem or "").startswith(said) == (at in damaged)
        assert (frame.problem is None) == (at not in damaged)
    assert [frame.frame_id for frame in frames] == list(range(6))
    assert round(float(frames[5].image.mean()), -1) == 90


@pytest.mark.parametrize("left", [1, 10, 19])
def test_a_video_that_was_cut_short_says_so_in_its_last_frame(tmp_path: Path, left: int) -> None:
    path = tmp_path / "line.avi"
    write_video(path, "MJPG", [100] * 20)
    video = path.read_bytes()
    path.write_bytes(video[: frame_data(video, left - 1).stop])
    frames = read_all(open_source(str(path)))
    assert [frame.problem for frame in frames[:-1]] == [None] * left
    assert frames[-1].problem == (
        f"line.avi ends after {left} of 20 frames: it was cut short or is damaged; copy or record it again"
    )


def test_a_file_that_is_no_video_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "line.mp4"
    path.write_bytes(b"not a video" * 100)
    with pytest.raises(
        SourceError, match=r"line\.mp4 cannot be opened as video \(Invalid data found when .*\); check the"
    ):
        open_source(str(path))


def test_the_demo_line_delivers_its_parts_with_their_truth() -> None:
    line = DemoLine(5, (64, 64), 0.5)
    with open_source("demo", seed=5, defect_rate=0.5, size_hw=(64, 64)) as source:
        frames = [source.read() for _ in range(8)]
    for number, frame in enumerate(frames):
        assert frame is not None
        assert frame.part_id == str(number)
        assert frame.defective is (line.part(number).defect is not None)
        np.testing.assert_array_equal(frame.image, line.part(number).image)
    assert {frame.defective for frame in frames if frame} == {True, False}
    assert source.read() is None


def test_the_demo_lines_options_may_stand_in_its_uri() -> None:
    line = DemoLine(3, (64, 72), 0.5)
    with open_source("demo?seed=3&defect_rate=0.5&size=64x72") as source:
        frame = source.read()
    assert frame is not None
    np.testing.assert_array_equal(frame.image, line.part(0).image)


@pytest.mark.parametrize(
    ("uri", "options", "message"),
    [
        ("demo", {"seed": -1}, "-1"),
        ("demo?seed=x", {}, "the demo line's seed is 'x'"),
        ("demo?fading=2", {}, "the demo line's fading is 2.0"),
        ("demo?fading=much", {}, "the demo line's fading is 'much'"),
        ("demo?size=64", {}, "size_hw is '64'"),
        ("demo?speed=3", {}, "the camera is 'demo\\?speed=3'; expected demo, or as in demo"),
        ("demo?", {}, "expected demo, or as in"),
        ("demo?seed=3", {"seed": 4}, "seed is given in the camera 'demo\\?seed=3' and beside it; give it once"),
        (
            "demo",
            {"reconnect_limit": 3},
            "reconnect_limit is for 0 or v4l2:0 .* and rtsp://.*, and this camera is 'demo'",
        ),
        ("demo", {"wait": True}, "wait is for"),
        (
            "0",
            {"max_pixels": 3},
            "max_pixels is for watch:FOLDER .* and a video file, an image or a folder of images, and this .* is '0'",
        ),
        (".", {"seed": 3}, "seed is for demo"),
    ],
)
def test_options_of_another_camera_or_out_of_range_are_refused(uri: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_source(uri, **options)


@pytest.mark.parametrize("uri", ["0", "v4l2:0", "v4l2:/dev/video0"])
def test_a_missing_camera_is_one_sentence_and_no_noise(uri: str, capfd: pytest.CaptureFixture[str]) -> None:
    if Path("/dev/video0").exists():
        pytest.skip("this machine has a camera")
    with pytest.raises(SourceError, match=r"cannot be opened; there is no /dev/video0 \(found .*\); plug it in or"):
        open_source(uri)
    assert capfd.readouterr().err == ""


def test_an_unknown_scheme_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(
        SourceError, match=r"camera 'gopher://u@x/y' has a scheme that is not known; expected 0 or v4l2:0"
    ):
        open_source("gopher://u:secret@x/y")


@pytest.mark.parametrize("uri", ["", "v4l2:"])
def test_an_empty_camera_is_refused(uri: str) -> None:
    with pytest.raises(SourceError, match=f"camera '{uri}' names nothing to open; expected 0 or v4l2:0"):
        open_source(uri)


@pytest.mark.parametrize("device", ["4294967296", "²", "x" * 300])
def test_a_device_that_cannot_be_is_one_that_is_not_there(device: str) -> None:
    with pytest.raises(SourceError, match=f"camera {device} cannot be opened; there is no .*{device}"):
        open_source(f"v4l2:{device}")


def test_a_name_that_is_too_long_is_refused() -> None:
    with pytest.raises(SourceError, match=r"camera 'x+' (cannot be read: File name too long|is no file or folder); "):
        open_source("x" * 300)


def test_a_path_that_is_not_there_is_refused() -> None:
    with pytest.raises(SourceError, match="camera 'no-such-folder' is no file or folder; expected 0 or v4l2:0"):
        open_source("no-such-folder")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://user:secret@host:554/a@b", "rtsp://user@host:554/a@b"),
        ("rtsp://host/path", "rtsp://host/path"),
        ("rtsp:/user:secret@host/path", "rtsp:/user@host/path"),
        ("user:secret@host/path", "user@host/path"),
        ("rtsp://user:se/cret@host/path", "rtsp://user@host/path"),
        ("rtsp://user:se?cret@host/path", "rtsp://user@host/path"),
        ("http://host:80/video.cgi?user=a&pwd=secret", "http://host:80/video.cgi?…"),
        ("http://user:secret@host?pwd=secret", "http://user@host?…"),
        ("/videos/10:30 a@b.avi", "/videos/10:30 a@b.avi"),
        ("host/video.cgi?user=a&pwd=secret", "host/video.cgi?…"),
        ("demo?seed=3", "demo?seed=3"),
        ("csi:0?width=640", "csi:0?width=640"),
        ("watch:a@b?settle_ms=200", "watch:a@b?settle_ms=200"),
        ("watch:rtsp://user:secret@host/video?pwd=secret", "watch@host/video?…"),
        ("demonstration?pwd=secret", "demonstration?…"),
        ("0", "0"),
    ],
)
def test_passwords_stay_out_of_messages(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_ffmpeg_is_loaded_for_videos_and_network_cameras_alone() -> None:
    code = "import runtime.stream, sys; runtime.stream.open_camera('demo', {}).read(); print('av' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.shown)
def test_every_opener_takes_the_options_of_its_row(row: CameraRow) -> None:
    module, _, function = row.opener.partition(":")
    taken = inspect.signature(getattr(import_module(module), function)).parameters
    assert set(taken) >= {"uri", *row.options}

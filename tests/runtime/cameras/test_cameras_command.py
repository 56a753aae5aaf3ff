"""``python -m runtime.cameras``: what is listed, and what is told of a camera that is tried."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from http_camera import jpeg, part, playing, serving
from video_samples import cut, number_of, numbered_picture

from runtime.cameras import ROWS, CameraRow, listing
from runtime.cameras.__main__ import listed, main, told
from runtime.cameras.base import Found
from runtime.cameras.capture import without_password
from runtime.cameras.listing import found_by, found_cameras
from runtime.cameras.trial import Trial
from runtime.cameras.v4l2 import list_v4l2
from runtime.errors import InputError

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def cameras(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "runtime.cameras", *words]
    return subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)


def test_v4l2_devices_are_listed_by_their_drivers_names_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    for number in (10, 2):
        (tmp_path / "dev" / f"video{number}").touch()
        names = tmp_path / "sys/class/video4linux" / f"video{number}"
        names.mkdir(parents=True)
        (names / "name").write_text(f"Camera {number}\n")
    assert list_v4l2(tmp_path) == [Found("v4l2:2", "Camera 2"), Found("v4l2:10", "Camera 10")]
    (none,) = list_v4l2(tmp_path / "dev")
    assert none.text.startswith("V4L2: no /dev/video*: plug a camera in; in a container, start it with --device")


def test_a_list_names_what_is_there_what_is_missing_and_what_to_type_next() -> None:
    found = [Found("v4l2:0", "Webcam"), Found(None, "gst:PIPELINE: no binding; pip install it")]
    lines = listed(found)
    assert lines[0] == "v4l2:0  Webcam"
    assert lines[1] == "-       gst:PIPELINE: no binding; pip install it"
    assert lines[-1] == "next: python -m runtime.cameras v4l2:0"
    assert listed([])[-1] == "next: python -m runtime.cameras demo"


def test_every_kind_that_can_be_looked_for_is_and_none_hides_the_others(tmp_path: Path) -> None:
    assert sum(row.lister is not None for row in ROWS) >= 6
    texts = [each.text for each in found_cameras()]
    assert any("GStreamer" in text for text in texts)  # that it is there, or how to get it
    done = cameras("--json", cwd=tmp_path)
    assert done.returncode == 0
    assert steady([each["text"] for each in json.loads(done.stdout)]) == steady(texts)


def steady(texts: list[str]) -> list[str]:
    """All but what Aravis finds: another test beside this one may begin or end a simulated camera at any time."""
    return [text for text in texts if not text.lower().startswith("aravis")]


def test_a_camera_that_is_tried_is_told_of_with_a_picture_and_the_next_command(tmp_path: Path) -> None:
    parts = [part(jpeg(numbered_picture(number))) for number in range(200)]
    parts[5] = part(cut(jpeg(numbered_picture(5))))
    with serving(playing(parts, period_s=0.03)) as url:
        done = cameras(url.replace("//", "//user:s3cret@"), "--seconds", "1.5", cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    shown = url.replace("//", "//user@")
    assert re.fullmatch(rf"{shown}: \d+ pictures in 1\.\d s; 128×96, sent as mjpeg", lines[0])
    assert re.fullmatch(r"rate: [123]\d\.\d a second; from one to the next \d+ ms \(median\), \d+ ms .*", lines[1])
    assert re.fullmatch(r"missing: the camera counts none, \d+ dropped here, 0 reconnects", lines[2])
    assert lines[3].startswith(f"problem: damaged picture: {shown} sent one that cannot be decoded")
    assert lines[-1] == "saved: camera.png"
    saved = cv2.imread(str(tmp_path / "camera.png"))
    assert saved is not None
    assert saved.shape == (96, 128, 3)
    assert number_of(saved.astype(np.uint8)) > 10
    train = "python -m train --data GOOD_IMAGES --out detector.onnx, on pictures of this camera"
    assert done.stderr.splitlines()[-1] == f"next: {train}; then python -m runtime.stream --camera {shown}"
    assert "s3cret" not in done.stdout + done.stderr


def test_a_trial_overwrites_no_picture_and_names_the_stream_where_a_detector_is_there(tmp_path: Path) -> None:
    (tmp_path / "detector.onnx").touch()
    (tmp_path / "camera.png").write_text("mine")
    (tmp_path / "parts").mkdir()
    cv2.imwrite(str(tmp_path / "parts" / "a.png"), numbered_picture(3))
    done = cameras("parts", "--json", "--seconds", "0.5", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == "next: python -m runtime.stream --camera parts\n"
    answer = json.loads(done.stdout)
    assert (answer["saved"], answer["pictures"], answer["live"]) == ("camera-2.png", 1, False)
    assert answer["sizes"] == [{"width": 128, "height": 96, "pictures": 1}]
    assert (tmp_path / "camera.png").read_text() == "mine"


def test_a_camera_that_delivers_nothing_whole_ends_with_its_reason_and_status_2(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    done = cameras("watch:inbox", "--seconds", "0.3", cwd=tmp_path)
    assert done.returncode == 2
    assert re.fullmatch(r"error: watch:inbox delivered no whole picture: nothing came within [\d.]+ s\n", done.stderr)
    assert list(tmp_path.glob("*.png")) == []
    done = cameras("demo", "--seconds", "0", cwd=tmp_path)
    assert done.stderr == "error: --seconds is 0; expected more than 0, and 86,400 at most\n"
    done = cameras("demo", "--rtsp-transport", "udp", cwd=tmp_path)
    assert done.stderr == "error: --rtsp-transport is for rtsp://…, and this camera is 'demo'; leave it out\n"


def test_a_picture_that_cannot_be_saved_is_told_before_the_camera_is_opened(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    for place, reason in (("taken", "Is a directory"), ("camera.jpg/a.png", "Not a directory")):
        (tmp_path / "camera.jpg").touch()
        done = cameras("rtsp://nowhere.invalid/", "--save", place, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr == f"error: {place} cannot be written ({reason}); choose a folder that can\n"
        assert done.stdout == ""


def test_a_disk_that_is_full_at_the_end_keeps_no_figures_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for words in ([], ["--json"]):
        monkeypatch.setattr(
            sys, "argv", ["cameras", "demo", "--seconds", "0.5", "--save", str(tmp_path / "a.png"), *words]
        )
        with pytest.raises(InputError, match=r"a\.png cannot be written \(No space left on device\); free space"):
            main()
        out = capsys.readouterr().out
        assert "saved: " not in out
        if words:
            told_of = json.loads(out)
            assert told_of["saved"] is None
            assert told_of["pictures"] > 0
        else:
            assert re.match(r"demo: [1-9]\d* pictures in ", out)
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_a_trial_with_what_came_so_far(tmp_path: Path) -> None:
    seen = threading.Event()

    def parts() -> Iterator[bytes]:
        for number in range(3000):
            if number == 40:
                seen.set()
            yield part(jpeg(numbered_picture(number % 256)))

    with serving(playing(parts())) as url:
        command = [sys.executable, "-m", "runtime.cameras", url, "--seconds", "600", "--save", "mine.png"]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stdout=pipe, stderr=pipe, text=True) as process:
            assert seen.wait(60)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert out.splitlines()[-1] == "saved: mine.png"
    assert "Traceback" not in err


def test_gaps_in_a_cameras_count_and_repeated_pictures_are_told() -> None:
    trial = Trial(live=True, watched_s=2.0, pictures=3, counter_gaps=4, drops=3, repeated=2, rate=1.5)
    trial.median_gap_ms = trial.longest_gap_ms = 667.0
    lines = told(trial, "csi:0", Path("camera.png"))
    assert lines[2] == "missing: 4 by its own count, 3 dropped here, 0 reconnects"
    assert lines[3] == "repeated: 2 pictures equal to the one before, which a stream rejects as frozen"


@pytest.mark.parametrize(
    "uri", ["gst:rtspsrc location=rtsp://u:s3cret@h/x user-pw=s3cret ! x", "gst:x password=s3cret"]
)
def test_passwords_in_a_pipeline_stay_out_of_messages(uri: str) -> None:
    assert "s3cret" not in without_password(uri)
    assert without_password(uri).startswith("gst:")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import time; time.sleep(60)", "no answer within 3 s"),
        ("import os; os.abort()", "crashed (SIGABRT)"),
        ("raise SystemExit('it is not installed')", "failed: it is not installed"),
        ("import os; os._exit(0)", "ended without an answer"),
        ("print('{')", "failed: AttributeError: module 'sick' has no attribute 'found_here'"),
    ],
)
def test_a_driver_that_hangs_or_dies_while_it_looks_is_one_line(
    code: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sick.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    (line,) = found_by("sick:found_here", "sick:N", timeout_s=3.0 if "sleep" in code else 30.0)
    assert line == Found(None, f"sick:N: looking for cameras in a process of its own: {said}")


def test_a_driver_that_prints_and_crashes_at_its_end_is_heard_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "noisy.py").write_text(
        "import atexit, os\n"
        "from runtime.cameras.base import Found\n"
        "atexit.register(os.abort)\n"
        "def found_here():\n"
        "    print('welcome', end='')\n"
        "    return [Found('noisy:1', 'Camera ü')]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert found_by("noisy:found_here", "noisy:N", 30.0) == [Found("noisy:1", "Camera ü")]


def test_one_kind_that_hangs_or_dies_hides_no_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mixed.py").write_text(
        "import os, time\n"
        "from runtime.cameras.base import Found\n"
        "def hangs(): time.sleep(60)\n"
        "def dies(): os.abort()\n"
        "def works(): return [Found('works:0', 'Webcam')]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    names = ("hangs", "dies", "works")
    rows = [CameraRow(f"{name}:N", (name,), "mixed:open", (), lister=f"mixed:{name}") for name in names]
    monkeypatch.setattr(listing, "ROWS", rows)
    hung, dead, there = found_cameras(timeout_s=5.0)
    assert hung.text == "hangs:N: looking for cameras in a process of its own: no answer within 5 s"
    assert dead.text == "dies:N: looking for cameras in a process of its own: crashed (SIGABRT)"
    assert there == Found("works:0", "Webcam")

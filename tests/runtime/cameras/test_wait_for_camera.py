"""A camera that is absent at the start: refused at once, or waited for with the patience for one that was lost."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from http_camera import jpeg, part, playing, serving
from runtime_samples import SIZE_HW
from test_live_source import ScriptedCapture, opener, read_until
from test_stream import ENVIRONMENT
from video_samples import numbered_picture
from waiting import free_port

from runtime.cameras import open_source
from runtime.cameras.live import LiveSource
from runtime.errors import InputError, SourceError, SourceTimeout


@contextmanager
def stream(detector: Path, camera: object, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "runtime.stream", "--camera", str(camera), "--detector", str(detector), *options]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=pipe, stderr=pipe, text=True) as process:
        yield process
        process.kill()


def test_an_absent_camera_ends_the_stream_at_once_and_the_option_is_named(detector_file: Path) -> None:
    with stream(detector_file, f"http://127.0.0.1:{free_port()}/") as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert out == ""
    assert err.splitlines()[-1].endswith("check the address and that it plays; or wait for it with --wait-for-camera")
    assert "Connection refused" in err


def test_a_camera_that_comes_later_is_waited_for(detector_file: Path) -> None:
    port = free_port()
    pictures = [part(jpeg(numbered_picture(number, (64, 96))[: SIZE_HW[0] * 4])) for number in range(200)]
    with stream(detector_file, f"http://127.0.0.1:{port}/", "--wait-for-camera", "--frames", "3", "--json") as process:
        assert process.stderr is not None
        told = [process.stderr.readline(), process.stderr.readline()]
        with serving(playing(pictures), port):
            out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert told[1].startswith(f"waiting for the camera: http://127.0.0.1:{port}/ cannot be opened as video (Connection")
    assert len([json.loads(line) for line in out.splitlines()]) == 3
    assert "0 reconnects" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_waiting_with_a_summary(detector_file: Path, number: int) -> None:
    with stream(detector_file, f"http://127.0.0.1:{free_port()}/", "--wait-for-camera") as process:
        assert process.stderr is not None
        while not process.stderr.readline().startswith("waiting for the camera: "):
            pass
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.startswith("0 frames: ")
    assert "Traceback" not in err


def test_the_waiting_ends_at_the_reconnect_limit() -> None:
    with LiveSource("camera 0", opener(), 2, first_backoff_s=0.01, wait=True) as source:
        assert source.waits_for == "unplugged"
        with pytest.raises(SourceError, match="camera 0 did not come: 2 attempts to open it failed; unplugged"):
            read_until(source, lambda frame: False)


def test_while_it_waits_nothing_is_silent_or_lost_and_then_losses_count_as_ever() -> None:
    came, hang = threading.Event(), threading.Event()
    captures = iter((ScriptedCapture(1), ScriptedCapture(3, hang)))

    def open_capture() -> ScriptedCapture:
        if not came.is_set():
            raise SourceError("unplugged")
        return next(captures)

    with LiveSource("camera 0", open_capture, first_backoff_s=0.01, silence_s=0.02, wait=True) as source:
        with pytest.raises(SourceTimeout):
            source.read(0.1)
        came.set()
        lost = read_until(source, lambda frame: frame.problem is not None)
        assert lost.problem == "camera lost: camera 0 stopped delivering; opening it again"
        read_until(source, lambda frame: frame.problem is None)
        assert source.reconnects == 1
        assert source.waits_for is None
        hang.set()


def test_only_cameras_are_waited_for(tmp_path: Path) -> None:
    for uri in ("demo", str(tmp_path), "line.mp4"):
        message = rf"wait is for 0 or v4l2:0 \(a camera\) and rtsp://… and http://… and .*, and this camera is '{uri}'"
        with pytest.raises(InputError, match=message):
            open_source(uri, wait=True)

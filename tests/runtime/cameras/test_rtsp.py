"""A real RTSP camera that is killed, that hangs, and whose packets get lost.

Needs GStreamer's RTSP server for the system's Python.
"""

import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from rtsp_relay import RtspRelay
from runtime_samples import lose_twice
from video_samples import number_of, read_all, write_numbered

from runtime.cameras import open_source
from runtime.cameras.capture import Damaged
from runtime.cameras.network import capture_of
from runtime.verdict import Decision

PYTHON = "/usr/bin/python3"
PACKAGES = "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good"
PROBE = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


class RtspCamera:
    """The camera process, on a port of this machine."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"rtsp://127.0.0.1:{self.port}/line"

    def start(self, *arguments: Path) -> None:
        script = Path(__file__).parents[1] / "rtsp_camera.py"
        self._process = subprocess.Popen([PYTHON, script, str(self.port), *arguments], stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def hang(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)


@pytest.fixture
def stopped_camera() -> RtspCamera:
    if not Path(PYTHON).exists() or subprocess.run([PYTHON, "-c", PROBE], capture_output=True).returncode:
        pytest.skip(f"RTSP IS NOT TESTED here: apt-get install --no-install-recommends {PACKAGES}")
    return RtspCamera()


@pytest.fixture
def camera(stopped_camera: RtspCamera) -> Iterator[RtspCamera]:
    stopped_camera.start()
    yield stopped_camera
    stopped_camera.kill()


def test_an_rtsp_camera_that_dies_and_hangs_is_lost_twice_and_comes_back_twice(camera: RtspCamera) -> None:
    def kill() -> None:
        camera.kill()
        threading.Thread(target=camera.start).start()

    summary = lose_twice(camera.url, kill, camera.hang, camera.resume)
    assert summary.reconnects == 2
    assert summary.decisions[Decision.NO_DECISION] == 2


def test_an_rtsp_camera_that_was_opened_shows_what_it_sees_now_and_nothing_of_before(camera: RtspCamera) -> None:
    with open_source(camera.url) as source:
        source.read()
        started_s = time.monotonic()
        for _ in range(10):
            source.read()
    assert time.monotonic() - started_s > 0.25  # half of what it takes the camera; a backlog comes in a few ms


@pytest.mark.parametrize("b_frames", ["0", "2"])
def test_after_a_lost_packet_no_picture_is_delivered_up_to_the_next_key_frame(
    stopped_camera: RtspCamera, tmp_path: Path, b_frames: str
) -> None:
    path = tmp_path / "line.mp4"
    write_numbered(path, count=120, options={"bf": b_frames}, key_every=10, rate=50)
    whole = [frame.image for frame in read_all(path)]
    stopped_camera.start(path)
    relay = RtspRelay(stopped_camera.port, lost=lambda packet: packet > 60 and packet % 23 == 0)
    capture = capture_of(relay.url)
    pictures, lost = list[int](), list[str]()
    while (picture := capture.read()) is not None:
        if isinstance(picture, Damaged):
            lost.append(picture.cause)
        else:
            pictures.append(number_of(picture))
            np.testing.assert_array_equal(picture, whole[pictures[-1]])
    for each in (capture.release, relay.close, stopped_camera.kill):
        each()
    assert len(pictures) > 20
    assert pictures == sorted(set(pictures))
    assert any(cause == "broken until the next key frame: RTP: missed 1 packets" for cause in lost)
    assert len(lost) >= sum(after - before - 1 for before, after in pairwise(pictures))

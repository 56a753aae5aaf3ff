"""A real RTSP camera that is killed and that hangs. Needs GStreamer's RTSP server for the system's Python."""

import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from runtime_samples import lose_twice

from runtime.sources import open_source
from runtime.verdict import Decision

PYTHON = "/usr/bin/python3"
PACKAGES = "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good"
PROBE = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


class RtspCamera:
    """The camera process, on a port of this machine."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.url = f"rtsp://127.0.0.1:{self._port}/line"

    def start(self) -> None:
        script = Path(__file__).with_name("rtsp_camera.py")
        self._process = subprocess.Popen([PYTHON, script, str(self._port)], stdout=subprocess.PIPE)
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
def camera() -> Iterator[RtspCamera]:
    if not Path(PYTHON).exists() or subprocess.run([PYTHON, "-c", PROBE], capture_output=True).returncode:
        pytest.skip(f"RTSP IS NOT TESTED here: apt-get install --no-install-recommends {PACKAGES}")
    camera = RtspCamera()
    camera.start()
    yield camera
    camera.kill()


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

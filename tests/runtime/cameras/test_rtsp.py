"""A real RTSP camera that is killed, that hangs, and whose packets get lost.

Needs GStreamer's RTSP server for the system's Python.
"""

import random
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rtsp_relay import RtspRelay, UdpRelay
from runtime_samples import lose_twice
from video_samples import number_of, read_all, write_numbered

from runtime.cameras import ffmpeg, open_source
from runtime.cameras.capture import Damaged, Shot
from runtime.cameras.live import LiveSource
from runtime.cameras.network import capture_of
from runtime.errors import InputError, SetupError, SourceError, SourceTimeout
from runtime.frames import Frame
from runtime.verdict import Decision

pytestmark = pytest.mark.peer

SLOWER = 3  # than a machine that does nothing else
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
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: Path | str) -> None:
        script = Path(__file__).parents[1] / "rtsp_camera.py"
        self._process = subprocess.Popen([PYTHON, script, str(self.port), *arguments], stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.communicate()

    def hang(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGCONT)


@pytest.fixture
def stopped_camera() -> Iterator[RtspCamera]:
    if not Path(PYTHON).exists() or subprocess.run([PYTHON, "-c", PROBE], capture_output=True).returncode:
        pytest.skip(f"RTSP IS NOT TESTED here: apt-get install --no-install-recommends {PACKAGES}")
    camera = RtspCamera()
    yield camera
    camera.kill()


@pytest.fixture
def camera(stopped_camera: RtspCamera) -> Iterator[RtspCamera]:
    stopped_camera.start()
    return stopped_camera


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_an_rtsp_camera_that_dies_and_hangs_is_lost_twice_and_comes_back_twice(
    camera: RtspCamera, transport: str
) -> None:
    def kill() -> None:
        camera.kill()
        threading.Thread(target=camera.start).start()

    summary = lose_twice(camera.url, kill, camera.hang, camera.resume, rtsp_transport=transport)
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
    for each in (capture.release, relay.close):
        each()
    assert len(pictures) > 20
    assert pictures == sorted(set(pictures))
    assert any(cause == "broken until the next key frame: RTP: missed 1 packets" for cause in lost)
    assert len(lost) >= sum(after - before - 1 for before, after in pairwise(pictures))


def relayed(port: int, clean_packets: int = 20) -> UdpRelay:
    """A network that drops 5 % of the packets, repeats 5 % and lets 5 % be overtaken, once the camera is open."""
    chance = random.Random(7)

    def copies(packet: int) -> int:
        return 1 if packet < clean_packets else chance.choices([0, 1, 2], [5, 90, 5])[0]

    return UdpRelay(port, copies, lambda packet: packet >= clean_packets and chance.random() < 0.05)


def write_line(path: Path, **options: Any) -> tuple[list[NDArray[np.uint8]], int]:
    """Numbered pictures in H.264, or where the file ends in .mkv in JPEG with the tables that RTP allows; decoded, and
    how many are key frames."""
    if path.suffix == ".mkv":
        keys = write_numbered(path, "mjpeg", 75, {"huffman": "default"}, rate=30, **options)
    else:
        keys = write_numbered(path, count=110, key_every=10, rate=50, **options)
    return [frame.image for frame in read_all(path)], sum(keys)


@pytest.mark.parametrize(
    ("name", "options"), [("line.mp4", {"bf": "0"}), ("line.mp4", {"bf": "2"}), ("line.mkv", {})], ids=str
)
def test_over_udp_no_picture_is_wrong_or_there_twice_whatever_the_network_does(
    stopped_camera: RtspCamera, tmp_path: Path, name: str, options: dict[str, str]
) -> None:
    path = tmp_path / name
    whole, keys = write_line(path, **({"options": options} if options else {}))
    stopped_camera.start(path)
    relay = relayed(stopped_camera.port)
    capture = capture_of(relay.url, "udp")
    pictures, lost = list[int](), list[str]()
    while (picture := capture.read()) is not None:
        assert not isinstance(picture, Shot)
        if isinstance(picture, Damaged):
            lost.append(picture.cause)
        else:
            pictures.append(number_of(picture))
            np.testing.assert_array_equal(picture, whole[pictures[-1]])
    for each in (capture.release, relay.close):
        each()
    gaps = [after - before - 1 for before, after in pairwise(pictures) if after > before + 1]
    assert len(pictures) > 20
    assert pictures == sorted(set(pictures))
    assert any("RTP: missed" in cause for cause in lost)
    assert len(lost) + capture.drops >= len(gaps)
    # what is lost right before a key frame leaves no gap in H.264's numbers, and JPEGs have none
    assert len(lost) + capture.drops >= sum(gaps) - keys


def test_over_udp_packets_that_are_repeated_or_overtaken_harm_nothing(
    stopped_camera: RtspCamera, tmp_path: Path
) -> None:
    path = tmp_path / "line.mp4"
    write_line(path, options={"bf": "0"})
    stopped_camera.start(path)
    relay = UdpRelay(stopped_camera.port, lambda packet: 1 + (packet % 5 == 0), lambda packet: packet % 7 == 0)
    capture = capture_of(relay.url, "udp")
    pictures = []
    while (picture := capture.read()) is not None:
        assert isinstance(picture, np.ndarray)
        pictures.append(number_of(picture))
    for each in (capture.release, relay.close):
        each()
    assert pictures == list(range(pictures[0], pictures[-1] + 1))
    assert len(pictures) > 50


def next_frame(source: LiveSource, wanted: Callable[[Frame], bool]) -> Frame:
    deadline_s = time.monotonic() + 30
    while time.monotonic() < deadline_s:
        with suppress(SourceTimeout):
            frame = source.read(0.5)
            assert frame is not None
            if wanted(frame):
                return frame
    raise AssertionError("the frame that the test waits for never came")


@pytest.mark.parametrize(("transport", "accept"), [("tcp", False), ("udp", True)])
def test_a_camera_that_comes_back_with_another_size_is_seen_within_seconds_and_scored_only_where_that_is_accepted(
    stopped_camera: RtspCamera, tmp_path: Path, transport: str, accept: bool
) -> None:
    before, after = tmp_path / "before.mp4", tmp_path / "after.mp4"
    write_line(before, options={"bf": "0"})
    write_line(after, options={"bf": "0"}, size_hw=(64, 112))
    stopped_camera.start(before)
    source = open_source(stopped_camera.url, rtsp_transport=transport, accept_size_change=accept)
    assert isinstance(source, LiveSource)
    with source:
        next_frame(source, lambda frame: frame.problem is None)
        stopped_camera.kill()
        next_frame(source, lambda frame: str(frame.problem).startswith("camera lost: "))
        time.sleep(2)  # long enough for the longest of the pauses between attempts
        stopped_camera.start(after)
        back_s = time.monotonic()
        frame = next_frame(source, lambda frame: True)
        took_s = time.monotonic() - back_s
    assert source.reconnects == 1
    assert took_s < 5 * SLOWER
    told = "wrong size: the camera changed its resolution from 128×96 to 112×64; --accept-size-change goes on with it"
    assert frame.problem == (None if accept else told)
    assert frame.image.shape == ((64, 112, 3) if accept else (0, 0, 3))


def test_a_camera_that_refuses_udp_says_so(stopped_camera: RtspCamera) -> None:
    stopped_camera.start("tcp")
    with pytest.raises(SourceError, match="cannot be opened as video: it does not send over UDP; leave out --rtsp-tr"):
        open_source(stopped_camera.url.replace("//", "//user:s3cret@"), rtsp_transport="udp")
    with open_source(stopped_camera.url, wait=True) as source:  # it may still be busy with whom it refused
        assert source.read(15) is not None


def test_a_transport_that_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="the RTSP transport is 'sctp'; expected tcp or udp"):
        open_source("rtsp://127.0.0.1:9/", rtsp_transport="sctp")
    with pytest.raises(InputError, match=r"rtsp_transport is for rtsp://…, and this camera is 'http://127.0.0.1:9/'"):
        open_source("http://127.0.0.1:9/", rtsp_transport="udp")
    with pytest.raises(SetupError, match=r"rtsps://u@127.0.0.1:9/ is encrypted, which UDP is not; leave out --rtsp-tr"):
        open_source("rtsps://u:s3cret@127.0.0.1:9/", rtsp_transport="udp")
    with pytest.raises(SourceError, match=r"rtsp://u@127.0.0.1:9/ cannot be opened as video \(Connection refused\)"):
        open_source("rtsp://u:s3cret@127.0.0.1:9/", rtsp_transport="udp")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            b"RTSP/1.0 401 Unauthorized",
            r"\(it answers 401\); give the right user and password, as rtsp://user:password@",
        ),
        (b"RTSP/1.0 404 Not Found", r"\(it answers 404\); check what stands behind the host in the address"),
        (b"RTSP/1.0 400 Bad Request", r"\(.*\); check the address and that it plays"),
        (b"", r"\(no answer within 0\.4 s\); check that it is on, and that this machine reaches it"),
    ],
)
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_camera_that_does_not_play_says_why(
    monkeypatch: pytest.MonkeyPatch, answer: bytes, message: str, transport: str
) -> None:
    monkeypatch.setattr(ffmpeg, "OPEN_TIMEOUT_S", 0.4)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_answer_all, args=(listener, answer))
        thread.start()
        url = f"rtsp://u:s3cret@127.0.0.1:{listener.getsockname()[1]}/line"
        with pytest.raises(SourceError, match=r"rtsp://u@127\.0\.0\.1:\d+/line cannot be opened as video " + message):
            open_source(url, rtsp_transport=transport)
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def _answer_all(listener: socket.socket, answer: bytes) -> None:
    """Give each request the same answer; with none, hang."""
    with suppress(OSError):
        while True:
            with listener.accept()[0] as client:
                while data := client.recv(4096):
                    number = re.search(rb"CSeq: (\d+)", data)
                    if answer:
                        client.sendall(answer + b"\r\nCSeq: " + (number[1] if number else b"1") + b"\r\n\r\n")

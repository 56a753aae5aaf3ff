"""Live sources: losses, reconnects, silence; over scripted captures and over a camera server that dies and hangs."""

import http.server
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from runtime_samples import lose_twice

from runtime.cameras import backlog, open_source
from runtime.cameras.capture import Capture, Shot
from runtime.cameras.live import LiveSource
from runtime.cameras.network import capture_of
from runtime.errors import InputError, SourceError, SourceTimeout
from runtime.frames import Frame
from runtime.verdict import Decision


class ScriptedCapture:
    """A capture that delivers `frames` pictures and then fails, or waits for `hang` first."""

    def __init__(self, frames: int, hang: threading.Event | None = None, period_s: float = 0.0) -> None:
        self._left, self._hang, self._period_s = frames, hang, period_s
        self.drops, self.released = 0, False

    def read(self) -> NDArray[np.uint8] | None:
        time.sleep(self._period_s)
        if self._left == 0:
            if self._hang:
                self._hang.wait(10)
            return None
        self._left -= 1
        return np.full((4, 4, 3), self._left % 256, np.uint8)

    def release(self) -> None:
        self.released = True


def opener(*script: ScriptedCapture | Exception) -> Callable[[], ScriptedCapture]:
    """Opens each capture of the script in turn, or fails; at its end it fails for ever."""
    steps = itertools.chain(script, itertools.repeat(SourceError("unplugged")))

    def open_next() -> ScriptedCapture:
        step = next(steps)
        if isinstance(step, Exception):
            raise step
        return step

    return open_next


def read_until(source: LiveSource, wanted: Callable[[Frame], bool]) -> Frame:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            frame = source.read(0.5)
        except SourceTimeout:
            continue
        assert frame is not None
        if wanted(frame):
            return frame
    raise AssertionError("the frame that the test waits for never came")


def test_a_camera_that_cannot_be_opened_at_the_start_is_an_error() -> None:
    with pytest.raises(SourceError, match="unplugged"):
        LiveSource("camera 0", opener())


def test_a_loss_is_one_frame_with_a_problem_and_the_camera_comes_back() -> None:
    first = ScriptedCapture(1)
    script = opener(first, SourceError("not yet"), ScriptedCapture(0), ScriptedCapture(10**6, period_s=0.01))
    with LiveSource("camera 0", script, first_backoff_s=0.01) as source:
        lost = read_until(source, lambda frame: frame.problem is not None)
        assert lost.problem == "camera lost: camera 0 stopped delivering; opening it again"
        assert lost.image.size == 0
        again = read_until(source, lambda frame: frame.problem is None)
        assert again.frame_id == lost.frame_id + 1
        assert source.reconnects == 1
    assert first.released


class FailingCapture(ScriptedCapture):
    """A capture whose driver raises what nobody expects, once its frames are over, and where wanted when it is let go.
    The size of its last picture may be none."""

    def __init__(self, frames: int, fails_in_release: bool = False, no_picture: bool = False) -> None:
        super().__init__(frames)
        self._fails_in_release, self._no_picture = fails_in_release, no_picture

    def read(self) -> NDArray[np.uint8] | None:
        if self._left == 0:
            raise OSError(5, "Input/output error")
        picture = super().read()
        return np.zeros((), np.uint8) if self._no_picture else picture

    def release(self) -> None:
        super().release()
        if self._fails_in_release:
            raise OSError(19, "No such device")


UNEXPECTED = "OSError: [Errno 5] Input/output error"


@pytest.mark.parametrize("fails_in_release", [False, True])
def test_whatever_a_driver_raises_the_camera_is_lost_and_comes_back(
    fails_in_release: bool, caplog: pytest.LogCaptureFixture
) -> None:
    first, half_open = (FailingCapture(frames, fails_in_release) for frames in (1, 0))
    script = opener(first, OSError(24, "Too many open files"), half_open, ScriptedCapture(10**6, period_s=0.01))
    with LiveSource("camera 0", script, first_backoff_s=0.01) as source:
        lost = read_until(source, lambda frame: frame.problem is not None)
        assert lost.problem == f"camera lost: {UNEXPECTED}; opening it again"
        read_until(source, lambda frame: frame.problem is None)
        assert source.reconnects == 1
    assert first.released
    assert half_open.released
    loss = next(record for record in caplog.records if "camera 0 lost" in record.getMessage())
    assert loss.exc_info is not None


def test_a_picture_that_nobody_can_use_is_a_loss_also_where_it_is_the_first_after_one() -> None:
    script = opener(FailingCapture(0), FailingCapture(1, no_picture=True), ScriptedCapture(10**6, period_s=0.01))
    with LiveSource("camera 0", script, first_backoff_s=0.01) as source:
        lost = [str(read_until(source, lambda frame: frame.problem is not None).problem) for _ in range(2)]
        assert [problem.partition(":")[0] for problem in lost] == ["camera lost", "camera lost"]
        assert UNEXPECTED not in lost[1]
        read_until(source, lambda frame: frame.problem is None)


def test_what_the_first_opening_raises_is_told_and_not_tried_again() -> None:
    for wait in (False, True):
        with pytest.raises(InputError, match="the option is none"):
            LiveSource("camera 0", opener(InputError("the option is none")), wait=wait)


def test_frames_are_marked_live_and_numbered_as_they_are_read() -> None:
    with LiveSource("camera 0", opener(ScriptedCapture(10**6, period_s=0.005))) as source:
        frames = [source.read() for _ in range(5)]
    assert [frame.frame_id for frame in frames if frame] == [0, 1, 2, 3, 4]
    assert all(frame.live for frame in frames if frame)


class CountingCapture(ScriptedCapture):
    """A capture whose pictures have the given counters; it drops one of its own before the last."""

    def __init__(self, *counters: int) -> None:
        super().__init__(len(counters))
        self._counters = list(counters)

    def read(self) -> Shot | None:  # type: ignore[override]
        picture = super().read()
        if picture is None:
            return None
        self.drops += len(self._counters) == 1
        return Shot(picture, time.monotonic(), time.time(), self._counters.pop(0), 5)


def test_gaps_in_the_cameras_counter_are_counted_as_lost_but_for_what_was_dropped_and_across_a_reconnect() -> None:
    script = opener(CountingCapture(3, 4, 7, 9), CountingCapture(1, 2, 4))
    with LiveSource("camera 0", script, first_backoff_s=0.01) as source:
        frame = read_until(source, lambda frame: frame.problem is not None)
        wait_s = time.monotonic() + 5
        while source.reconnects == 0 or source.lost < 2:
            assert time.monotonic() < wait_s
        assert (source.lost, source.drops >= 1) == (2, True)  # 5 and 6; 8 and the second 3 were dropped
        frame = read_until(source, lambda frame: frame.counter is not None)
        assert frame.camera_ns == 5


def test_frames_that_nobody_reads_are_dropped_and_counted() -> None:
    with LiveSource("camera 0", opener(ScriptedCapture(10**6, period_s=0.002))) as source:
        time.sleep(0.1)
        assert source.drops > 5


def test_a_loss_waits_for_a_slow_reader() -> None:
    script = opener(ScriptedCapture(1), ScriptedCapture(10**6, period_s=0.002))
    with LiveSource("camera 0", script, first_backoff_s=0.01) as source:
        deadline = time.monotonic() + 5
        while source.reconnects == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.05)
        first = source.read()
    assert first is not None
    assert first.problem == "camera lost: camera 0 stopped delivering; opening it again"


def test_a_reconnect_limit_ends_the_source_with_an_error() -> None:
    with LiveSource("camera 0", opener(ScriptedCapture(1)), reconnect_limit=2, first_backoff_s=0.01) as source:
        with pytest.raises(SourceError, match="camera 0 lost: 2 attempts to reopen it failed; unplugged"):
            read_until(source, lambda frame: False)
        with pytest.raises(SourceError, match="2 attempts"):
            source.read()


def test_no_frame_in_time_is_a_timeout_and_not_the_end() -> None:
    hang = threading.Event()
    with LiveSource("camera 0", opener(ScriptedCapture(1, hang))) as source:
        source.read()
        with pytest.raises(SourceTimeout, match=r"no frame from camera 0 within 0\.05 s"):
            source.read(0.05)
        hang.set()


def test_a_driver_that_neither_delivers_nor_fails_is_reported_as_silent() -> None:
    hang = threading.Event()
    with LiveSource("camera 0", opener(ScriptedCapture(1, hang)), silence_s=0.2) as source:
        source.read()
        frame = read_until(source, lambda frame: frame.problem is not None)
        assert str(frame.problem).startswith("camera silent: camera 0 delivered no frame for 0.")
        hang.set()


def test_silence_is_noticed_after_a_reconnect_as_well() -> None:
    hang = threading.Event()
    script = opener(ScriptedCapture(1), ScriptedCapture(2, hang))
    with LiveSource("camera 0", script, first_backoff_s=0.01, silence_s=0.2) as source:
        read_until(source, lambda frame: str(frame.problem).startswith("camera silent"))
        hang.set()


def test_a_closed_source_is_at_its_end() -> None:
    source = LiveSource("camera 0", opener(ScriptedCapture(10**6, period_s=0.005)))
    source.close()
    source.close()
    assert source.read() is None


class CameraServer:
    """An MJPEG camera on a port of this machine: plays, hangs, dies and comes back."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/stream"
        self.hangs = threading.Event()
        self.damages_next = threading.Event()
        self.backlog = 0  # pictures that are sent at once, in black
        # goes on when it comes back: from 0 on it could show the very picture it was lost with, which counts as frozen
        self._numbers = itertools.count()
        self._dead = threading.Event()

    def start(self) -> None:
        camera, self._dead = self, threading.Event()
        dead = self._dead

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                self.wfile.write(_mjpeg_part(0) * camera.backlog)
                for number in camera._numbers:
                    while camera.hangs.is_set() and not dead.is_set():
                        time.sleep(0.01)
                    if dead.is_set():
                        return
                    damaged = camera.damages_next.is_set()
                    camera.damages_next.clear()
                    try:
                        self.wfile.write(_mjpeg_part(110 + number * 7 % 40, damaged))
                    except OSError:
                        return
                    time.sleep(0.02)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        http.server.ThreadingHTTPServer.allow_reuse_address = True
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def kill(self) -> None:
        self._dead.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _mjpeg_part(grey: int, damaged: bool = False) -> bytes:
    image = np.full((16, 24, 3), grey, np.uint8)
    data = cv2.imencode(".jpg", image)[1].tobytes()
    if damaged:
        data = data[:20] + bytes(len(data) - 20)
    return b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(data), data)


@contextmanager
def playing_camera() -> Iterator[CameraServer]:
    camera = CameraServer()
    camera.start()
    try:
        yield camera
    finally:
        camera.kill()


def test_a_network_camera_that_dies_and_hangs_is_lost_twice_and_comes_back_twice() -> None:
    with playing_camera() as camera:

        def kill() -> None:
            camera.kill()
            threading.Timer(0.3, camera.start).start()

        summary = lose_twice(camera.url, kill, camera.hangs.set, camera.hangs.clear)
    assert summary.reconnects == 2
    assert summary.decisions[Decision.NO_DECISION] == 2
    assert summary.decisions[Decision.OK] >= 9


def test_a_network_camera_shows_what_it_sees_now_and_nothing_of_before() -> None:
    with playing_camera() as camera:
        camera.backlog = 20
        capture = capture_of(camera.url)
        image = capture.read()
        capture.release()
    assert image is not None
    assert image.mean() > 100


def read_slowly_until_pictures_are_dropped(capture: Capture) -> None:
    deadline_s = time.monotonic() + 15
    while capture.drops == 0 and time.monotonic() < deadline_s:
        assert capture.read() is not None
        time.sleep(0.1)
    assert capture.drops > 0


def test_pictures_that_pile_up_before_a_slow_reader_are_dropped() -> None:
    with playing_camera() as camera:
        capture = capture_of(camera.url)
        read_slowly_until_pictures_are_dropped(capture)
        assert capture.read() is not None
        capture.release()


def test_a_machine_that_does_not_catch_up_with_a_camera_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "LONGEST_S", 0.0)
    with playing_camera() as camera:
        capture = capture_of(camera.url)
        with pytest.raises(SourceError, match="this machine is too slow for it; ask the camera for fewer or smaller"):
            read_slowly_until_pictures_are_dropped(capture)
        capture.release()


def test_the_reason_of_a_capture_that_is_of_no_use_any_more_is_told() -> None:
    class Failing(ScriptedCapture):
        def read(self) -> NDArray[np.uint8] | None:
            self.drops += 7
            raise SourceError("this machine is too slow for it")

    with LiveSource("camera 0", opener(Failing(1), ScriptedCapture(10**6, period_s=0.01))) as source:
        lost = read_until(source, lambda frame: frame.problem is not None)
        assert (
            lost.problem == "camera lost: camera 0 was closed, since this machine is too slow for it; opening it again"
        )
        assert source.drops >= 7


def test_a_picture_that_cannot_be_decoded_is_one_frame_with_a_problem_and_no_loss() -> None:
    with playing_camera() as camera, open_source(camera.url) as source:
        assert isinstance(source, LiveSource)
        camera.damages_next.set()
        damaged = read_until(source, lambda frame: frame.problem is not None)
        assert damaged.problem == (
            f"damaged picture: {camera.url} sent one that cannot be decoded (no frame header before the pixels)"
        )
        for _ in range(5):
            frame = source.read()
            assert frame is not None
            assert frame.problem is None
        assert source.reconnects == 0


def test_a_network_camera_that_is_not_there_is_one_error() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(SourceError, match=rf"http://user@127.0.0.1:{port}/ cannot be opened as video") as caught:
        open_source(f"http://user:secret@127.0.0.1:{port}/")
    assert "secret" not in str(caught.value)

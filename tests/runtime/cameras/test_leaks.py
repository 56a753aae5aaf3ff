"""A camera that is lost a hundred times: no thread, no open file and no memory is left behind by any of them."""

import gc
import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
from http_camera import jpeg, part, playing, serving
from test_live_source import ScriptedCapture
from video_samples import numbered_picture, write_numbered

from runtime.cameras import network
from runtime.cameras.capture import Capture
from runtime.cameras.ffmpeg import open_container
from runtime.cameras.gstreamer import GstCapture
from runtime.cameras.live import LiveSource
from runtime.cameras.network import StreamCapture, capture_of
from runtime.cameras.reopening import LONGEST_BACKOFF_S
from runtime.errors import SetupError, SourceError, SourceTimeout

LOSSES, SETTLING = 100, 25  # reconnects, and those after which nothing may grow any more
PERIOD_S = 0.006  # longer than pictures are apart that piled up, which are left out
MOST_BYTES = 8 << 20  # of allocators' own unrest; a picture of each capture left behind would be 17 MB or more

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted by Linux's /proc"),
    pytest.mark.usefixtures("others_left_alone"),
]


def held() -> tuple[int, int, int]:
    """Threads, open files and bytes of memory of this process."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return threading.active_count(), len(os.listdir("/proc/self/fd")), pages * os.sysconf("SC_PAGE_SIZE")


def lose(open_capture: Callable[[], Capture], losses: int = LOSSES, settling: int = SETTLING) -> None:
    """Have a camera be lost and come back so many times, and compare what is held on the way and at the end."""
    before = held()
    with LiveSource("camera", open_capture, first_backoff_s=0.0005) as source:
        settled = before
        for target in (settling, losses):
            deadline_s = time.monotonic() + 60
            while source.reconnects < target:
                assert time.monotonic() < deadline_s, "it did not come back"
                with suppress(SourceTimeout):
                    source.read(0.5)
            settled, now = (held(), settled) if target == settling else (settled, held())
    grown(settled, now)
    deadline_s = time.monotonic() + 10
    while held()[:2] != before[:2] and time.monotonic() < deadline_s:  # the server's own take a while
        time.sleep(0.05)
    assert held()[:2] == before[:2]


def grown(settled: tuple[int, int, int], now: tuple[int, int, int]) -> None:
    """Nothing has grown but for a thread or two of the server that are just ending, with their connections."""
    assert now[0] <= settled[0] + 3
    assert now[1] <= settled[1] + 3
    assert now[2] - settled[2] < MOST_BYTES


def test_of_captures_that_fail_none_is_left_behind() -> None:
    class Large(ScriptedCapture):
        def read(self) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]] | None":
            picture = super().read()
            return None if picture is None else np.full((256, 300, 3), picture[0, 0, 0], np.uint8)

    opened = list[Large]()

    def open_capture() -> Large:
        opened[:] = [each for each in opened if not each.released][-3:]
        opened.append(Large(2))
        return opened[-1]

    lose(open_capture)
    assert len(opened) <= 3


def test_of_a_camera_over_http_that_hangs_up_nothing_is_left_behind() -> None:
    parts = [part(jpeg(numbered_picture(number))) for number in (1, 2, 3)]
    with serving(lambda request: playing([*parts, b""], period_s=PERIOD_S)(request)) as url:
        lose(lambda: capture_of(url))


def test_of_a_stream_that_ffmpeg_reads_nothing_is_left_behind(tmp_path: Path) -> None:
    write_numbered(tmp_path / "line.mkv", count=10, options={"bf": "0"})
    data = (tmp_path / "line.mkv").read_bytes()
    parts = [data[at : at + len(data) // 4] for at in range(0, len(data), len(data) // 4)]

    def open_and_lose() -> None:
        capture = capture_of(url)
        while capture.read() is not None:
            pass
        capture.release()

    with serving(lambda request: playing([*parts, b""], "video/x-matroska", PERIOD_S)(request)) as url:
        for _ in range(20):
            open_and_lose()
        settled = held()
        for _ in range(20):
            open_and_lose()
        now = held()
    grown(settled, now)


def test_of_a_gstreamer_pipeline_that_ends_nothing_is_left_behind() -> None:
    try:
        GstCapture("videotestsrc num-buffers=1").release()
    except SetupError as error:
        pytest.skip(f"GSTREAMER IS NOT TESTED here: {error}")
    lose(lambda: GstCapture("videotestsrc num-buffers=2 ! video/x-raw,format=BGR,width=300,height=256"), 40, 15)


@pytest.mark.parametrize("answer", [b"", b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_of_cameras_that_speak_no_rtsp_nothing_is_left_behind(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    with listener.accept()[0] as client:
                        client.recv(4096)
                        client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        before = held()
        for _ in range(10):
            with pytest.raises(SourceError, match="cannot be opened as video"):
                capture_of(f"rtsp://127.0.0.1:{listener.getsockname()[1]}/line", "udp")
        assert held()[:2] == before[:2]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.mark.parametrize(
    ("place", "name"), [(socket, "create_server"), (selectors, "DefaultSelector"), (threading.Thread, "start")]
)
def test_of_a_camera_over_udp_that_this_machine_has_no_means_for_nothing_is_left_behind(
    place: object, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: object) -> None:
        raise RuntimeError("no thread is left") if name == "start" else OSError(24, "Too many open files")

    cause = "RuntimeError" if name == "start" else "Too many open files"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        before = held()
        monkeypatch.setattr(place, name, fail)
        with pytest.raises(SourceError, match=rf"line cannot be opened as video: it cannot be handed .* \({cause}\); "):
            capture_of(f"rtsp://127.0.0.1:{listener.getsockname()[1]}/line", "udp")
        assert held()[:2] == before[:2]


def test_of_a_camera_that_never_comes_no_handler_of_its_log_is_left_behind() -> None:
    def fail_to_open() -> int:
        with pytest.raises(SourceError, match="Connection refused"):
            StreamCapture("rtsp://127.0.0.1:9/line")
        return len(logging.getLogger("libav").handlers)

    assert fail_to_open() == fail_to_open()


def test_a_stream_whose_first_picture_fails_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object) -> None:
        raise MemoryError

    write_numbered(tmp_path / "line.mkv", count=2)
    opened: list[Any] = []

    def open_noted(*given: Any) -> Any:
        opened.append(MagicMock(wraps=open_container(*given)))
        return opened[-1]

    monkeypatch.setattr(network, "open_container", open_noted)
    monkeypatch.setattr(network, "Newest", fail)
    with pytest.raises(MemoryError):
        StreamCapture(str(tmp_path / "line.mkv"))
    assert opened[0].close.called


def test_the_pauses_between_attempts_stay_short_enough_to_see_a_camera_again_within_seconds() -> None:
    assert LONGEST_BACKOFF_S <= 2.5

"""GigE Vision by Aravis, over its fake camera on this machine: lost packets, a camera that dies, refusals."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np
import pytest

from runtime.cameras import Source, open_source
from runtime.cameras.base import Found
from runtime.cameras.capture import Capture
from runtime.cameras.genicam.aravis import INSTALL, aravis_driver
from runtime.cameras.genicam.capture import Unwrapped
from runtime.cameras.listing import found_by
from runtime.cameras.live import LiveSource
from runtime.errors import SetupError, SourceError
from runtime.frames import Frame

pytestmark = pytest.mark.peer

FAKE = "arv-fake-gv-camera-0.8"
URI = "aravis:127.0.0.1"


def missing() -> str | None:
    """Why these tests cannot run, or None."""
    if shutil.which(FAKE) is None:
        return f"ARAVIS IS NOT TESTED here, there is no {FAKE}: {INSTALL}"
    try:
        import gi

        gi.require_version("Aravis", "0.8")
    except (ImportError, ValueError) as error:
        return f"ARAVIS IS NOT TESTED here, there are no bindings ({error}): {INSTALL}"
    return None


@contextmanager
def camera(lost_per_thousand: int = 0) -> Iterator["subprocess.Popen[bytes]"]:
    check_port()
    process = subprocess.Popen(
        [FAKE, "-i", "127.0.0.1", "-s", "GV01", "-r", str(lost_per_thousand)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(0.5)
        yield process
    finally:
        process.kill()
        process.wait()


def check_port() -> None:
    """Skip, aloud, where another fake camera runs on this machine: two would share the port, and neither work."""
    for _ in range(60):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port, suppress(OSError):
            port.bind(("127.0.0.1", 3956))
            return
        time.sleep(1)
    pytest.skip("ARAVIS IS NOT TESTED here: another program holds UDP port 3956 of GigE Vision; end it")


def is_whole(frame: Frame) -> bool:
    """Whether all pixels are of one picture of the fake camera: a ramp along the diagonal."""
    grey = frame.image[:, :, 0]
    return bool((grey[1:, :-1] == grey[:-1, 1:]).all()) and len(np.unique(grey)) > 100


needs_camera = pytest.mark.skipif(missing() is not None, reason=missing() or "")


def read(source: Source) -> Frame:
    frame = source.read(timeout_s=60)
    assert frame is not None
    return frame


@needs_camera
def test_lost_packets_and_a_dead_camera() -> None:
    with camera(lost_per_thousand=2) as process, open_source(URI, settings={"AcquisitionFrameRate": 50}) as source:
        frames = [read(source) for _ in range(160)]
        damaged = [frame for frame in frames if frame.problem]
        whole = [frame for frame in frames if not frame.problem]
        assert len(damaged) >= 10
        assert len(whole) >= 10
        assert all("an incomplete buffer: " in (each.problem or "") for each in damaged)
        assert all(is_whole(frame) and frame.camera_ns for frame in whole)
        counters = [frame.counter for frame in frames if frame.counter is not None]  # a damaged one may have none
        assert counters == sorted(set(counters))
        # the fake camera begins shortly before its 16 bits are full
        assert 0 < min(counters) < 0xFFFF < max(counters) < min(counters) + 160 + source.drops + 20

        process.kill()
        process.wait()
        after = read(source)
        while "camera lost" not in (after.problem or ""):  # those that were on the way
            assert after.problem or is_whole(after)
            after = read(source)
        assert "aravis:127.0.0.1 sent no picture for" in (after.problem or "") or "is gone" in (after.problem or "")
        with camera():
            frame = read(source)
            assert frame.problem is None
            assert is_whole(frame)
            assert (frame.counter or 0) < max(counters)  # it counts from its beginning again
            assert source.reconnects == 1


@needs_camera
def test_a_killed_driver_gets_its_camera_back() -> None:
    driver = aravis_driver("aravis")  # the only one
    processes: list[int] = []

    def noted() -> Capture:
        capture = driver.open()
        processes.append(capture.pid)
        return capture

    with camera(), LiveSource(driver.name, noted, interrupt=driver.interrupt) as source:
        assert read(source).problem is None
        os.kill(processes[-1], signal.SIGKILL)
        start_s = time.monotonic()
        while (problem := read(source).problem) is None:
            pass
        assert "ended by SIGKILL" in problem
        frame = read(source)
        assert frame.problem is None
        assert is_whole(frame)
        assert time.monotonic() - start_s < 12  # the camera minds the dead program for 3 s


@needs_camera
def test_a_software_trigger_is_one_picture_with_the_next_number() -> None:
    with camera():
        capture = aravis_driver(URI, {"PixelFormat": "RGB8"}, "software").open()
        assert capture.is_alive()
        assert capture.wait(0.3) is None
        counters = []
        for _ in range(5):
            capture.trigger()
            shot = capture.wait(10)
            assert shot is not None
            assert isinstance(shot.picture, np.ndarray)
            assert shot.picture.shape == (512, 512, 3)
            counters.append(shot.counter or 0)
        assert np.diff(counters).tolist() == [1] * 4
        assert capture.wait(0.3) is None
        capture.release()


@needs_camera
def test_what_cannot_be_opened_or_set_says_what_can() -> None:
    with camera():
        capture = aravis_driver(URI).open()
        with pytest.raises(SourceError, match="is in use by another program"):
            open_source(URI)
        capture.release()
        for settings, sentence in (
            ({"Width": 100000}, "takes no Width=100000; it has 1 to 2,048"),
            ({"ExposureTime": 10}, "has no feature ExposureTime, or not with its other settings; it has ExposureTimeA"),
        ):
            with pytest.raises(SetupError, match=f"^{re.escape(URI)} {sentence}"):
                open_source(URI, settings=settings)
        with pytest.raises(SetupError, match=r"aravis:GV01 is no address of a camera; .* aravis:127.0.0.1 "):
            open_source("aravis:GV01")


def test_a_counter_of_16_bits_goes_on() -> None:
    unwrap = Unwrapped()
    assert [unwrap(number) for number in (65533, 65534, 65535, 1, 2, 4)] == [65533, 65534, 65535, 65536, 65537, 65539]
    late = Unwrapped()
    assert [late(number) for number in (65534, 1, 65535, 2)] == [65534, 65536, 65535, 65537]
    wide = Unwrapped()
    assert [wide(number) for number in (65535, 65536, 65537, 3)] == [65535, 65536, 65537, 3]


@needs_camera
def test_cameras_that_answer_are_listed_with_what_to_type() -> None:
    with camera():
        assert found_by("runtime.cameras.genicam.aravis:found_here", "aravis", 30.0) == [Found(URI, "Aravis-Fake-GV01")]

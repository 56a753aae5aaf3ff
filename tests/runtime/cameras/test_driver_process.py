"""A driver in a process of its own: pictures come through as they were, and a driver that hangs harms nobody."""

import mmap
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import driver_samples
import numpy as np
import pytest

from runtime.cameras.capture import Damaged, Shot
from runtime.cameras.driver import process
from runtime.cameras.driver.hosted import Driver, HostedCapture
from runtime.cameras.driver.memory import Slots
from runtime.cameras.live import LiveSource
from runtime.errors import SetupError, SourceError, WrongAddress

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="drivers run on Linux")


def opened(function: str, **options: object) -> HostedCapture:
    return Driver("the camera", f"driver_samples:{function}", options).open()


def children() -> list[int]:
    """The processes that this one started and did not see end, zombies included."""
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def shared_pictures() -> list[str]:
    """Memory for pictures that this process still holds or maps; that of dead ones is gone with them."""
    mapped = [line for line in Path("/proc/self/maps").read_text().splitlines() if "proctor-pictures" in line]
    held = [os.readlink(each) for each in Path("/proc/self/fd").iterdir() if os.path.islink(each)]
    return mapped + [each for each in held if "proctor-pictures" in each]


def exhaust(capture: HostedCapture) -> None:
    """Read until it fails."""
    while capture.wait(1) is not None:
        pass


def soon(happens: Callable[[], bool], within_s: float = 20.0) -> bool:
    end_s = time.monotonic() + within_s
    while not happens():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.02)
    return True


def is_gone(pid: int) -> bool:
    """Not there, or dead and waiting for its new parent to notice."""
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True


def test_pictures_of_any_size_arrive_as_they_were_and_the_end_too() -> None:
    before = children()
    capture = opened("open_counting", pictures=30, sizes=[3, 2, 40, 41, 7])
    for number in range(30):
        if number % 7 == 0:
            time.sleep(0.1)  # so that pictures of several sizes wait at once
        picture = capture.read()
        assert isinstance(picture, np.ndarray)
        size = [3, 2, 40, 41, 7][number % 5]
        assert np.array_equal(picture, np.full((size, size + 1, 3), number))
        assert capture.drops == 2 * number
        assert picture.flags.writeable  # a frame's own pixels, not the memory that the next one will be written to
    assert capture.read() is None
    assert capture.read() is None
    capture.release()
    capture.release()
    assert children() == before
    assert shared_pictures() == []


def test_a_triggered_camera_tells_counter_stamp_times_and_damage() -> None:
    capture = opened("open_triggered")
    assert capture.pairs_by == "frame counter"
    assert capture.wait(0.05) is None
    for _ in range(3):
        capture.trigger()
    first, second, third = (capture.wait(10) for _ in range(3))
    assert first is not None
    assert isinstance(first.picture, np.ndarray)
    assert np.array_equal(first.picture, np.full((3, 5, 3), 1))
    assert (first.captured_s, first.captured_at, first.counter, first.camera_ns) == (11.5, 1e9 + 1, 2**40 + 1, None)
    assert second == Shot(Damaged("it was cut ½"), 12.5, 1e9 + 2, 2**40 + 2, 14)
    assert third is not None
    assert third.counter == 2**40 + 3
    assert capture.is_alive()
    for _ in range(2):
        capture.trigger()
    assert not capture.is_alive()
    capture.release()


def test_a_camera_without_triggers_says_so() -> None:
    capture = opened("open_counting", pictures=10**6)
    with pytest.raises(SourceError, match="cannot be triggered"):
        _ = capture.pairs_by
    with pytest.raises(SourceError, match="has no attribute 'trigger'"):
        capture.trigger()
    assert not capture.is_alive()
    capture.release()


@pytest.mark.parametrize(
    ("kind", "raised", "text"),
    [
        ("setup", SetupError, "^because$"),
        ("address", WrongAddress, "^because$"),
        ("other", SourceError, "the driver raised KeyError: 'because'"),
    ],
)
def test_what_an_opener_raises_is_raised_here(kind: str, raised: type[SourceError], text: str) -> None:
    before = children()
    with pytest.raises(raised, match=text):
        opened("open_refused", kind=kind)
    assert children() == before


@pytest.mark.parametrize("then", ["hang", "lock"])
def test_a_driver_that_hangs_while_it_opens_is_given_up(then: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(process.CALL_LIMITS_S, "opening", 1.5)
    before = children()
    start_s = time.monotonic()
    with pytest.raises(SourceError, match=r"the driver's process of the camera (hangs|gave no sign of life).* killed"):
        opened("open_harmful", then=then)
    assert time.monotonic() - start_s < 20
    assert children() == before


@pytest.mark.parametrize(
    ("then", "reason"),
    [
        ("hang", r"hangs in the driver \(reading\) for .* s and was killed"),
        ("lock", "gave no sign of life for .* s and was killed"),
        ("crash", "ended by SIGSEGV"),
    ],
)
def test_a_driver_that_hangs_or_crashes_is_a_camera_lost_and_comes_back(
    then: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(process.CALL_LIMITS_S, "reading", 1.0)
    monkeypatch.setattr(process, "MUTE_S", 2.0)
    before = children()
    options = {"pictures": 3, "then": then, "marker": str(tmp_path / "harmed")}
    driver = Driver("the camera", "driver_samples:open_counting", options)
    with LiveSource("the camera", driver.open, first_backoff_s=0.05, interrupt=driver.interrupt) as source:
        (hung,) = set(children()) - set(before)
        problem = None
        start_s = time.monotonic()
        while problem is None:
            frame = source.read(timeout_s=30)
            assert frame is not None
            problem = frame.problem
        assert time.monotonic() - start_s < 30
        assert problem.startswith("camera lost: the camera was closed, since the driver's process of the camera ")
        assert re.search(reason, problem)
        frame = source.read(timeout_s=30)
        assert frame is not None
        assert frame.problem is None
        assert source.reconnects == 1
        assert is_gone(hung)
        assert hung not in children()  # no zombie
    assert children() == before
    assert shared_pictures() == []


def test_a_driver_that_hangs_in_a_trigger_does_not_hold_the_line_up() -> None:
    capture = opened("open_triggered", then="hang")
    capture.trigger()
    capture.trigger()
    start_s = time.monotonic()
    with pytest.raises(SourceError, match="hangs: trigger took over 2 s; killed"):
        capture.trigger()
    assert time.monotonic() - start_s < 10
    assert not capture.is_alive()
    with pytest.raises(SourceError, match="ended by SIGKILL"):
        exhaust(capture)
    capture.release()


def test_a_camera_that_comes_back_with_another_format_is_told(tmp_path: Path) -> None:
    options = {"formats": ["BGR8", "Mono8"], "marker": str(tmp_path / "opened")}
    driver = Driver("the camera", "driver_samples:open_formatted", options)
    with LiveSource("the camera", driver.open, interrupt=driver.interrupt) as source:
        problems = list[str]()
        while not any(problem.startswith("wrong format: ") for problem in problems):
            frame = source.read(timeout_s=60)
            assert frame is not None
            problems.append(frame.problem or "")
        assert source.sent_as == "Mono8"
    assert problems[0] == ""
    assert problems[-1].startswith("wrong format: the camera changed its format from BGR8 to Mono8")


def too_many(*given: object, **options: object) -> NoReturn:
    raise OSError(24, "Too many open files")


class Unsending(socket.socket):
    """A socket that cannot send: its process is dead, or the system has no memory."""

    def send(self, *given: object) -> NoReturn:
        too_many()


def pair_of_unsending(family: int, kind: int) -> tuple[socket.socket, socket.socket]:
    return Unsending(family, kind), Unsending(family, kind)


@pytest.mark.parametrize(
    ("place", "name", "replacement"),
    [
        (socket, "socketpair", too_many),
        (os, "pipe", too_many),
        (subprocess, "Popen", too_many),
        (socket, "socketpair", pair_of_unsending),
    ],
    ids=["sockets", "pipe", "process", "send"],
)
def test_a_driver_that_cannot_be_started_is_one_sentence_and_leaves_nothing_behind(
    place: object, name: str, replacement: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    open_before, children_before = os.listdir("/proc/self/fd"), children()
    monkeypatch.setattr(place, name, replacement)
    with pytest.raises(
        SourceError, match=r"the camera's driver cannot be started \(\[Errno 24\] Too many open files\); "
    ):
        opened("open_counting")
    assert os.listdir("/proc/self/fd") == open_before
    assert children() == children_before


def test_memory_that_cannot_be_mapped_leaves_no_file_open(monkeypatch: pytest.MonkeyPatch) -> None:
    open_before = os.listdir("/proc/self/fd")
    monkeypatch.setattr(mmap, "mmap", too_many)
    with pytest.raises(OSError, match="Too many"):
        Slots.create(100)
    assert os.listdir("/proc/self/fd") == open_before


def test_closing_does_not_wait_for_a_picture(caplog: pytest.LogCaptureFixture) -> None:
    before = children()
    driver = Driver("the camera", "driver_samples:open_triggered", {})
    source = LiveSource("the camera", driver.open, interrupt=driver.interrupt)
    start_s = time.monotonic()
    source.close()
    assert time.monotonic() - start_s < 10
    assert children() == before
    assert caplog.messages == []  # it was not lost


def test_a_killed_driver_is_noticed_at_once() -> None:
    capture = opened("open_counting", pictures=10**6)
    assert capture.read() is not None
    os.kill(capture.pid, signal.SIGKILL)
    with pytest.raises(SourceError, match="ended by SIGKILL"):
        exhaust(capture)
    capture.release()
    assert shared_pictures() == []


def test_a_stopped_driver_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "MUTE_S", 1.0)
    capture = opened("open_counting", pictures=10**6)
    assert capture.read() is not None
    os.kill(capture.pid, signal.SIGSTOP)
    with pytest.raises(SourceError, match="gave no sign of life for"):
        exhaust(capture)
    capture.release()
    assert is_gone(capture.pid)


def test_the_driver_dies_with_its_parent_even_while_it_hangs(environment: dict[str, str]) -> None:
    parent = subprocess.Popen(
        [sys.executable, str(Path(driver_samples.__file__))], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(parent.stdout.readline())
    assert not is_gone(pid)
    parent.kill()
    parent.wait()
    gone = soon(lambda: is_gone(pid))
    if not gone:
        os.kill(pid, signal.SIGKILL)
    assert gone

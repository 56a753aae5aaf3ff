"""Several cameras side by side: what one of them does to the others, and what is printed."""

import errno
import io
import json
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from runtime_samples import ListSource, fake_detector, grey_frame

from runtime.cameras import open_source
from runtime.default_detector import DEMO_DETECTOR
from runtime.detector import Detector
from runtime.engines.fake import deviation_from_grey
from runtime.errors import OutputLost, ProctorError, SourceError
from runtime.frames import Frame, missing_frame
from runtime.sinks import open_shared_sinks
from runtime.sinks.lines import Headlines, JsonLines
from runtime.sinks.overlays import OverlayFolder
from runtime.station.station import Camera, PartsRule, Station
from runtime.verdict import Decision, Verdict


def frames_of_parts(number: int, rejects: tuple[int, ...] = (), without: tuple[int, ...] = ()) -> list[Frame]:
    """A frame for each of so many parts, but of those that are left out."""
    return [
        grey_frame(frame_id, spot=255 if part in rejects else None, part_id=str(part))
        for frame_id, part in enumerate(part for part in range(number) if part not in without)
    ]


def camera(items: "list[Frame | ProctorError] | Iterator[Frame]", **options: object) -> Camera:
    return Camera(ListSource(items), fake_detector(), **options)  # type: ignore[arg-type]


def endless() -> Iterator[Frame]:
    for number in count():
        time.sleep(0.005)
        yield grey_frame(number)


def documents(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_camera_that_breaks_down_leaves_the_others_running(capsys: pytest.CaptureFixture[str]) -> None:
    out = io.StringIO()
    broken = [grey_frame(0), grey_frame(1), SourceError("the camera is on fire")]
    cameras = {"top": camera(frames_of_parts(50)), "left": camera(broken)}
    with Station(cameras, JsonLines(out)) as station, pytest.raises(SourceError) as raised:
        station.run()
    assert str(raised.value) == "1 of 2 cameras broke down: left: the camera is on fire"
    found = documents(out)
    assert [each["frame_id"] for each in found if each["camera"] == "top"] == list(range(50))
    assert [each["frame_id"] for each in found if each["camera"] == "left"] == [0, 1]
    assert "error: camera left broke down, " in capsys.readouterr().err
    document = json.loads(station.summary.to_json())
    assert (document["frames"], document["OK"], document["cameras_failed"]) == (52, 52, 1)
    assert document["cameras"]["left"]["failed"] == "the camera is on fire"
    assert document["cameras"]["top"]["failed"] is None
    lines = station.summary.lines()
    assert lines[:2] == ["52 frames of 2 cameras: 52 OK, 0 NG, 0 NO_DECISION", "1 of 2 cameras broke down: left"]
    assert "top: 50 frames: 50 OK, 0 NG, 0 NO_DECISION" in lines


def test_an_interrupt_while_cameras_are_started_gives_up_those_that_run() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    cameras = {"left": camera(endless()), "top": camera(endless())}
    with Station(cameras, JsonLines(io.StringIO())) as station:
        first, second = station._streams
        second.thread.start = interrupted  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            station.run()
        assert not first.thread.is_alive()


def test_a_fault_of_ours_in_one_camera_leaves_the_others_running_and_is_raised() -> None:
    def bug(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        raise ZeroDivisionError("a bug")

    out = io.StringIO()
    cameras = {"left": Camera(ListSource([grey_frame()]), fake_detector(bug)), "top": camera(frames_of_parts(50))}
    with Station(cameras, JsonLines(out)) as station, pytest.raises(ZeroDivisionError, match="a bug"):
        station.run()
    assert [each["camera"] for each in documents(out)] == ["top"] * 50


def test_the_worst_verdict_of_a_part_is_printed_once_and_says_which_camera_rejects() -> None:
    out = io.StringIO()
    cameras = {"top": camera(frames_of_parts(6, rejects=(1, 2))), "left": camera(frames_of_parts(6, rejects=(2, 3)))}
    with Station(cameras, JsonLines(out), PartsRule(("top", "left"), 60)) as station:
        summary = station.run()
    parts = {each["part_id"]: each for each in documents(out) if "cameras" in each}
    rejected_by = {part: each["rejected_by"] for part, each in parts.items()}
    assert rejected_by == {"0": [], "1": ["top"], "2": ["top", "left"], "3": ["left"], "4": [], "5": []}
    assert [each["decision"] for _, each in sorted(parts.items())] == ["OK", "NG", "NG", "NG", "OK", "OK"]
    assert len(documents(out)) == 18
    assert summary.parts is not None
    assert summary.parts.lines()[0] == "6 parts: 3 OK, 3 NG, 0 NO_DECISION"


def test_a_part_that_one_camera_did_not_see_is_rejected_at_the_deadline_while_both_run() -> None:
    """The camera without the view goes on: it is waited for, up to the deadline."""
    out = io.StringIO()
    seen = threading.Event()

    def until_seen(frames: list[Frame]) -> Iterator[Frame]:
        yield from frames
        seen.wait(20)
        yield missing_frame(99, "camera lost")

    cameras = {
        "top": camera(until_seen(frames_of_parts(3))),
        "left": camera(until_seen(frames_of_parts(3, without=(1,)))),
    }
    with Station(cameras, JsonLines(out), PartsRule(("top", "left"), 0.3)) as station:
        runner = threading.Thread(target=station.run)
        runner.start()
        deadline_s = time.monotonic() + 20
        while "no view within 300 ms" not in out.getvalue() and time.monotonic() < deadline_s:
            time.sleep(0.02)
        running = runner.is_alive()
        seen.set()
        runner.join(20)
    assert running
    parts = {each["part_id"]: each["decision"] for each in documents(out) if "cameras" in each}
    assert parts == {"0": "OK", "1": "NO_DECISION", "2": "OK"}
    assert station.summary.as_dict()["parts"]["missing_views"] == {"left": 1}
    assert station.summary.as_dict()["parts"]["frames_without_part"] == {"top": 1, "left": 1}  # the losses at the end


def test_the_parts_of_a_camera_that_broke_down_are_rejected_at_once() -> None:
    out = io.StringIO()
    broken = [*frames_of_parts(2), SourceError("gone")]
    cameras = {"top": camera(frames_of_parts(20)), "left": camera(broken)}
    with Station(cameras, JsonLines(out), PartsRule(("top", "left"), 600)) as station, pytest.raises(SourceError):
        station.run()
    parts = {each["part_id"]: each for each in documents(out) if "cameras" in each}
    assert {part: each["decision"] for part, each in parts.items()} == {
        str(part): "OK" if part < 2 else "NO_DECISION" for part in range(20)
    }
    assert parts["19"]["reason"] == "left NO_DECISION (no view, since the camera has ended)"


def test_a_trigger_is_one_picture_of_each_camera_that_sees_every_part_and_no_other() -> None:
    out = io.StringIO()
    sources = {name: open_source("demo", trigger="software", deadline_s=30.0) for name in ("top", "left", "apart")}
    cameras = {name: Camera(source, Detector.open(DEMO_DETECTOR, threads=1)) for name, source in sources.items()}
    with Station(cameras, JsonLines(out), PartsRule(("top", "left"), 30.0)) as station:
        runner = threading.Thread(target=station.run)
        runner.start()
        for part in ("a", "b"):
            station.trigger(part)
            deadline_s = time.monotonic() + 30
            while out.getvalue().count('"cameras"') < "ab".index(part) + 1 and time.monotonic() < deadline_s:
                time.sleep(0.01)
        station.stop()
        runner.join(30)
        with pytest.raises(SourceError):
            station.trigger("c")
    for camera_ in cameras.values():
        camera_.source.close()
        camera_.detector.close()
    found = documents(out)
    assert sorted((each["part_id"], each["camera"]) for each in found if "camera" in each) == [
        ("a", "left"),
        ("a", "top"),
        ("b", "left"),
        ("b", "top"),
    ]
    assert [each["part_id"] for each in found if "cameras" in each] == ["a", "b"]


def test_a_line_without_parts_cannot_be_triggered() -> None:
    station = Station({"top": camera([])}, JsonLines(io.StringIO()))
    with station, pytest.raises(SourceError, match="this line judges no parts"):
        station.trigger("a")


class SlowText(io.StringIO):
    """Text that takes a while for each piece, so that threads meet in it."""

    def write(self, text: str) -> int:
        for at in range(0, len(text), 200):
            super().write(text[at : at + 200])
            time.sleep(0.0005)
        return len(text)


def test_lines_of_several_cameras_do_not_mix() -> None:
    out = SlowText()
    cameras = {name: camera(frames_of_parts(30)) for name in ("top", "left", "right")}
    with Station(cameras, JsonLines(out), PartsRule(tuple(cameras), 60)) as station:
        station.run()
    assert len(documents(out)) == 4 * 30


def test_a_person_reads_which_camera_and_which_part() -> None:
    out = io.StringIO()
    cameras = {"top": camera(frames_of_parts(3, rejects=(1,))), "left": camera(frames_of_parts(3))}
    with Station(cameras, Headlines(out, io.StringIO()), PartsRule(("top", "left"), 60)) as station:
        station.run()
    assert sorted(out.getvalue().splitlines()) == [
        "NG          part 1: top NG (score 0.992 above 0.500)",
        "NG          top frame 1: score 0.992 above 0.500; 1 region, peak at x 10, y 4",
    ]


def test_a_line_of_one_camera_prints_what_the_camera_alone_does() -> None:
    out = io.StringIO()
    with Station({"top": camera(frames_of_parts(1))}, JsonLines(out)) as station:
        station.run()
    assert "camera" not in documents(out)[0]


class LeavingReader(io.StringIO):
    """Text that somebody reads for a few lines."""

    def write(self, text: str) -> int:
        if self.getvalue().count("\n") == 5:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        return super().write(text)


def test_a_reader_that_leaves_ends_all_cameras() -> None:
    out = LeavingReader()
    cameras = {"top": camera(endless()), "left": camera(endless())}
    with Station(cameras, JsonLines(out)) as station, pytest.raises(OutputLost, match="nobody reads stdout any more"):
        station.run()
    assert len(documents(out)) == 5
    assert station.summary.failures == {}


def test_a_sink_that_fails_for_one_camera_fails_for_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = {name: OverlayFolder(tmp_path / name) for name in ("top", "left")}
    (tmp_path / "left").rmdir()  # as on a disk that was taken out
    cameras = {name: camera(frames_of_parts(5), sinks=(folder,)) for name, folder in folders.items()}
    with Station(cameras, JsonLines(io.StringIO())) as station:
        station.run()
    summary = station.summary
    assert len(list((tmp_path / "top").iterdir())) == 5
    assert summary.cameras["top"].losses == {}
    assert summary.cameras["left"].losses == {"overlays": 5}
    assert "left: 5 overlays were NOT written" in summary.lines()
    assert "warning: overlays of left are not written (" in capsys.readouterr().err


def test_records_of_all_cameras_go_into_one_file_and_say_the_camera(tmp_path: Path) -> None:
    cameras = {"top": camera(frames_of_parts(5, rejects=(1,))), "left": camera(frames_of_parts(5))}
    with Station(cameras, JsonLines(io.StringIO()), sinks=open_shared_sinks({"records": str(tmp_path)})) as station:
        station.run()
    with closing(sqlite3.connect(tmp_path / "records.sqlite")) as connection:
        counts = connection.execute(
            "SELECT text, count(*) FROM verdicts JOIN names ON names.id = verdicts.camera GROUP BY camera ORDER BY text"
        ).fetchall()
        rejects = connection.execute(
            "SELECT text, part_id FROM verdicts JOIN names ON names.id = verdicts.camera WHERE decision = 2"
        ).fetchall()
    assert counts == [("left", 5), ("top", 5)]
    assert rejects == [("top", "1")]


class NeverSent:
    """A sink that takes all, and loses it later."""

    name, essential = "messages", True

    def __init__(self) -> None:
        self.lost = 0

    def write(self, frame: Frame, verdict: Verdict) -> None:
        """It waits."""

    def close(self) -> None:
        self.lost = 1_010


def test_what_a_sink_of_all_cameras_lost_is_told_once_for_the_line(tmp_path: Path) -> None:
    folder = OverlayFolder(tmp_path / "left")
    (tmp_path / "left").rmdir()
    cameras = {"top": camera(frames_of_parts(5)), "left": camera(frames_of_parts(5), sinks=(folder,))}
    with Station(cameras, JsonLines(io.StringIO()), sinks=[NeverSent()]) as station:
        station.run()
    summary = station.summary
    assert [line for line in summary.lines() if "NOT written" in line] == [
        "1,010 messages were NOT written",
        "left: 5 overlays were NOT written",
    ]
    document = json.loads(summary.to_json())
    assert document["not_written"] == {"messages": 1_010}
    assert {name: each["not_written"] for name, each in document["cameras"].items()} == {
        "top": {},
        "left": {"overlays": 5},
    }


def test_records_that_a_line_lost_are_in_its_summary(tmp_path: Path) -> None:
    bad = grey_frame(2**64)  # a number that SQLite cannot hold
    cameras = {"top": camera([bad, grey_frame(1)]), "left": camera(frames_of_parts(3))}
    with Station(cameras, JsonLines(io.StringIO()), sinks=open_shared_sinks({"records": str(tmp_path)})) as station:
        station.run()
    assert station.summary.as_dict()["not_written"] == {"records": 1}
    with closing(sqlite3.connect(tmp_path / "records.sqlite")) as connection:
        assert connection.execute("SELECT count(*) FROM verdicts").fetchone() == (4,)


class OneAtATime:
    """A sink that notices when two threads are in it at once."""

    name, essential = "notes", False

    def __init__(self) -> None:
        self.frames = self.closed = self.met = 0
        self._busy = threading.Lock()

    def write(self, frame: Frame, verdict: Verdict) -> None:
        if not self._busy.acquire(blocking=False):
            self.met += 1
            return
        time.sleep(0.001)
        self.frames += 1
        self._busy.release()

    def close(self) -> None:
        self.closed += 1


def test_a_sink_of_all_cameras_is_asked_by_one_thread_at_a_time_and_closed_once() -> None:
    sink = OneAtATime()
    cameras = {name: camera(frames_of_parts(30)) for name in ("top", "left", "right")}
    with Station(cameras, JsonLines(io.StringIO()), sinks=[sink]) as station:
        station.run()
    assert (sink.frames, sink.met, sink.closed) == (90, 0, 1)


def test_stop_ends_all_cameras_with_their_summary() -> None:
    cameras = {"top": camera(endless()), "left": camera(endless())}
    with Station(cameras, JsonLines(io.StringIO())) as station:
        threading.Timer(0.2, station.stop).start()
        summary = station.run()
    assert all(each.frames > 0 for each in summary.cameras.values())
    assert summary.failures == {}


def test_a_frame_limit_is_each_cameras() -> None:
    cameras = {"top": camera(endless()), "left": camera(endless())}
    with Station(cameras, JsonLines(io.StringIO()), max_frames=4) as station:
        assert {name: each.frames for name, each in station.run().cameras.items()} == {"top": 4, "left": 4}


def test_an_interrupt_gives_up_what_is_under_way_at_all_cameras() -> None:
    release = threading.Event()

    def hang(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        release.wait(20)
        return deviation_from_grey(frames)

    def interrupt() -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        hanging = Camera(ListSource([grey_frame()]), fake_detector(hang))
        with Station({"top": camera(endless()), "left": hanging}, JsonLines(io.StringIO())) as station:
            threading.Timer(0.2, interrupt).start()
            with pytest.raises(KeyboardInterrupt):
                station.run()
    finally:
        signal.signal(signal.SIGINT, before)
        release.set()
    assert station.summary.cameras["left"].frames == 0


def test_verdicts_of_a_detector_alone_say_no_camera() -> None:
    with fake_detector() as detector:
        verdict: Verdict = Detector.inspect(detector, grey_frame())
    assert verdict.camera is None
    assert verdict.decision is Decision.OK

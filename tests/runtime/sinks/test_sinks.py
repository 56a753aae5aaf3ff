"""What a sink that fails or hangs does to a stream: nothing, unless it is essential."""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from runtime_samples import ListSource, fake_detector, grey_frame

from runtime.frames import Frame
from runtime.pipeline import Pipeline
from runtime.records import store
from runtime.sinks import SinkRow, Sinks, open_sinks
from runtime.sinks.guarded import FIRST_PAUSE_S, SAY_EVERY_S, Guarded
from runtime.sinks.records import RecordsSink
from runtime.verdict import Verdict

FRAME = grey_frame()


class Recorded:
    """A sink that keeps the ids of what it took, and does first what a test tells it."""

    name = "records"

    def __init__(self, before: Callable[[int], object] = lambda number: None, essential: bool = False) -> None:
        self.essential, self.taken, self.closed = essential, list[int](), False
        self._before = before

    def write(self, frame: Frame, verdict: Verdict) -> None:
        self._before(frame.frame_id)
        self.taken.append(frame.frame_id)

    def close(self) -> None:
        self.closed = True


def failing_from(first: int, last: int) -> Callable[[int], None]:
    def fail(number: int) -> None:
        if first <= number <= last:
            raise OSError("No space left on device")

    return fail


def run(sinks: Sinks, frames: int) -> int:
    """The verdicts of a stream into `sinks`."""
    with fake_detector() as detector, sinks:
        pipeline = Pipeline(ListSource([grey_frame(number) for number in range(frames)]), detector, sinks)
        return pipeline.run().frames


def test_a_sink_that_fails_stops_nothing_and_what_it_lost_is_counted() -> None:
    broken, sound = Recorded(failing_from(0, 99)), Recorded(essential=True)
    sinks = Sinks([broken, sound])
    assert run(sinks, 20) == 20
    assert sound.taken == list(range(20))
    assert sinks.losses == {"records": 20}
    assert broken.closed
    assert sound.closed


def test_a_sink_that_fails_when_it_is_closed_ends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    broken, sound = Recorded(), Recorded()
    broken.close = lambda: failing_from(0, 0)(0)  # type: ignore[method-assign]
    sinks = Sinks([broken, sound])
    assert run(sinks, 3) == 3
    assert sound.closed
    assert sinks.losses == {"records": 1}
    assert "records may lack the last that was handed over (No space left on device)" in capsys.readouterr().err


def test_records_that_the_disk_never_took_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "CLOSE_S", 0.3)
    sink = RecordsSink(str(tmp_path))
    sinks = Sinks([sink])
    assert sinks.losses == {}
    with closing(sqlite3.connect(tmp_path / store.FILE, isolation_level=None)) as other:
        sink.store._connection.execute("PRAGMA busy_timeout = 10")
        other.execute("BEGIN IMMEDIATE")
        assert run(sinks, 4) == 4
    assert sinks.losses == {"records": 4}


def test_a_row_of_several_words_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    row = SinkRow("save-records", "FILE", "", str, lambda value: Recorded())
    monkeypatch.setattr("runtime.sinks.ROWS", (row,))
    assert [sink.name for sink in open_sinks({"save_records": "a"})] == ["records"]
    assert open_sinks({"save_records": None}) == []


def test_an_essential_sink_ends_the_stream() -> None:
    with pytest.raises(OSError, match="No space left"):
        run(Sinks([Recorded(failing_from(3, 99), essential=True)]), 20)


def test_a_bug_in_a_sink_stops_nothing_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail(number: int) -> None:
        raise ZeroDivisionError

    sinks = Sinks([Recorded(fail)])
    assert run(sinks, 3) == 3
    assert sinks.losses == {"records": 3}
    assert "records failed" in caplog.text


def written_at(sink: Recorded, seconds: list[float], capsys: pytest.CaptureFixture[str]) -> tuple[Guarded, list[str]]:
    """A guarded sink that gets a frame at each of these times, and what was said."""
    now = 0.0
    guarded = Guarded(sink, clock=lambda: now)
    with fake_detector() as detector:
        verdict = detector.inspect(FRAME)
    for number, now in enumerate(seconds):  # noqa: B007  # the clock reads it
        guarded.write(grey_frame(number), verdict)
        guarded.settle()
    guarded.close()
    return guarded, capsys.readouterr().err.splitlines()


def test_a_sink_comes_back_by_itself_and_what_was_lost_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    sink = Recorded(failing_from(1, 1))
    guarded, said = written_at(sink, [0.0, 1.0, 1.0 + FIRST_PAUSE_S / 2, 1.0 + FIRST_PAUSE_S, 3.0], capsys)
    assert sink.taken == [0, 3, 4]  # the one in the pause was not tried
    assert guarded.lost == 2
    assert said == [
        "warning: records are not written (No space left on device); inspection goes on, 1 lost so far",
        "records are written again; 2 were not",
    ]


def test_what_goes_on_is_said_once_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    seconds = [step * SAY_EVERY_S / 4 for step in range(9)]
    guarded, said = written_at(Recorded(failing_from(0, 99)), seconds, capsys)
    assert guarded.lost == 9
    assert len(said) == 3


def test_a_sink_that_hangs_holds_up_nothing_for_long() -> None:
    let_go = threading.Event()
    sink = Recorded(lambda number: let_go.wait(30))
    guarded = Guarded(sink, patience_s=0.05)
    with fake_detector() as detector:
        verdict = detector.inspect(FRAME)
    for number in range(40):
        guarded.write(grey_frame(number), verdict)
    assert guarded.lost == 40 - 8 - 1  # eight wait, one is being written
    guarded.close(timeout_s=0.05)
    assert guarded.lost == 40 - 1
    let_go.set()

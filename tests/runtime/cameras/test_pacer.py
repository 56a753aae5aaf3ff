"""Triggers at an even pace."""

import threading
import time
from collections.abc import Iterator

import pytest
from triggered_camera import Faults, SimulatedCamera
from waiting import until

from runtime.cameras import triggered
from runtime.cameras.pacer import Pacer
from runtime.cameras.triggered import TriggeredSource
from runtime.errors import SourceError

ROOM = 20  # frames that wait, in these tests; the camera's first trigger waits besides, for a picture that never comes


def test_parts_are_numbered_and_come_at_the_pace() -> None:
    times_s: list[float] = []
    done = threading.Event()

    def trigger(part_id: str) -> None:
        assert part_id == str(len(times_s))
        times_s.append(time.monotonic())
        if len(times_s) == 6:
            done.set()

    with Pacer(trigger, 0.02, count=6):
        assert done.wait(10)
        time.sleep(0.05)
    assert len(times_s) == 6
    assert times_s[-1] - times_s[0] >= 0.09  # five pauses, less what a clock may be early


def test_it_ends_when_it_is_closed_and_when_no_more_triggers_are_taken() -> None:
    taken: list[str] = []

    def trigger(part_id: str) -> None:
        taken.append(part_id)
        if part_id == "2":
            raise SourceError("the stream ended")

    with Pacer(trigger, 3600.0):
        pass
    assert taken in ([], ["0"])
    taken.clear()
    pacer = Pacer(trigger, 0.001)
    pacer._thread.join(10)
    assert taken == ["0", "1", "2"]


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Iterator[TriggeredSource]:
    """One that has a frame for each trigger but the first at once, and soon no room for more."""
    monkeypatch.setattr(triggered, "MOST_WAITING", ROOM)
    camera = SimulatedCamera(Faults(ignored=1.0))
    with TriggeredSource("the camera", lambda: camera, "software", 60.0, frame_timeout_s=60.0) as made:
        yield made


def read_part(source: TriggeredSource) -> int:
    frame = source.read(5)
    assert frame is not None
    return int(str(frame.part_id))


def test_a_stream_that_stands_still_has_triggers_skipped_and_the_pace_goes_on_after_it(
    source: TriggeredSource, capsys: pytest.CaptureFixture[str]
) -> None:
    with Pacer(source.trigger, 0.002):
        until(lambda: len(source._frames) == ROOM)
        time.sleep(0.1)  # the stream stands still
        parts, said = [read_part(source)], ""
        ends_s = time.monotonic() + 20
        while "taken again" not in said:
            assert time.monotonic() < ends_s
            parts.append(read_part(source))
            said += capsys.readouterr().err
    skipped = set(range(1, parts[-1])) - set(parts)
    assert parts == sorted(set(parts))
    assert min(skipped) == ROOM + 1
    begins, again = said.splitlines()  # once each, whatever number of triggers it was
    assert begins.startswith("warning: triggers are skipped, and their parts go by without a verdict: 20 frames of the")
    shown = "1 part" if len(skipped) == 1 else f"{len(skipped)} parts"
    assert again == f"triggers are taken again; {shown} went by without a verdict"
    assert capsys.readouterr().err == ""


def test_as_many_triggers_are_taken_as_were_asked_for_however_many_are_skipped(source: TriggeredSource) -> None:
    """Who asked for so many waits for the frames of so many."""
    pacer = Pacer(source.trigger, 0.002, count=ROOM + 10)
    with pacer:
        until(lambda: len(source._frames) == ROOM)
        time.sleep(0.1)
        parts = [read_part(source) for _ in range(ROOM + 9)]
        pacer._thread.join(10)
        assert not pacer._thread.is_alive()
    assert parts[-1] > ROOM + 10


def test_a_source_that_ends_while_triggers_are_skipped_ends_them_and_says_how_many_they_were(
    source: TriggeredSource, capsys: pytest.CaptureFixture[str]
) -> None:
    with Pacer(source.trigger, 0.002) as pacer:
        until(lambda: len(source._frames) == ROOM)
        time.sleep(0.1)
        assert pacer._thread.is_alive()
        source.finish()
        pacer._thread.join(10)
        assert not pacer._thread.is_alive()
    begins, ends = capsys.readouterr().err.splitlines()
    assert "triggers are skipped" in begins
    assert ends.startswith("warning: ")
    assert ends.endswith(" parts went by without a verdict, since triggers were skipped")

"""Triggers at an even pace."""

import threading
import time

from runtime.cameras.pacer import Pacer
from runtime.errors import SourceError


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

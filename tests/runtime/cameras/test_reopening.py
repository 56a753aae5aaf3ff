"""Opening a camera again: pauses that double up to their limit, each cut by chance, and what the log says."""

import logging
from itertools import count
from threading import Event

import pytest

from runtime.cameras.reopening import LONGEST_BACKOFF_S, Reopening
from runtime.errors import SourceError


class NoClock(Event):
    """Notes how long it is waited for, and is never set."""

    def __init__(self) -> None:
        super().__init__()
        self.waits_s: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waits_s.append(timeout)
        return False


def failing(times: int) -> tuple[Reopening, NoClock]:
    """A camera that comes back after so many failures, at once as far as the test goes."""
    reopening, clock, attempts = Reopening("camera 0"), NoClock(), count(1)

    def attempt() -> int:
        if (number := next(attempts)) <= times:
            raise SourceError("unplugged")
        return number

    assert reopening.again(attempt, clock) == times + 1
    return reopening, clock


def test_pauses_double_up_to_their_limit_and_chance_takes_half_of_each_at_most() -> None:
    waits_s = failing(20)[1].waits_s
    longest_s = [min(0.5 * 2**number, LONGEST_BACKOFF_S) for number in range(21)]
    assert all(longest / 2 <= wait <= longest for wait, longest in zip(waits_s, longest_s, strict=True))
    assert len({wait / longest for wait, longest in zip(waits_s, longest_s, strict=True)}) > 15


def test_two_cameras_that_are_lost_at_once_are_not_asked_at_once() -> None:
    assert failing(5)[1].waits_s != failing(5)[1].waits_s


def test_a_loss_and_a_return_are_one_line_of_the_log_each(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        reopening = failing(3)[0]
        reopening.note_loss("it stopped delivering")
    back, lost = (record.getMessage() for record in caplog.records)
    assert back == "camera 0 is back after 0.0 s, at attempt 4; reconnect 1"
    assert lost == "camera 0 lost: it stopped delivering; opening it again"
    assert reopening.reconnects == 1

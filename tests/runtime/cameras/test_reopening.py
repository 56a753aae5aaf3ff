"""Opening a camera again: pauses that double up to their limit, each cut by chance, and what the log says."""

import logging
from itertools import count
from threading import Event

import pytest

from runtime.cameras.reopening import LONGEST_BACKOFF_S, Reopening
from runtime.errors import InputError, SetupError, SourceError


class UnclosableCapture:
    """A capture that fails when it is released."""

    drops = 0

    def read(self) -> None:
        """Nothing comes."""

    def release(self) -> None:
        raise OSError("the device is gone")


class NoClock(Event):
    """Notes how long it is waited for, and is never set."""

    def __init__(self) -> None:
        super().__init__()
        self.waits_s: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waits_s.append(timeout)
        return False


def failing(times: int, error: BaseException | None = None) -> tuple[Reopening, NoClock]:
    """A camera that comes back after so many failures, at once as far as the test goes."""
    reopening, clock, attempts = Reopening("camera 0"), NoClock(), count(1)

    def attempt() -> int:
        if (number := next(attempts)) <= times:
            raise error or SourceError("unplugged")
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


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), ValueError("no picture"), SetupError("refused")])
def test_whatever_an_attempt_raises_another_follows(error: Exception) -> None:
    assert failing(3, error)[0].reconnects == 1


def test_an_attempt_that_fails_unexpectedly_is_traced_once_and_not_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        failing(5, OSError(24, "Too many open files"))
    attempts = caplog.records[:-1]
    assert [record.exc_info is not None for record in attempts] == [True, False, False, False, False]
    text = "camera 0: attempt 1 to open it failed: OSError: [Errno 24] Too many open files"
    assert (attempts[0].levelno, attempts[0].getMessage()) == (logging.WARNING, text)
    assert "in attempt" in caplog.text


def test_an_attempt_that_fails_as_cameras_do_is_not_traced(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        failing(2)
    assert "Traceback" not in caplog.text


def test_the_limit_of_attempts_holds_for_unexpected_failures_too() -> None:
    def attempt() -> None:
        raise OSError("I/O error")

    reopening = Reopening("camera 0", limit=2)
    assert reopening.again(attempt, NoClock()) is None
    assert str(reopening.error) == "camera 0 lost: 2 attempts to reopen it failed; OSError: I/O error"


def test_who_ends_the_program_ends_an_attempt() -> None:
    with pytest.raises(KeyboardInterrupt):
        failing(1, KeyboardInterrupt())


def test_the_first_opening_tells_whatever_went_wrong_and_waits_for_none_of_it() -> None:
    def attempt() -> None:
        raise InputError("the option is none")

    with pytest.raises(InputError, match="the option is none"):
        Reopening("camera 0").first(attempt, wait=True)


def test_a_capture_that_cannot_be_closed_is_said_and_left(caplog: pytest.LogCaptureFixture) -> None:
    Reopening("camera 0").let_go(UnclosableCapture())
    (record,) = caplog.records
    assert record.getMessage() == "camera 0 could not be closed: OSError: the device is gone"
    assert record.exc_info is not None

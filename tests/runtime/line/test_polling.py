"""A controller that is polled: what it may not have got, what it is told at the end, and what breaks down."""

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import closing

import pytest
from waiting import until

from runtime.errors import LineError
from runtime.line.handshake import Handshake
from runtime.line.levels import Levels
from runtime.line.polling import PolledController, Unreadable
from runtime.line.registers import FROM_RUNTIME, TO_RUNTIME, values_of, words_of
from runtime.line.results import Cause, Code, Outcome

GOOD = Outcome(Code.OK, Cause.NONE, "score 1.0 within 2.0", 1.0, 2.0)


class Memory:
    """A controller's registers, and connections to them that break when they are told to."""

    def __init__(self) -> None:
        self.out: dict[str, object] = {"trigger_enable": True}
        self.seen: dict[str, object] = {}
        self.lost_before_write = threading.Event()
        self.absent = False
        self.breaks: Exception | None = None

    def connect(self) -> "Memory":
        if self.absent:
            raise LineError("it does not answer")
        return self

    def read(self) -> Sequence[int] | Unreadable:
        if self.breaks is not None:
            error, self.breaks = self.breaks, None
            raise error
        return words_of(TO_RUNTIME, self.out)

    def write(self, words: Sequence[int]) -> None:
        values = values_of(FROM_RUNTIME, words)
        if values["results_valid"] and self.lost_before_write.is_set():
            self.absent = True
            raise LineError("it is lost")
        self.seen = values

    def close(self) -> None:
        pass


def test_a_pass_that_was_lost_with_the_connection_is_none_when_it_is_back_after_the_deadline() -> None:
    now_s, memory = [100.0], Memory()
    handshake = Handshake(1.0, clock=lambda: now_s[0])
    handshake.ready()
    with closing(PolledController(Levels(handshake), "plc", memory.connect, 0.001)):
        until(lambda: memory.seen.get("trigger_ready"))
        memory.lost_before_write.set()
        memory.out = {"trigger_enable": True, "trigger": True, "part_id": 5}
        until(lambda: memory.seen["trigger_acknowledge"])
        assert handshake.finish(1, GOOD) is not None
        until(lambda: memory.absent)
        now_s[0] += 2.0
        memory.lost_before_write.clear()
        memory.absent = False
        until(lambda: memory.seen["results_valid"])
        assert (memory.seen["result_part_id"], memory.seen["inspection_id"]) == (5, 1)
        assert (memory.seen["job_pass"], memory.seen["result_cause"]) == (False, Cause.LATE)


def test_one_that_was_acknowledged_meanwhile_is_not_told_again() -> None:
    handshake, memory = Handshake(60.0), Memory()
    handshake.ready()
    polled = PolledController(Levels(handshake), "plc", memory.connect, 0.001)
    with closing(polled):
        until(lambda: memory.seen.get("trigger_ready"))
        memory.out = {"trigger_enable": True, "trigger": True}
        until(lambda: memory.seen["trigger_acknowledge"])
        handshake.finish(1, GOOD)
        until(lambda: memory.seen["results_valid"])
        memory.absent = True
        memory.breaks = LineError("it is lost")
        until(lambda: memory.breaks is None)
        memory.out = {"trigger_enable": True, "results_acknowledge": True}
        memory.absent = False
        until(lambda: polled.connections == 2 and not memory.seen["results_valid"])
        memory.out = {"trigger_enable": True}
        time.sleep(0.05)
        assert not memory.seen["results_valid"]
        assert memory.seen["waiting"] == 0


def test_at_the_end_the_controller_is_told_that_no_trigger_is_taken() -> None:
    handshake, memory = Handshake(60.0), Memory()
    handshake.ready()
    with closing(PolledController(Levels(handshake), "plc", memory.connect, 60.0)):
        until(lambda: memory.seen.get("trigger_ready"))
        handshake.stop()
    assert (memory.seen["trigger_ready"], memory.seen["error"]) == (False, Cause.STOPPED)


def test_one_that_stays_away_is_said_once_and_what_breaks_down_is_told_with_its_trace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    memory = Memory()
    memory.absent = True
    with caplog.at_level(logging.INFO), closing(PolledController(Levels(Handshake(1.0)), "plc", memory.connect, 0.001)):
        time.sleep(0.8)  # several tries
        memory.absent = False
        until(lambda: memory.seen)
        memory.breaks = ValueError("garbage")
        memory.seen = {}
        until(lambda: memory.seen)
    said = [record.getMessage() for record in caplog.records]
    assert said.count("the controller at plc: it does not answer; connecting until it is there") == 1
    connected = [each for each in said if each.startswith("connected to the controller at plc")]
    assert connected == [f"connected to the controller at plc (connection {number})" for number in (1, 2)]
    (broke,) = [record for record in caplog.records if record.exc_info]
    assert "broke down" in broke.getMessage()

"""An edge is a trigger and a pulse is a pass: what is asked of the outputs, and what is not."""

import logging
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from waiting import until

from runtime.errors import InputError, LineError
from runtime.line.gpio_binding import DigitalIO
from runtime.line.gpio_config import read_config
from runtime.line.gpio_lines import Edge, driver_of
from runtime.line.handshake import BUFFER, Handshake, Refusal
from runtime.line.levels import Levels
from runtime.line.results import Cause, Code, Mode, Outcome, Result

GOOD = Outcome(Code.OK, Cause.NONE, "score 1.0 within 2.0", 1.0, 2.0)
BAD = Outcome(Code.NG, Cause.JUDGED, "score 3.0 above 2.0", 3.0, 2.0)
WIRED = """
trigger: {line: 17, late_ms: 10000}
offline: {line: 27}
pass: {line: 22, delay_ms: 250, pulse_ms: 40}
reject: {line: 23, delay_ms: 300, pulse_ms: 60}
ready: {line: 24}
strobe: {line: 25, delay_ms: 5, pulse_ms: 2}
heartbeat: {line: 26}
"""


class Inputs:
    """Edges that a test makes."""

    def __init__(self) -> None:
        self.edges: queue.SimpleQueue[Edge | Exception] = queue.SimpleQueue()
        self.offline = False
        self.number = 0
        self.opened = 0

    def edge(self, age_s: float = 0.0, lost: int = 0) -> float:
        """An edge of the trigger, so long ago, after others that were lost; when it came."""
        self.number += 1 + lost
        at_s = time.monotonic() - age_s
        self.edges.put(Edge("trigger", True, at_s, self.number))
        return at_s

    def open(self) -> "Inputs":
        self.opened += 1
        self.number = 0
        return self

    def wait(self, timeout_s: float) -> list[Edge]:
        try:
            found = self.edges.get(timeout=timeout_s)
        except queue.Empty:
            return []
        if isinstance(found, Exception):
            raise found
        return [found]

    def is_active(self, name: str) -> bool:
        assert name == "offline"
        return self.offline

    def close(self) -> None:
        pass


class Outputs:
    """What is asked of the outputs."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.inspected: list[tuple[str, bool]] = []  # whether the part of a pulse was
        self.gone: str | None = None
        self.closed = 0

    def open(self) -> "Outputs":
        return self

    def pulse(self, name: str, due_s: float, length_s: float, latest_s: float | None, inspected: bool = True) -> None:
        self.asked.append(("pulse", name, due_s, length_s, latest_s))
        self.inspected.append((name, inspected))

    def rest(self, name: str, due_s: float) -> None:
        self.asked.append(("rest", name, due_s))

    def take_back(self, name: str, uninspected: bool) -> None:
        self.asked.append(("take back", name, uninspected))

    def level(self, name: str, active: bool) -> None:
        self.asked.append(("level", name, active))

    def check(self) -> None:
        if self.gone is not None:
            reason, self.gone = self.gone, None
            raise LineError(reason)

    def close(self) -> None:
        self.closed += 1

    def of(self, *what: str) -> list[tuple[object, ...]]:
        """What was asked so far that begins like this, without that."""
        return [each[len(what) :] for each in list(self.asked) if each[: len(what)] == what]


class Told:
    """A listener."""

    def __init__(self) -> None:
        self.results: list[Result] = []
        self.refusals: list[Refusal] = []

    def given(self, result: Result) -> None:
        self.results.append(result)

    def missed(self, refusal: Refusal) -> None:
        self.refusals.append(refusal)


class Line:
    """A handshake whose parts are judged, with digital inputs and outputs that record."""

    def __init__(self, deadline_s: float, text: str, folder: Path) -> None:
        self.inputs, self.outputs, self.told = Inputs(), Outputs(), Told()
        self.handshake = Handshake(deadline_s, at_once=2)
        self.handshake.listen(self.told)
        self.takes_s = 0.0
        path = folder / "gpio.yaml"
        path.write_text(text)
        self.config = read_config(path)
        self.io = DigitalIO(Levels(self.handshake), self.config, self.inputs.open, self.outputs.open)

    def inspect(self, ended: threading.Event) -> None:
        """Every third part is bad."""
        while not ended.is_set():
            self.handshake.beat()
            if (one := self.handshake.take(0.01)) is not None:
                time.sleep(self.takes_s)
                self.handshake.finish(one.acquisition_id, GOOD if one.part.part_id % 3 else BAD)


@contextmanager
def wired(folder: Path, text: str = WIRED, deadline_s: float = 60.0, inspecting: bool = True) -> Iterator[Line]:
    line, ended = Line(deadline_s, text, folder), threading.Event()
    thread = threading.Thread(target=line.inspect, args=(ended,))
    if inspecting:
        thread.start()
        line.handshake.ready()
    try:
        yield line
    finally:
        ended.set()
        if inspecting:
            thread.join()
        line.io.close()


def test_each_part_has_its_number_its_result_and_its_place_at_the_gate(tmp_path: Path) -> None:
    parts = 3 * BUFFER  # more than wait unacknowledged
    with wired(tmp_path) as line:
        for number in range(1, parts + 1):
            line.inputs.edge()
            until(lambda count=number: len(line.told.results) == count)  # type: ignore[misc]
        until(lambda: len(line.outputs.of("pulse", "reject")) == parts // 3)
        assert [result.part.part_id for result in line.told.results] == list(range(1, parts + 1))
        assert line.told.refusals == []
        assert len(line.outputs.of("pulse", "pass")) == len(line.outputs.of("rest", "reject")) == parts - parts // 3
        assert len(line.outputs.of("rest", "pass")) == parts // 3
        assert len(line.outputs.of("pulse", "strobe")) == parts
        assert line.handshake.view().waiting == 0
        for length_s, each in ((0.04, "pass"), (0.06, "reject")):
            assert {pulse[1] for pulse in line.outputs.of("pulse", each)} == {length_s}
    assert line.outputs.closed == 1


def test_a_delay_counts_from_the_result_or_from_the_trigger(tmp_path: Path) -> None:
    text = WIRED.replace("reject: {", "reject: {after: trigger, ")
    with wired(tmp_path, text) as line:
        line.takes_s = 0.05
        at_s = line.inputs.edge()
        until(lambda: line.outputs.of("rest", "reject"))
        ((due_s, length_s, latest_s),) = line.outputs.of("pulse", "pass")
        assert float(str(due_s)) >= line.told.results[0].finished_s + 0.25
        assert float(str(latest_s)) == pytest.approx(float(str(due_s)) + 0.02)
        assert length_s == 0.04
        assert line.outputs.of("rest", "reject") == [(pytest.approx(at_s + 0.3),)]
        ((strobe_s, _, _),) = line.outputs.of("pulse", "strobe")
        assert float(str(strobe_s)) >= at_s + 0.005


def test_a_result_after_its_deadline_has_no_pulse(tmp_path: Path) -> None:
    with wired(tmp_path, deadline_s=0.05) as line:
        line.takes_s = 0.5
        line.inputs.edge()
        until(lambda: line.outputs.of("rest", "pass"))
        assert line.told.results[0].cause is Cause.LATE
        until(lambda: line.handshake.view().too_late == 1)
        assert line.outputs.of("pulse", "pass") == []


def test_an_edge_that_is_read_late_is_refused_and_rests(tmp_path: Path) -> None:
    with wired(tmp_path, WIRED.replace("late_ms: 10000", "late_ms: 200")) as line:
        line.inputs.edge(age_s=0.3)
        until(lambda: line.told.refusals)
        assert "ms late" in line.told.refusals[0].reason
        assert line.told.refusals[0].part.part_id == 1
        assert len(line.outputs.of("rest", "pass")) == len(line.outputs.of("pulse", "reject")) == 1
        assert line.outputs.of("pulse", "strobe") == []
        assert line.told.results == []


def test_edges_that_were_lost_have_their_numbers(tmp_path: Path) -> None:
    with wired(tmp_path) as line:
        line.inputs.edge()
        until(lambda: line.told.results)
        line.inputs.edge(lost=2)
        until(lambda: len(line.told.results) == 2)
        assert [refusal.part.part_id for refusal in line.told.refusals] == [2, 3]
        assert [result.part.part_id for result in line.told.results] == [1, 4]


def test_a_trigger_that_is_refused_rests(tmp_path: Path) -> None:
    with wired(tmp_path, inspecting=False) as line:
        line.inputs.edge()
        until(lambda: line.outputs.of("rest", "pass"))
        assert line.told.refusals[0].cause is Cause.NOT_READY
        assert line.outputs.of("pulse", "pass") == []
        assert line.outputs.of("pulse", "strobe") == []


def test_ready_and_the_heartbeat_are_those_of_the_handshake(tmp_path: Path) -> None:
    with wired(tmp_path) as line:
        until(lambda: (True,) in line.outputs.of("level", "ready"))
        until(lambda: len(line.outputs.of("level", "heartbeat")) > 3)
        beats = line.outputs.of("level", "heartbeat")
        assert beats == [(number % 2 == 0,) for number in range(len(beats))]
        line.handshake.hold(Cause.HELD, "the self-check was wrong")
        until(lambda: line.outputs.of("level", "ready")[-1] == (False,))
        time.sleep(0.2)
        still = len(line.outputs.of("level", "heartbeat"))
        time.sleep(0.3)
        assert len(line.outputs.of("level", "heartbeat")) == still


@pytest.mark.parametrize("hidden", ["", "offline", "not ready", "bypass"])
def test_passes_on_their_way_are_taken_back_while_the_line_is_held_whatever_else_refuses_triggers(
    hidden: str, tmp_path: Path
) -> None:
    with wired(tmp_path) as line:
        line.inputs.edge()
        until(lambda: line.outputs.of("pulse", "pass"))
        if hidden == "offline":
            line.inputs.offline = True
            until(lambda: not line.handshake.view(sees=False).online)
        elif hidden == "not ready":
            line.handshake.not_ready(Cause.CAMERA, "the camera is gone")
        elif hidden == "bypass":
            line.handshake.set_mode(Mode.BYPASS)
        time.sleep(0.1)
        assert line.outputs.of("take back") == []
        line.handshake.hold(Cause.HELD, "the self-check was wrong")
        until(lambda: line.outputs.of("take back"))
        line.handshake.release()
        assert set(line.outputs.of("take back")) == {("pass", False)}


def test_a_pass_that_comes_between_two_holds_is_taken_back_by_the_second(tmp_path: Path) -> None:
    with wired(tmp_path) as line:
        line.handshake.hold(Cause.HELD, "the self-check was wrong")
        until(lambda: line.outputs.of("take back"))
        line.handshake.release()
        line.inputs.edge()
        until(lambda: line.outputs.of("pulse", "pass"))
        line.handshake.hold(Cause.HELD, "the self-check was wrong")
        passed = len(line.outputs.asked)
        until(lambda: ("take back", "pass", False) in line.outputs.asked[passed:])


def test_while_the_line_is_paused_no_part_on_its_way_passes_and_while_it_is_held_those_that_nobody_inspected_do(
    tmp_path: Path,
) -> None:
    with wired(tmp_path) as line:
        line.inputs.edge()
        until(lambda: line.outputs.of("pulse", "pass"))
        line.handshake.set_mode(Mode.BYPASS)
        line.handshake.hold(Cause.HELD, "the self-check was wrong")
        line.inputs.edge()
        until(lambda: len(line.outputs.of("pulse", "pass")) == 2)
        assert [inspected for name, inspected in line.outputs.inspected if name == "pass"] == [True, False]
        until(lambda: line.outputs.of("take back"))
        assert set(line.outputs.of("take back")) == {("pass", False)}
        line.handshake.pause("Ann")
        until(lambda: ("pass", True) in line.outputs.of("take back"))
        line.handshake.resume()
        line.handshake.release()
        time.sleep(0.2)
        ended = len(line.outputs.of("take back"))
        time.sleep(0.2)
        assert len(line.outputs.of("take back")) == ended


def test_offline_is_a_level_and_refuses(tmp_path: Path) -> None:
    with wired(tmp_path) as line:
        line.inputs.offline = True
        until(lambda: not line.handshake.view().online)
        line.inputs.edge()
        until(lambda: line.told.refusals)
        assert line.told.refusals[0].cause is Cause.OFFLINE
        line.inputs.offline = False
        until(lambda: line.handshake.view().online)


@pytest.mark.parametrize("which", ["inputs", "outputs", "fault"])
def test_a_chip_that_is_gone_is_opened_again_and_its_parts_have_no_pulse(
    which: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR), wired(tmp_path) as line:
        line.takes_s = 0.5
        line.inputs.edge()
        until(lambda: line.handshake.view(sees=False).accepted == 1)
        if which == "outputs":
            line.outputs.gone = "the GPIO chip is gone (19)"
        else:
            line.inputs.edges.put(LineError("the GPIO chip is gone (19)") if which == "inputs" else KeyError("fault"))
        until(lambda: line.inputs.opened == 2)
        line.takes_s = 0.0
        time.sleep(0.6)
        assert line.outputs.of("pulse", "pass") == []
        line.inputs.edge()
        until(lambda: line.outputs.of("pulse", "pass"))
        assert line.told.results[-1].part.part_id == 2
        assert line.outputs.closed == 1
    if which != "fault":
        assert [record.getMessage() for record in caplog.records] == [
            "the GPIO chip is gone (19); no part passes; opening it again until it is there"
        ]


def test_a_pass_that_would_come_when_its_part_is_past_the_gate_is_refused_at_the_start(tmp_path: Path) -> None:
    text = WIRED.replace("pass: {", "pass: {after: trigger, ")
    with pytest.raises(InputError, match=r"due 250 ms after the trigger.*deadline is 500 ms; give --deadline-ms 250"):
        Line(0.5, text, tmp_path)
    with wired(tmp_path, text, deadline_s=0.25):
        pass


def test_the_driver_of_a_jetson_is_refused_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("Jetson", reason="JETSON.GPIO IS NOT TESTED here: pip install --no-deps Jetson.GPIO")
    path = tmp_path / "gpio.yaml"
    path.write_text("driver: jetson\n" + WIRED)
    with pytest.raises(InputError, match="driver jetson cannot be used here"):
        driver_of(read_config(path))

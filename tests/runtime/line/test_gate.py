"""The reject gate: a part without a pass is rejected, whatever happened."""

import random
import time
from dataclasses import replace

import pytest

from runtime.errors import InputError
from runtime.line.gate import MOST_PARTS, AtGate, RejectGate, parse_gate
from runtime.line.handshake import Acquisition, Handshake, Refusal
from runtime.line.levels import Levels
from runtime.line.registers import FROM_RUNTIME, TO_RUNTIME, values_of, words_of
from runtime.line.results import Cause, Code, Mode, Outcome, Part, Result

GOOD = Outcome(Code.OK, Cause.NONE, "score 1.0 within 2.0", 1.0, 2.0)
BAD = Outcome(Code.NG, Cause.JUDGED, "score 3.0 above 2.0", 3.0, 2.0)


def result(number: int, code: Code = Code.OK, mode: Mode = Mode.RUN) -> Result:
    return Result(number, number, Part(number), code, Cause.NONE, "", mode, 0.0, 0.0)


def part(number: int) -> tuple[int, Part]:
    return number, Part(number)


def test_by_parts_the_gate_opens_for_a_pass_alone() -> None:
    gate = RejectGate(2)
    gate.triggered(*part(1))
    gate.judged(result(1))
    gate.triggered(*part(2))
    assert gate.seen == AtGate()
    gate.triggered(None, Part(3))
    assert gate.seen == AtGate(1, 0b1, 1)
    gate.triggered(*part(4))
    assert gate.seen == AtGate(2, 0b10, 2)
    gate.judged(result(2))  # too late: it is past the gate
    gate.triggered(*part(5))
    assert gate.seen == AtGate(3, 0b100, 3)
    assert not gate.seen.passes


def test_the_longest_distance_in_parts_goes_on_for_ever() -> None:
    """Each part that comes lets one leave: no belt of this kind is full."""
    gate = RejectGate(MOST_PARTS)
    for number in range(1, MOST_PARTS + 3):
        assert not gate.is_full
        gate.triggered(*part(number))
        if number == 2:
            gate.judged(result(2))
    assert gate.seen == AtGate(2, 0b01, 2)


def test_by_encoder_parts_leave_at_their_distance_also_where_the_count_wraps() -> None:
    gate = RejectGate(1_000, by_encoder=True)
    gate.moved(2**32 - 600)
    gate.triggered(*part(1))
    gate.moved(2**32 - 100)
    gate.triggered(*part(2))
    gate.judged(result(2))
    gate.moved(399)
    assert gate.seen == AtGate()
    gate.moved(400)
    assert gate.seen == AtGate(1, 0, 1)
    gate.moved(300)  # backwards
    gate.moved(899)
    assert gate.seen.count == 1
    gate.moved(900)
    assert gate.seen == AtGate(2, 1, 2)


def test_an_encoder_that_is_set_anew_passes_nothing_that_was_on_the_belt() -> None:
    gate = RejectGate(1_000, by_encoder=True)
    gate.moved(50_000)
    gate.triggered(*part(1))
    gate.judged(result(1))
    gate.moved(0)
    gate.triggered(*part(2))
    gate.judged(result(2))
    gate.moved(999)
    assert gate.seen == AtGate()
    gate.moved(1_000)
    assert gate.seen == AtGate(2, 0b01, 2)


@pytest.mark.parametrize(("before", "after"), [(3_000_000_000, 0), (2**32 - 600, 500), (0, 1_001), (0, 2**32 - 1_001)])
def test_a_count_that_leaps_passes_nothing_that_was_on_the_belt(before: int, after: int) -> None:
    gate = RejectGate(1_000, by_encoder=True)
    gate.moved(before)
    for number in (1, 2):
        gate.triggered(*part(number))
        gate.judged(result(number))
    gate.moved(after)
    gate.moved((after + 1_000) % 2**32)
    assert gate.seen == AtGate(2, 0, 2)


def under_way(handshake: Handshake, number: int) -> None:
    """A part that passed, and is before the gate."""
    handshake.trigger(Part(number))
    handshake.finish(number, GOOD)
    result = handshake.wait_for_result(0)
    assert result is not None
    handshake.acknowledge(result.inspection_id)


@pytest.mark.parametrize("comes_back", ["forgotten", "polled", "connects", "connects soon"])
def test_parts_that_nobody_triggered_meanwhile_leave_no_pass_for_another_part(comes_back: str) -> None:
    handshake = Handshake(0.05, at_once=8, gate=RejectGate(2))
    handshake.ready()
    levels, words = Levels(handshake), words_of(TO_RUNTIME, {"trigger_enable": True})
    levels.write(words)
    under_way(handshake, 1)
    if comes_back == "forgotten":
        handshake.forget()
    elif comes_back == "polled":
        levels.begin(words)
    else:
        time.sleep(0.1 if comes_back == "connects" else 0)
        levels.write_anew(words)
    for number in (2, 3):
        handshake.trigger(Part(number))
    assert handshake.view().gate == AtGate(1, int(comes_back == "connects soon"), 1)


def test_any_order_of_events_rejects_all_that_did_not_pass_before_the_gate() -> None:
    rng = random.Random(1)
    gate, encoder, position, parts = RejectGate(500, by_encoder=True), 0, 0, dict[int, int]()
    passed, last = set[int](), AtGate()
    gate.moved(0)
    for number in range(1, 2_000):
        step = rng.randrange(200)
        position, encoder = position + step, (encoder + step) % 2**32
        gate.moved(encoder)
        for came in range(last.count + 1, gate.seen.count + 1):
            assert position - parts[came] >= 500
            assert bool(gate.seen.history >> (gate.seen.count - came) & 1) == (came in passed)
        last = gate.seen
        gate.triggered(*part(number))
        parts[number] = position
        candidate = rng.randrange(max(1, number - 12), number + 1)
        if rng.random() < 0.5:
            gate.judged(result(candidate))
            if position - parts[candidate] < 500:
                passed.add(candidate)
    assert last.count > 1_900
    assert 100 < len(passed) < last.count


def test_no_pass_of_a_dry_run_and_none_that_was_taken_back() -> None:
    gate = RejectGate(1)
    gate.triggered(*part(1))
    gate.judged(result(1, mode=Mode.DRY_RUN))
    gate.triggered(*part(2))
    gate.judged(result(2))
    gate.judged(result(2, Code.NO_DECISION))
    gate.triggered(*part(3))
    gate.judged(result(3))
    gate.take_back()
    gate.triggered(*part(4))
    assert gate.seen == AtGate(3, 0, 3)


def test_a_gate_that_could_not_work_is_refused() -> None:
    for text in ("parts=0", f"counts={2**31 + 1}", "parts=10001"):
        with pytest.raises(InputError, match="the distance to the reject gate is"):
            parse_gate(text)
    for text in ("", "parts", "parts=", "parts=x", "parts=-1", "counts=1.5", "12", "mm=3"):
        with pytest.raises(InputError, match="as in parts=12 or counts=4800"):
            parse_gate(text)


def registers(levels: Levels) -> dict[str, object]:
    seen = values_of(FROM_RUNTIME, levels.read(sees=False))
    return {name: seen[name] for name in ("gate_count", "gate_passes", "gate_history", "gate_part_id")}


def test_a_controller_sees_in_its_registers_what_the_gate_does() -> None:
    handshake = Handshake(60.0, at_once=8, gate=parse_gate("counts=100"))
    handshake.ready()
    levels = Levels(handshake)

    def scan(encoder: int, **values: object) -> None:
        levels.write(words_of(TO_RUNTIME, {"trigger_enable": True, "encoder": encoder, **values}))

    for at, number, outcome in ((10, 1, GOOD), (20, 2, BAD), (30, 3, None), (40, 4, GOOD)):
        scan(at, trigger=True, part_id=number)
        scan(at)
        if outcome is not None:
            handshake.finish(number, outcome)
    scan(45, trigger=True, part_id=5, mode=99)  # refused
    scan(109)
    assert registers(levels)["gate_count"] == 0
    scan(110)
    seen = {"gate_count": 1, "gate_passes": True, "gate_history": 1, "gate_part_id": 1}
    assert registers(levels) == seen
    scan(145)
    seen = {"gate_count": 5, "gate_passes": False, "gate_history": 0b10010, "gate_part_id": 0}
    assert registers(levels) == seen


def test_a_hold_takes_back_what_is_before_the_gate_but_no_forced_pass() -> None:
    handshake = Handshake(60.0, at_once=8, gate=RejectGate(2))
    handshake.ready()
    assert isinstance(handshake.trigger(Part(1)), Acquisition)
    handshake.finish(1, GOOD)
    handshake.set_mode(Mode.FORCED_OK)
    handshake.trigger(Part(2))
    handshake.hold(Cause.HELD, "the self-check is wrong")
    handshake.set_mode(Mode.RUN)
    for number in (3, 4):
        assert isinstance(handshake.trigger(Part(number)), Refusal)
    assert handshake.view().gate == AtGate(2, 0b01, 2)


def test_a_pass_that_nobody_took_in_time_is_none_at_the_gate() -> None:
    clock_s = [0.0]
    handshake = Handshake(1.0, at_once=8, clock=lambda: clock_s[0], gate=RejectGate(1))
    handshake.ready()
    handshake.trigger(Part(1))
    handshake.finish(1, GOOD)
    clock_s[0] = 1.5
    assert handshake.view().result is not None
    handshake.trigger(Part(2))
    assert handshake.view().gate == AtGate(1, 0, 1)


def test_triggers_are_refused_where_the_encoder_stands_still() -> None:
    handshake = Handshake(60.0, gate=parse_gate("counts=5"))
    handshake.ready()
    handshake.set_mode(Mode.BYPASS)
    for number in range(1, MOST_PARTS + 1):
        handshake.trigger(Part(number))
        handshake.forget()
    refusal = handshake.trigger(Part(7))
    assert isinstance(refusal, Refusal)
    assert "the encoder does not count" in refusal.reason
    handshake.move(0)
    handshake.move(5)
    assert handshake.view().gate == replace(AtGate(), count=MOST_PARTS, history=0xFFFF, part_id=MOST_PARTS)

"""The handshake over registers: four phases each way, whatever the pace of the controller's polling."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import InputError
from runtime.line.challenge import Challenge
from runtime.line.handshake import Handshake
from runtime.line.levels import Levels
from runtime.line.registers import FROM_RUNTIME, TO_RUNTIME, WORDS, Register, addresses, values_of, words_of
from runtime.line.results import Cause, Code, Mode, Outcome

GOOD = Outcome(Code.OK, Cause.NONE, "score 1.0 within 2.0", 1.0, 2.0)


class Controller:
    """A controller's program, one step a scan."""

    def __init__(self, levels: Levels) -> None:
        self.levels = levels
        self.out: dict[str, object] = {"trigger_enable": True}
        self.seen: dict[str, object] = {}

    def scan(self, **values: object) -> dict[str, object]:
        self.out |= values
        self.levels.write(words_of(TO_RUNTIME, self.out))
        self.seen = values_of(FROM_RUNTIME, self.levels.read())
        return self.seen


@pytest.fixture
def handshake() -> Handshake:
    handshake = Handshake(60.0, session_id=77)
    handshake.ready()
    return handshake


@pytest.fixture
def controller(handshake: Handshake) -> Controller:
    return Controller(Levels(handshake))


def test_a_part_in_four_phases_each_way(handshake: Handshake, controller: Controller) -> None:
    assert controller.scan()["trigger_ready"]
    seen = controller.scan(trigger=True, part_id=70_000, serial="A-17 ü", order="batch 3")
    assert seen["trigger_acknowledge"]
    assert not seen["missed_acquisition"]
    assert controller.scan()["acquisition_id"] == 1  # the level is still set: no second trigger
    assert not controller.scan(trigger=False)["trigger_acknowledge"]
    assert controller.seen["result_code"] == Code.NONE
    handshake.finish(1, GOOD)
    seen = controller.scan()
    assert (seen["results_valid"], seen["job_pass"], seen["result_code"]) == (True, True, Code.OK)
    assert (seen["result_part_id"], seen["result_serial"], seen["result_order"]) == (70_000, "A-17 ü", "batch 3")
    assert (seen["score"], seen["threshold"], seen["session_id"]) == (1.0, 2.0, 77)
    seen = controller.scan(results_acknowledge=True)
    assert (seen["results_valid"], seen["job_pass"], seen["result_code"]) == (False, False, Code.NONE)
    controller.scan(results_acknowledge=False)
    assert controller.seen["waiting"] == 0


def test_the_next_result_waits_until_the_acknowledgement_falls(handshake: Handshake, controller: Controller) -> None:
    for number in (1, 2):
        controller.scan(trigger=True, part_id=number)
        handshake.finish(number, GOOD)
        controller.scan(trigger=False)
    assert controller.seen["result_part_id"] == 1
    controller.scan(results_acknowledge=True)
    for _ in range(3):
        assert not controller.scan()["results_valid"]
    assert controller.scan(results_acknowledge=False)["result_part_id"] == 2


def test_an_acknowledgement_that_stood_before_the_result_takes_nothing(
    handshake: Handshake, controller: Controller
) -> None:
    controller.scan(trigger=True, results_acknowledge=True)
    handshake.finish(1, GOOD)
    assert not controller.scan()["results_valid"]
    assert controller.scan(results_acknowledge=False)["results_valid"]


@pytest.mark.parametrize("change", [{"mode": 99}, {"challenge": 3}, {"challenge": 9}, {"serial": b"\xff\xfe"}])
def test_what_cannot_be_read_is_a_refused_trigger(controller: Controller, change: dict[str, object]) -> None:
    numbers = {name: value for name, value in change.items() if name != "serial"}
    words = words_of(TO_RUNTIME, {"trigger_enable": True, "trigger": True, "part_id": 5, **numbers})
    if "serial" in change:
        words[addresses(TO_RUNTIME)["serial"]] = 0xFFFE
    controller.levels.write(words)
    seen = values_of(FROM_RUNTIME, controller.levels.read())
    assert (seen["missed_acquisition"], seen["missed_cause"]) == (True, Cause.BAD_INPUT)
    assert not seen["trigger_acknowledge"]
    assert seen["acquisition_id"] == 0


def test_a_trigger_that_stood_before_the_connection_is_refused_and_one_under_way_goes_on(handshake: Handshake) -> None:
    levels = Levels(handshake)
    standing = words_of(TO_RUNTIME, {"trigger_enable": True, "trigger": True, "part_id": 5})
    levels.begin(standing)
    levels.write(standing)
    seen = values_of(FROM_RUNTIME, levels.read())
    assert (seen["missed_acquisition"], seen["acquisition_id"]) == (True, 0)
    levels.write(words_of(TO_RUNTIME, {"trigger_enable": True}))
    levels.write(standing)
    levels.begin(standing)  # the connection was lost and is back
    seen = values_of(FROM_RUNTIME, levels.read())
    assert (seen["trigger_acknowledge"], seen["acquisition_id"], seen["missed"]) == (True, 1, 1)


def test_bypass_is_in_the_status_and_in_each_result(controller: Controller) -> None:
    seen = controller.scan(mode=Mode.BYPASS, trigger=True)
    assert (seen["bypass"], seen["job_pass"], seen["result_mode"]) == (True, True, Mode.BYPASS)
    assert math.isnan(float(str(seen["score"])))


@pytest.mark.parametrize(("given", "shown"), [(1e39, 3.4028234663852886e38), (-1e39, -3.4028234663852886e38)])
def test_a_number_beyond_what_a_register_holds_is_the_largest_that_it_holds(given: float, shown: float) -> None:
    assert values_of(FROM_RUNTIME, words_of(FROM_RUNTIME, {"threshold": given}))["threshold"] == shown


def test_challenge_parts_are_told_in_the_registers_and_said_to_be_due() -> None:
    handshake = Handshake(60.0, challenge=Challenge(good=0, bad=1))
    handshake.ready()
    controller = Controller(Levels(handshake))
    seen = controller.scan()
    assert (seen["challenge_due"], seen["trigger_ready"], seen["error"]) == (True, False, Cause.CHALLENGE)
    assert controller.scan(trigger=True)["missed_acquisition"]
    controller.scan(trigger=False)
    assert controller.scan(trigger=True, challenge=Code.NG)["trigger_acknowledge"]
    handshake.finish(1, Outcome(Code.NG, Cause.JUDGED, "score 3.0 above 2.0", 3.0, 2.0))
    seen = controller.scan(trigger=False)
    assert (seen["result_code"], seen["challenge_due"], seen["trigger_ready"]) == (Code.NG, False, True)


def test_a_controller_of_any_pace_gets_each_result_once(handshake: Handshake, controller: Controller) -> None:
    """Both sides act at random; a thousand parts."""
    rng = random.Random(3)
    results, sent, waiting_for = [], 0, 0
    while len(results) < 1_000:
        if rng.random() < 0.5 and (one := handshake.take(0.0)) is not None:
            waiting_for = one.acquisition_id
        if waiting_for and rng.random() < 0.3:
            handshake.finish(waiting_for, GOOD)
            waiting_for = 0
        seen, out = controller.seen, dict[str, object]()
        if seen.get("trigger_ready") and not controller.out.get("trigger") and not seen.get("trigger_acknowledge"):
            sent += 1
            out |= {"trigger": True, "part_id": sent}
        elif seen.get("trigger_acknowledge") or seen.get("missed_acquisition"):
            out["trigger"] = False
        if seen.get("results_valid") and not controller.out.get("results_acknowledge"):
            results.append(seen["result_part_id"])
            out["results_acknowledge"] = True
        elif not seen.get("results_valid"):
            out["results_acknowledge"] = False
        controller.scan(**out)
    assert results == list(range(1, 1_001))


def _some(each: Register) -> st.SearchStrategy[object]:
    if each.kind == "bit":
        return st.booleans()
    if each.kind == "text":
        return st.text("aZ09 üß€", max_size=10)
    if each.kind == "f32":
        return st.floats(width=32, allow_nan=False)
    return st.integers(0, 2 ** (16 * WORDS[each.kind]) - 1)


@pytest.mark.parametrize("table", [TO_RUNTIME, FROM_RUNTIME])
@given(data=st.data())
def test_words_are_the_values_again(table: tuple[Register, ...], data: st.DataObject) -> None:
    words_with_bits = {each.name for each in table if each.name in ("control", "status")}
    values = {each.name: data.draw(_some(each)) for each in table if each.name not in words_with_bits}
    found = values_of(table, words_of(table, values))
    assert {name: found[name] for name in values} == values


def test_a_wrong_number_of_registers_is_refused() -> None:
    with pytest.raises(InputError, match="expected"):
        values_of(TO_RUNTIME, [0])


def test_addresses_do_not_move() -> None:
    """A controller's program has them in it: a change here is another `MAP_VERSION`."""
    to, back = addresses(TO_RUNTIME), addresses(FROM_RUNTIME)
    assert [to[name] for name in ("control", "part_id", "mode", "challenge", "encoder", "serial", "order")] == [
        0, 1, 3, 4, 5, 7, 23,
    ]  # fmt: skip
    names = ("map_version", "status", "state", "error", "heartbeat", "session_id", "acquisition_id", "missed")
    assert [back[name] for name in names] == [0, 1, 2, 3, 4, 5, 7, 9]
    names = ("missed_part_id", "missed_cause", "too_late", "waiting", "result_code", "result_cause", "result_mode")
    assert [back[name] for name in names] == [11, 13, 14, 16, 17, 18, 19]
    names = ("inspection_id", "result_acquisition_id", "result_part_id", "score", "threshold", "took_ms")
    assert [back[name] for name in names] == [20, 22, 24, 26, 28, 30]
    assert [back[name] for name in ("result_serial", "result_order")] == [32, 48]

"""The handshake over registers: four phases each way, whatever the pace of the controller's polling."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import InputError
from runtime.line.challenge import Challenge
from runtime.line.gate import RejectGate
from runtime.line.handshake import Handshake
from runtime.line.levels import Levels
from runtime.line.registers import FROM_RUNTIME, TO_RUNTIME, WORDS, Register, addresses, values_of, words_of
from runtime.line.results import Cause, Code, Mode, Outcome, Part

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


def test_a_pass_behind_an_acknowledgement_that_stands_grows_old() -> None:
    now_s = [100.0]
    handshake = Handshake(1.0, clock=lambda: now_s[0])
    handshake.ready()
    controller = Controller(Levels(handshake))
    for number in (1, 2):
        controller.scan(trigger=True, part_id=number)
        handshake.finish(number, GOOD)
        controller.scan(trigger=False)
    for _ in range(2):
        assert not controller.scan(results_acknowledge=True)["results_valid"]
    now_s[0] += 1.5
    seen = controller.scan(results_acknowledge=False)
    assert (seen["result_part_id"], seen["job_pass"], seen["result_cause"]) == (2, False, Cause.LATE)


def test_a_pass_behind_an_acknowledgement_that_stands_is_none_where_the_line_was_paused(
    handshake: Handshake, controller: Controller
) -> None:
    for number in (1, 2):
        controller.scan(trigger=True, part_id=number)
        handshake.finish(number, GOOD)
        controller.scan(trigger=False)
    controller.scan(results_acknowledge=True)
    handshake.pause("Ada")
    seen = controller.scan(results_acknowledge=False)
    assert (seen["result_part_id"], seen["job_pass"], seen["result_cause"]) == (2, False, Cause.HELD)


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


def broken(change: dict[str, object], **values: object) -> list[int]:
    """The registers with a change that cannot be read: of a text, bytes that are none."""
    words = words_of(TO_RUNTIME, {"trigger_enable": True} | values)
    places = addresses(TO_RUNTIME)
    for name, value in change.items():
        words[places[name]] = value if isinstance(value, int) else 0xFFFE
    return words


UNREADABLE_FIELDS: list[dict[str, object]] = [
    {"mode": 99}, {"challenge": 9}, {"serial": b"\xff\xfe"}, {"order": b"\xff\xfe"}, {"recipe": b"\xff\xfe"},
]  # fmt: skip


@pytest.mark.parametrize("change", UNREADABLE_FIELDS)
def test_one_register_that_cannot_be_read_stops_neither_the_gate_nor_the_other_levels(
    change: dict[str, object],
) -> None:
    handshake = Handshake(60.0, gate=RejectGate(100, by_encoder=True))
    handshake.ready()
    levels = Levels(handshake)
    levels.write(words_of(TO_RUNTIME, {"trigger_enable": True}))
    levels.write(words_of(TO_RUNTIME, {"trigger_enable": True, "trigger": True, "part_id": 7}))
    handshake.finish(1, GOOD)
    assert values_of(FROM_RUNTIME, levels.read())["job_pass"]
    levels.write(broken(change, encoder=100, results_acknowledge=True, set_offline=True, trigger_enable=False))
    seen = values_of(FROM_RUNTIME, levels.read())
    assert (seen["gate_count"], seen["gate_part_id"], seen["gate_passes"]) == (1, 7, True)
    assert (seen["online"], seen["waiting"], seen["trigger_acknowledge"]) == (False, 0, False)
    assert handshake.trigger(Part(8)).cause is Cause.OFFLINE  # type: ignore[union-attr]
    levels.write(broken(change, encoder=100))
    seen = values_of(FROM_RUNTIME, levels.read())
    assert (seen["online"], seen["trigger_ready"]) == (True, True)


def test_the_part_behind_one_that_could_not_be_read_is_followed_to_the_gate_by_its_own_count() -> None:
    handshake = Handshake(60.0, gate=RejectGate(100, by_encoder=True))
    handshake.ready()
    levels = Levels(handshake)
    levels.write(words_of(TO_RUNTIME, {"trigger_enable": True, "encoder": 0}))
    levels.write(broken({"serial": b"\xff"}, trigger=True, part_id=1, encoder=60))  # refused at 60, at the gate at 160
    levels.write(words_of(TO_RUNTIME, {"trigger_enable": True, "encoder": 61}))
    levels.write(words_of(TO_RUNTIME, {"trigger_enable": True, "trigger": True, "part_id": 2, "encoder": 61}))
    handshake.finish(1, GOOD)
    for encoder, expected in ((159, (0, False)), (160, (1, False)), (161, (2, True))):
        levels.write(words_of(TO_RUNTIME, {"trigger_enable": True, "encoder": encoder}))
        seen = values_of(FROM_RUNTIME, levels.read())
        assert (seen["gate_count"], seen["gate_passes"]) == expected


def test_a_mode_that_is_none_changes_nothing_and_a_valid_one_counts_beside_other_damage(
    handshake: Handshake, controller: Controller
) -> None:
    controller.levels.write(broken({"challenge": 9}, mode=Mode.BYPASS))
    assert handshake.view().mode is Mode.BYPASS
    controller.levels.write(broken({"mode": 99}))
    assert handshake.view().mode is Mode.BYPASS


def test_a_recipe_whose_name_cannot_be_read_is_switched_to_once_it_can(
    handshake: Handshake, controller: Controller
) -> None:
    controller.levels.write(broken({"recipe": b"\xff"}, switch_recipe=True))
    assert handshake.asked_recipe is None
    assert not values_of(FROM_RUNTIME, controller.levels.read())["recipe_acknowledge"]
    controller.scan(switch_recipe=True, recipe="bottle")
    assert handshake.asked_recipe == "bottle"


def test_a_part_under_way_keeps_its_acknowledgement_when_its_registers_are_damaged_meanwhile(
    handshake: Handshake, controller: Controller
) -> None:
    controller.scan(trigger=True, part_id=5)
    controller.levels.write(broken({"serial": b"\xff"}, trigger=True, part_id=5))
    seen = values_of(FROM_RUNTIME, controller.levels.read())
    assert (seen["trigger_acknowledge"], seen["missed"]) == (True, 0)


def test_registers_of_another_number_are_a_refused_trigger(controller: Controller) -> None:
    controller.levels.write(words_of(TO_RUNTIME, {"trigger": True})[:-1])
    assert values_of(FROM_RUNTIME, controller.levels.read())["missed_acquisition"]


def test_a_trigger_that_stands_after_a_reconnection_for_another_part_is_refused(
    handshake: Handshake, controller: Controller
) -> None:
    controller.scan(trigger=True, part_id=5)
    handshake.finish(1, GOOD)
    other = words_of(TO_RUNTIME, {"trigger_enable": True, "trigger": True, "part_id": 6})
    for _ in range(2):  # once for each part, however often the connection breaks
        controller.levels.begin(other)
        seen = values_of(FROM_RUNTIME, controller.levels.read())
        assert (seen["trigger_acknowledge"], seen["missed_acquisition"], seen["missed"]) == (False, True, 1)
    assert handshake.view().accepted == 1


def test_another_recipe_that_is_asked_for_after_a_reconnection_is_not_acknowledged_by_the_one_before(
    handshake: Handshake, controller: Controller
) -> None:
    controller.scan(switch_recipe=True, recipe="bottle")
    handshake.set_recipe("bottle", 1, asked="bottle")
    standing = {"trigger_enable": True, "switch_recipe": True}
    controller.levels.begin(words_of(TO_RUNTIME, standing | {"recipe": "bottle"}))
    assert controller.scan()["recipe_acknowledge"]
    controller.levels.begin(words_of(TO_RUNTIME, standing | {"recipe": "tin"}))
    assert handshake.asked_recipe == "tin"
    assert not values_of(FROM_RUNTIME, controller.levels.read())["recipe_acknowledge"]


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

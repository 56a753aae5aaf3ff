"""Commands over the handshake: what is done, what is refused, and that nothing is done twice or late."""

import json
import time
from typing import Any

import pytest

from runtime.line.commander import REMEMBERED, Commander
from runtime.line.handshake import Handshake
from runtime.line.levels import Levels
from runtime.line.registers import FROM_RUNTIME, values_of
from runtime.line.reporter import Reporter
from runtime.line.results import Cause, Code, Mode, Outcome, Part, Result
from runtime.publishing.documents import Queued, Writer, now_ms
from runtime.publishing.place import Place

AGE_MS = 2_000.0
OK = Outcome(Code.OK, Cause.NONE, "score 1.0 within 2.0", 1.0, 2.0)


class Line:
    """A handshake that commands control, and what is published of it."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.handshake = Handshake(1.0, at_once=2, clock=lambda: self.now_s, session_id=7)
        self.handshake.ready()
        self.levels = Levels(self.handshake)
        self.sent: list[Queued] = []
        writer = Writer(Place("a", "b", "c"), self.handshake.session_id)
        reporter = Reporter(writer, self.sent.append)
        self.handshake.listen(reporter)
        self.commander = Commander(self.levels, writer, reporter, AGE_MS)
        self._count = 0

    def command(self, name: str, retained: bool = False, **values: Any) -> dict[str, Any] | None:
        self._count += 1
        document = {"command": name, "id": f"c-{self._count}", "sent_at_ms": now_ms()} | values
        answer = self.commander.answer(json.dumps(document).encode(), retained)
        if answer is not None:
            assert answer["id"] == document["id"]
        return answer

    def done(self, name: str, **values: Any) -> dict[str, Any]:
        answer = self.command(name, **values)
        assert answer is not None
        assert answer["done"], answer
        return answer

    def refused(self, name: str, **values: Any) -> tuple[str, str]:
        answer = self.command(name, **values)
        assert answer is not None
        assert not answer["done"], answer
        return answer["cause"], answer["reason"]

    def seen(self) -> dict[str, Any]:
        return values_of(FROM_RUNTIME, self.levels.read(sees=False))

    @property
    def verdicts(self) -> list[dict[str, Any]]:
        return [json.loads(each.body) for each in self.sent if each.topic == "verdict"]


def test_a_part_from_trigger_to_acknowledgement() -> None:
    line = Line()
    assert line.done("trigger", part_id=17, serial="A-17", order="ü")["acquisition_id"] == 1
    taken = line.handshake.take(0.0)
    assert taken is not None
    assert taken.part == Part(17, "A-17", "ü")
    assert line.handshake.finish(1, OK)
    (verdict,) = line.verdicts
    assert (verdict["part_id"], verdict["serial"], verdict["code"], verdict["id"]) == ("17", "A-17", "OK", "00000007-1")
    line.done("acknowledge", verdict=verdict["id"])
    assert line.handshake.view().waiting == 0
    assert line.refused("acknowledge", verdict=verdict["id"])[1].endswith("cannot be acknowledged: none waits")
    assert line.done("trigger", part_id=18)["acquisition_id"] == 2


def test_a_trigger_that_is_refused_says_why() -> None:
    line = Line()
    for number in (1, 2):
        line.done("trigger", part_id=number)
    assert line.refused("trigger", part_id=3) == ("OVERRUN", "2 parts are under way, 2 can be")
    line.done("set_offline", offline=True)
    assert line.refused("trigger", part_id=4) == ("OFFLINE", "set offline")
    assert line.seen()["missed_part_id"] == 4
    line.done("set_offline", offline=False)
    line.handshake.hold(Cause.HELD, "paused")
    assert line.refused("trigger", part_id=5) == ("HELD", "paused")
    events = [json.loads(each.body) for each in line.sent]
    assert [each["part_id"] for each in events if each["kind"] == "refusal"] == ["3", "4", "5"]


def test_mode_and_offline_stay_for_the_triggers_that_follow() -> None:
    line = Line()
    line.done("mode", mode="BYPASS")
    line.done("trigger", part_id=1)
    assert [(each["mode"], each["code"]) for each in line.verdicts] == [("BYPASS", "OK")]
    line.done("acknowledge", verdict=line.verdicts[0]["id"])
    line.done("trigger", part_id=2)
    assert line.verdicts[-1]["mode"] == "BYPASS"
    assert line.handshake.view().mode is Mode.BYPASS


def test_a_challenge_part_is_one() -> None:
    line = Line()
    line.done("trigger", part_id=1, challenge="NG")
    taken = line.handshake.take(0.0)
    assert taken is not None
    assert taken.part.challenge is Code.NG
    line.handshake.finish(1, Outcome(Code.NG, Cause.JUDGED, "", 3.0, 2.0))
    line.done("trigger", part_id=2)
    taken = line.handshake.take(0.0)
    assert taken is not None
    assert taken.part == Part(2)  # nothing of the part before


@pytest.mark.parametrize("name", ["trigger", "acknowledge", "set_offline", "mode", "switch_recipe"])
def test_old_retained_and_future_commands_are_not_done(name: str) -> None:
    line = Line()
    values = {
        "trigger": {"part_id": 1}, "acknowledge": {"verdict": "00000007-1"}, "set_offline": {"offline": True},
        "mode": {"mode": "BYPASS"}, "switch_recipe": {"recipe": "bottle"},
    }[name]  # fmt: skip
    before = line.seen()
    assert "was retained by the broker" in line.refused(name, retained=True, **values)[1]
    assert "ms old, 2000 ms are allowed" in line.refused(name, sent_at_ms=now_ms() - 2_500, **values)[1]
    assert "ms from the future" in line.refused(name, sent_at_ms=now_ms() + 2_500, **values)[1]
    assert line.seen() == before
    assert not line.sent


def test_a_command_that_comes_twice_is_done_once() -> None:
    line = Line()
    data = json.dumps({"command": "trigger", "id": "x", "sent_at_ms": now_ms(), "part_id": 1}).encode()
    first = line.commander.answer(data, False)
    assert first is not None
    assert line.commander.answer(data, False) == first
    assert line.handshake.view().accepted == 1
    answer = line.commander.answer(data.replace(b'"part_id": 1', b'"part_id": 2'), False)
    assert answer is not None
    assert "was another command's" in answer["reason"]
    assert line.handshake.view().accepted == 1
    for _ in range(REMEMBERED):
        line.done("set_offline", offline=False)
    assert len(line.commander._answers) == REMEMBERED


def test_what_is_no_command_has_an_answer() -> None:
    line = Line()
    for data, id, name, said in [
        (b"\xff", None, None, "no JSON"),
        (b'{"command":"trigger","id":"x"}', "x", "trigger", "no sent_at_ms"),
        (b'{"command":"dance","id":"x"}', "x", None, "'dance'"),
    ]:
        answer = line.commander.answer(data, False)
        assert answer is not None
        assert (answer["id"], answer["command"], answer["done"], answer["cause"]) == (id, name, False, "BAD_INPUT")
        assert said in answer["reason"]


def test_a_pass_that_is_taken_back_cannot_be_acknowledged_as_one() -> None:
    line = Line()
    line.done("trigger", part_id=1)
    line.handshake.finish(1, OK)
    line.now_s += 2.0  # nobody took it within its deadline
    assert line.refused("acknowledge", verdict="00000007-1")[1].endswith("the oldest that waits is 00000007-1.1")
    first, second = line.verdicts
    assert (first["code"], second["code"], second["cause"]) == ("OK", "NO_DECISION", "LATE")
    assert (second["id"], second["replaces"]) == ("00000007-1.1", "00000007-1")
    line.done("acknowledge", verdict=second["id"])


def test_a_recipe_is_answered_when_it_is_in_force_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line()
    assert line.command("switch_recipe", recipe="bottle@3") is None
    assert line.handshake.asked_recipe == "bottle@3"
    assert line.commander.late_answers() == []
    assert "is under way" in line.refused("switch_recipe", recipe="cap")[1]
    assert line.refused("trigger", part_id=1)[0] == "NOT_READY"
    line.handshake.set_recipe("bottle", 3, asked="bottle@3")
    (answer,) = line.commander.late_answers()
    assert (answer["id"], answer["done"]) == ("c-1", True)
    assert line.commander.late_answers() == []
    assert line.command("switch_recipe", recipe="none") is None
    line.handshake.refuse_recipe("none", "there is no recipe none")
    (answer,) = line.commander.late_answers()
    assert (answer["done"], answer["reason"]) == (False, "the recipe is refused: there is no recipe none")
    monkeypatch.setattr("runtime.line.commander.SWITCH_S", 0.0)
    assert line.command("switch_recipe", recipe="never") is None
    time.sleep(0.01)
    (answer,) = line.commander.late_answers()
    assert "was not in force within" in answer["reason"]


def test_parts_of_a_dry_run_make_nobody_forget_a_result_that_waits() -> None:
    """It may be taken back, which is its next revision."""
    sent = list[Queued]()
    writer = Writer(Place("a", "b", "c"), 1)
    reporter = Reporter(writer, sent.append)
    reporter.given(Result(1, 1, Part(1), Code.OK, Cause.NONE, "", Mode.RUN, 0.0, 0.0))
    for number in range(2, 40):
        reporter.given(Result(number, number, Part(1), Code.OK, Cause.NONE, "", Mode.DRY_RUN, 0.0, 0.0))
    reporter.given(Result(1, 1, Part(1), Code.NO_DECISION, Cause.LATE, "", Mode.RUN, 0.0, 0.0))
    assert (sent[0].id, sent[-1].id) == (writer.verdict_id(1, 0), writer.verdict_id(1, 1))


def test_revisions_of_old_results_are_forgotten() -> None:
    sent = list[Queued]()
    reporter = Reporter(Writer(Place("a", "b", "c"), 1), sent.append)
    for number in range(1, 101):
        reporter.given(Result(number, number, Part(1), Code.OK, Cause.NONE, "", Mode.RUN, 0.0, 0.0))
    assert len(reporter._revisions) == 16
    assert len({each.id for each in sent}) == 100

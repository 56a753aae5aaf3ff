"""The handshake, against a model of it: whatever happens in whatever order, the rules of its docstring hold."""

import threading
import time

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from runtime.errors import InputError
from runtime.line.challenge import Challenge, challenge_of
from runtime.line.handshake import BUFFER, Acquisition, Handshake, Refusal, State
from runtime.line.results import UNINSPECTED, Cause, Code, Mode, Outcome, Part, Result

DEADLINE_S = 1.0
GOOD = Outcome(Code.OK, Cause.NONE, "score 1.0 within 2.0", 1.0, 2.0)
BAD = Outcome(Code.NG, Cause.JUDGED, "score 3.0 above 2.0", 3.0, 2.0)


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def begun(at_once: int = 1) -> tuple[Handshake, Clock]:
    clock = Clock()
    handshake = Handshake(DEADLINE_S, at_once, clock, session_id=7)
    handshake.ready()
    return handshake, clock


def accepted(handshake: Handshake, part_id: int = 1) -> Acquisition:
    answer = handshake.trigger(Part(part_id))
    assert isinstance(answer, Acquisition)
    return answer


def refused(handshake: Handshake, part: Part | None = None) -> Refusal:
    answer = handshake.trigger(part or Part(1))
    assert isinstance(answer, Refusal)
    return answer


@pytest.mark.parametrize("stops", ["hold", "pause"])
@pytest.mark.parametrize("mode", [Mode.RUN, Mode.BYPASS])
def test_a_pass_that_nobody_saw_is_none_any_more_however_short_a_hold_or_pause(stops: str, mode: Mode) -> None:
    handshake, _ = begun(2)
    told: list[Code] = []

    class Told:
        def given(self, result: Result) -> None:
            told.append(result.code)

        def missed(self, refusal: Refusal) -> None:
            raise AssertionError(refusal)

    handshake.listen(Told())
    handshake.set_mode(mode)
    for number in (1, 2):
        handshake.finish(accepted(handshake, number).acquisition_id, GOOD)
    seen = handshake.view().result
    assert seen is not None
    if stops == "hold":
        handshake.hold(Cause.HELD, "a wrong verdict")
        handshake.release()
    else:
        handshake.pause("erna")
        handshake.resume()
    assert handshake.view().result == seen  # what was shown stays
    handshake.acknowledge(seen.inspection_id)
    result = handshake.view().result
    assert result is not None
    stays = stops == "hold" and mode is Mode.BYPASS
    assert result.code is (Code.OK if stays else Code.NO_DECISION)
    assert told == [Code.OK, Code.OK, *([] if stays else [Code.NO_DECISION])]


class AnyLine(RuleBasedStateMachine):
    """A controller, a camera, a detector and a clock that do what they like."""

    @initialize(at_once=st.integers(1, BUFFER))
    def begin(self, at_once: int) -> None:
        self.handshake, self.clock = begun(at_once)
        self.at_once = at_once
        self.accepted: dict[int, tuple[Acquisition, float]] = {}  # with the time
        self.answered: dict[int, Result] = {}  # by acquisition, as the controller saw it first
        self.seen_at_s: dict[int, float] = {}
        self.inspections: list[int] = []
        self.forgotten: set[int] = set()  # acquisitions of controllers that are gone
        self.parts = 0

    @rule(
        serial=st.sampled_from(["", "A-17", "ü" * 16, "x" * 33]),
        part_id=st.sampled_from([None, 0, 2**32 - 1, -1, 2**32]),
    )
    def trigger(self, serial: str, part_id: int | None) -> None:
        self.parts += 1
        part = Part(self.parts if part_id is None else part_id, serial)
        view = self.handshake.view()
        self._see(view.result)
        answer = self.handshake.trigger(part)
        if part.problem is not None:
            assert isinstance(answer, Refusal)
            assert answer.cause is Cause.BAD_INPUT
        else:
            assert isinstance(answer, Acquisition) == view.trigger_ready
        if isinstance(answer, Acquisition):
            assert answer.acquisition_id == len(self.accepted) + 1
            self.accepted[answer.acquisition_id] = answer, self.clock.now_s

    @rule()
    def take(self) -> None:
        one = self.handshake.take(0.0)
        if one is not None:
            assert self.clock.now_s <= one.deadline_s
            self.handshake.acquired(one.acquisition_id)

    @precondition(lambda self: self.accepted)
    @rule(data=st.data(), outcome=st.sampled_from([GOOD, BAD]))
    def finish(self, data: st.DataObject, outcome: Outcome) -> None:
        number = data.draw(st.sampled_from(sorted(self.accepted)))
        self.handshake.finish(number, outcome)

    @rule(number=st.integers(-3, 100))
    def finish_what_never_was(self, number: int) -> None:
        if number not in self.accepted:
            assert self.handshake.finish(number, GOOD) is None

    @rule(seconds=st.sampled_from([0.01, 0.4, 1.1]))
    def wait(self, seconds: float) -> None:
        self.clock.now_s += seconds

    @rule()
    def look(self) -> None:
        view = self.handshake.view()
        self._see(view.result)
        assert view.waiting <= BUFFER
        assert view.accepted == len(self.accepted)

    @rule(number=st.integers(0, 30))
    def acknowledge_any(self, number: int) -> None:
        before = self.handshake.view().result
        done = self.handshake.acknowledge(number)
        self._see(before)
        assert done == (before is not None and before.inspection_id == number)

    @rule(number=st.integers(0, 30))
    def acknowledge_unseen(self, number: int) -> None:
        if self.handshake.acknowledge(number):
            assert number in self.inspections

    @rule()
    def acknowledge(self) -> None:
        if (result := self.handshake.view().result) is not None:
            self._see(result)
            assert self.handshake.acknowledge(result.inspection_id)
            assert not self.handshake.acknowledge(result.inspection_id)

    @rule(held=st.booleans())
    def hold(self, held: bool) -> None:
        if held:
            self.handshake.hold(Cause.HELD, "a self-test failed")
        else:
            self.handshake.release()

    @rule(paused=st.booleans())
    def pause(self, paused: bool) -> None:
        if paused:
            self.handshake.pause("otto")
        else:
            self.handshake.resume()

    @rule(ready=st.booleans())
    def become_ready(self, ready: bool) -> None:
        if ready:
            self.handshake.ready()
        else:
            self.handshake.not_ready(Cause.CAMERA, "the camera is gone")

    @rule(enabled=st.booleans(), offline=st.booleans())
    def switch(self, enabled: bool, offline: bool) -> None:
        self.handshake.enable(enabled)
        self.handshake.set_offline(offline)

    @rule(mode=st.sampled_from([Mode.RUN, Mode.RUN, *UNINSPECTED]))
    def set_mode(self, mode: Mode) -> None:
        self.handshake.set_mode(mode)

    @rule()
    def forget(self) -> None:
        """Another controller comes: it sees nothing of the one before."""
        open_before = set(self.accepted) - set(self.answered) - self.forgotten
        parts = self.handshake.forget()
        assert len(parts) >= len(open_before)
        self.forgotten |= set(self.accepted)
        view = self.handshake.view()
        assert (view.waiting, view.result, view.missed_acquisition) == (0, None, False)
        assert not view.acquiring
        assert not view.inspecting
        assert self.handshake.take(0.0) is None

    @rule()
    def stop(self) -> None:
        self.handshake.stop()

    @rule()
    def beat(self) -> None:
        self.handshake.beat()

    def _see(self, result: Result | None) -> None:
        if result is None:
            return
        number = result.acquisition_id
        assert number not in self.forgotten
        acquisition, triggered_s = self.accepted[number]
        assert result.part == acquisition.part
        if number in self.answered:
            assert result == self.answered[number]
            return
        assert all(result.inspection_id > earlier for earlier in self.inspections)
        self.inspections.append(result.inspection_id)
        self.answered[number] = result
        if result.passes:
            assert self.clock.now_s <= triggered_s + DEADLINE_S
            assert self.handshake.paused_by is None
        if result.mode in UNINSPECTED and result.passes:
            assert result.code is UNINSPECTED[result.mode][0]

    def teardown(self) -> None:
        """Everything accepted has its one result in the end, but what is of a controller that is gone."""
        if not hasattr(self, "handshake"):
            return
        self.clock.now_s += 2 * DEADLINE_S
        while (result := self.handshake.view().result) is not None:
            self._see(result)
            assert self.handshake.acknowledge(result.inspection_id)
        assert set(self.accepted) - self.forgotten <= set(self.answered)
        assert len(self.inspections) == len(set(self.inspections)) == len(self.answered)


TestAnyLine = AnyLine.TestCase
TestAnyLine.settings = settings(max_examples=150, stateful_step_count=40)


def test_a_part_goes_from_trigger_to_acknowledged_result() -> None:
    handshake, clock = begun()
    assert handshake.view().state is State.READY
    one = accepted(handshake, 17)
    assert handshake.view().state is State.ACQUIRING
    assert handshake.take(0.0) == one
    handshake.acquired(one.acquisition_id)
    assert handshake.view().state is State.INSPECTING
    clock.now_s += 0.25
    handshake.finish(one.acquisition_id, GOOD)
    view = handshake.view()
    assert view.state is State.RESULT
    assert view.result is not None
    assert (view.result.code, view.result.part.part_id) == (Code.OK, 17)
    assert view.result.took_ms == pytest.approx(250)
    assert handshake.acknowledge(view.result.inspection_id)
    assert handshake.view().state is State.READY
    assert handshake.view().result is None


def test_a_pass_that_nobody_takes_in_time_becomes_a_reject_and_one_that_was_seen_stays() -> None:
    handshake, clock = begun(at_once=2)
    seen, unseen = accepted(handshake, 1), accepted(handshake, 2)
    handshake.finish(seen.acquisition_id, GOOD)
    handshake.finish(unseen.acquisition_id, GOOD)
    first = handshake.view().result
    clock.now_s += 1.5
    assert handshake.view().result == first
    assert first is not None
    assert first.passes
    assert handshake.acknowledge(first.inspection_id)
    second = handshake.view().result
    assert second is not None
    assert (second.code, second.cause) == (Code.NO_DECISION, Cause.LATE)


def test_a_late_answer_is_dropped_and_counted() -> None:
    handshake, clock = begun()
    one = accepted(handshake)
    clock.now_s += 1.01
    assert handshake.finish(one.acquisition_id, GOOD) is None
    view = handshake.view()
    assert view.too_late == 1
    assert view.result is not None
    assert (view.result.code, view.result.cause) == (Code.NO_DECISION, Cause.LATE)


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (lambda handshake: handshake.set_offline(True), Cause.OFFLINE),
        (lambda handshake: handshake.enable(False), Cause.DISABLED),
        (lambda handshake: handshake.hold(Cause.HELD, "paused"), Cause.HELD),
        (lambda handshake: handshake.not_ready(Cause.CAMERA, "gone"), Cause.CAMERA),
        (lambda handshake: handshake.trigger(Part(9)), Cause.OVERRUN),
        (lambda handshake: handshake.stop(), Cause.STOPPED),
    ],
)
def test_a_trigger_that_cannot_be_taken_is_refused_with_its_cause(make, cause: Cause) -> None:  # type: ignore[no-untyped-def]
    handshake, _ = begun()
    make(handshake)
    assert refused(handshake, Part(23)).cause is cause
    view = handshake.view()
    assert view.missed_acquisition
    assert (view.missed, view.missed_part_id) == (1, 23)


def test_results_that_nobody_acknowledges_refuse_the_ninth_trigger_and_none_is_lost() -> None:
    handshake, _ = begun()
    for number in range(BUFFER):
        handshake.finish(accepted(handshake, number).acquisition_id, BAD)
    assert refused(handshake).cause is Cause.UNACKNOWLEDGED
    assert handshake.view().buffer_overrun
    for number in range(BUFFER):
        result = handshake.view().result
        assert result is not None
        assert result.part.part_id == number
        assert handshake.acknowledge(result.inspection_id)
    accepted(handshake)
    assert not handshake.view().buffer_overrun


def test_a_held_line_passes_nothing_and_its_heart_stands_still() -> None:
    handshake, _ = begun()
    one = accepted(handshake)
    handshake.beat()
    beats = handshake.view().heartbeat
    handshake.hold(Cause.HELD, "the self-test was wrong")
    handshake.beat()
    assert handshake.view().heartbeat == beats
    handshake.finish(one.acquisition_id, GOOD)
    result = handshake.view().result
    assert result is not None
    assert (result.code, result.cause) == (Code.NO_DECISION, Cause.HELD)
    handshake.release()
    handshake.beat()
    assert handshake.view().heartbeat == beats + 1


def test_a_paused_line_refuses_triggers_and_passes_nothing_in_any_mode_and_its_heart_beats() -> None:
    handshake, _ = begun(at_once=2)
    under_way, unseen = accepted(handshake, 1), accepted(handshake, 2)
    handshake.finish(unseen.acquisition_id, GOOD)
    handshake.pause("otto")
    handshake.finish(under_way.acquisition_id, GOOD)
    for _ in range(2):
        result = handshake.view().result
        assert result is not None
        assert (result.code, result.cause) == (Code.NO_DECISION, Cause.HELD)
        assert result.reason == "the line is held: paused by otto"
        assert handshake.acknowledge(result.inspection_id)
    for mode in Mode:
        handshake.set_mode(mode)
        found = refused(handshake)
        assert (found.cause, found.reason) == (Cause.HELD, "paused by otto")
    view = handshake.view()
    assert (view.state, view.trigger_ready, view.error, view.error_text) == (
        State.NOT_READY, False, Cause.HELD, "paused by otto",
    )  # fmt: skip
    beats = view.heartbeat
    handshake.beat()
    assert handshake.view().heartbeat == beats + 1  # a watchdog that ended the line would end the pause, too
    handshake.set_mode(Mode.RUN)
    handshake.resume()
    accepted(handshake)


def test_a_pause_ends_no_hold_and_a_release_no_pause() -> None:
    handshake, _ = begun()
    handshake.hold(Cause.HELD, "the self-test was wrong")
    handshake.pause("otto")
    handshake.release()
    assert refused(handshake).reason == "paused by otto"
    handshake.hold(Cause.HELD, "the self-test was wrong")
    handshake.resume()
    assert refused(handshake).reason == "the self-test was wrong"
    handshake.not_ready(Cause.CAMERA, "gone")
    handshake.pause("otto")
    handshake.resume()
    assert refused(handshake).cause is Cause.CAMERA


def test_forced_results_and_bypass_need_neither_camera_nor_detector_and_say_so() -> None:
    handshake, _ = begun()
    handshake.not_ready(Cause.CAMERA, "gone")
    for mode, (code, reason) in UNINSPECTED.items():
        handshake.set_mode(mode)
        accepted(handshake)
        assert handshake.take(0.0) is None
        result = handshake.view().result
        assert result is not None
        assert (result.code, result.mode, result.reason) == (code, mode, reason)
        assert handshake.acknowledge(result.inspection_id)


def test_a_dry_run_gives_the_controller_nothing() -> None:
    handshake, _ = begun()
    handshake.set_mode(Mode.DRY_RUN)
    one = accepted(handshake)
    recorded = handshake.finish(one.acquisition_id, GOOD)
    assert recorded is not None
    assert (recorded.code, recorded.mode) == (Code.OK, Mode.DRY_RUN)
    assert handshake.view().result is None


def test_a_look_that_does_not_see_the_result_leaves_a_pass_to_grow_old() -> None:
    handshake, clock = begun()
    handshake.finish(accepted(handshake).acquisition_id, GOOD)
    assert handshake.view(sees=False).result is None
    clock.now_s += 2
    result = handshake.view().result
    assert result is not None
    assert (result.code, result.cause) == (Code.NO_DECISION, Cause.LATE)


def test_sessions_differ_and_zero_is_none() -> None:
    sessions = {Handshake(1.0).session_id for _ in range(50)}
    assert len(sessions) == 50
    assert 0 not in sessions


@pytest.mark.parametrize(("deadline_s", "at_once"), [(0.0, 1), (float("nan"), 1), (1.0, 0), (1.0, BUFFER + 1)])
def test_a_handshake_that_could_not_work_is_refused(deadline_s: float, at_once: int) -> None:
    with pytest.raises(InputError):
        Handshake(deadline_s, at_once)


def test_a_result_that_nobody_saw_cannot_be_acknowledged() -> None:
    handshake, _ = begun()
    handshake.finish(accepted(handshake).acquisition_id, GOOD)
    assert not handshake.acknowledge(1)
    assert handshake.view().result is not None
    assert handshake.acknowledge(1)


def test_what_is_said_of_a_forgotten_part_reaches_nobody_and_is_not_late() -> None:
    handshake, _ = begun(at_once=2)
    handshake.finish(accepted(handshake, 5).acquisition_id, GOOD)
    under_way = accepted(handshake, 6)
    refused(handshake, Part(-1))
    assert [part.part_id for part in handshake.forget()] == [5, 6]
    assert handshake.finish(under_way.acquisition_id, GOOD) is None
    view = handshake.view()
    assert (view.too_late, view.result, view.missed_acquisition, view.missed) == (0, None, False, 1)
    assert accepted(handshake).acquisition_id == 3


def test_whoever_waits_for_a_result_of_a_controller_that_is_gone_waits_no_longer() -> None:
    handshake = Handshake(60.0)
    handshake.ready()
    accepted(handshake)
    timer = threading.Timer(0.05, handshake.forget)
    timer.start()
    begun_s = time.monotonic()
    assert handshake.wait_for_result(60.0) is None
    assert time.monotonic() - begun_s < 30
    timer.join()


def test_a_result_is_waited_for_no_longer_than_to_the_deadline_of_a_trigger_that_came_meanwhile() -> None:
    handshake = Handshake(0.2)
    handshake.ready()
    timer = threading.Timer(0.05, lambda: handshake.trigger(Part(1)))
    timer.start()
    begun_s = time.monotonic()
    result = handshake.wait_for_result(60.0)
    assert result is not None
    assert result.cause is Cause.LATE
    assert time.monotonic() - begun_s < 30
    timer.join()


def test_a_line_is_drained_when_its_results_are_acknowledged() -> None:
    handshake = Handshake(60.0)
    handshake.ready()
    one = accepted(handshake)
    assert not handshake.drain(0.05)
    assert refused(handshake).cause is Cause.STOPPED
    handshake.finish(one.acquisition_id, GOOD)
    assert not handshake.drain(0.05)
    assert handshake.wait_for_result(0.0) is not None
    assert handshake.acknowledge(1)
    assert handshake.drain(0.0)


def test_a_pass_that_nobody_saw_before_the_line_was_held_becomes_a_reject() -> None:
    handshake, _ = begun(at_once=2)
    for number in (1, 2):
        handshake.finish(accepted(handshake, number).acquisition_id, GOOD)
    seen = handshake.view().result
    handshake.hold(Cause.HELD, "the self-check was wrong")
    assert handshake.view().result == seen
    assert handshake.acknowledge(1)
    unseen = handshake.view().result
    assert unseen is not None
    assert (unseen.code, unseen.cause) == (Code.NO_DECISION, Cause.HELD)


def challenged() -> Handshake:
    handshake = Handshake(DEADLINE_S, clock=Clock(), challenge=Challenge(good=1, bad=2))
    handshake.ready()
    return handshake


def judge(handshake: Handshake, known: Code, outcome: Outcome) -> Result:
    """A challenge part through the handshake."""
    answer = handshake.trigger(Part(5, challenge=known))
    assert isinstance(answer, Acquisition)
    handshake.finish(answer.acquisition_id, outcome)
    result = handshake.view().result
    assert result is not None
    assert handshake.acknowledge(result.inspection_id)
    return result


def test_challenge_parts_come_first_and_only_they_are_inspected_until_then() -> None:
    handshake = challenged()
    assert handshake.view().challenge_due
    assert refused(handshake).cause is Cause.CHALLENGE
    assert judge(handshake, Code.NG, BAD).code is Code.NG
    assert judge(handshake, Code.OK, GOOD).code is Code.OK
    assert refused(handshake).cause is Cause.CHALLENGE
    assert judge(handshake, Code.NG, BAD).code is Code.NG
    assert not handshake.view().challenge_due
    accepted(handshake)


def test_a_known_bad_part_never_passes_and_begins_them_anew() -> None:
    handshake = challenged()
    judge(handshake, Code.NG, BAD)
    judge(handshake, Code.OK, GOOD)
    result = judge(handshake, Code.NG, GOOD)
    assert (result.code, result.cause) == (Code.NO_DECISION, Cause.CHALLENGE)
    assert "known bad part was judged OK" in result.reason
    for known, outcome in ((Code.NG, BAD), (Code.OK, GOOD)):
        judge(handshake, known, outcome)
        assert refused(handshake).cause is Cause.CHALLENGE
    judge(handshake, Code.NG, BAD)
    accepted(handshake)


@pytest.mark.parametrize(("known", "outcome"), [(Code.OK, BAD), (Code.NG, GOOD)])
def test_a_wrong_verdict_holds_a_line_that_asks_for_no_challenge_parts(known: Code, outcome: Outcome) -> None:
    handshake, _ = begun()
    judge(handshake, known, outcome)
    assert refused(handshake).cause is Cause.CHALLENGE
    judge(handshake, known, GOOD if known is Code.OK else BAD)
    accepted(handshake)


def test_a_late_challenge_part_begins_them_anew() -> None:
    clock = Clock()
    handshake = Handshake(DEADLINE_S, clock=clock, challenge=Challenge(good=0, bad=2))
    handshake.ready()
    judge(handshake, Code.NG, BAD)
    answer = handshake.trigger(Part(5, challenge=Code.NG))
    assert isinstance(answer, Acquisition)
    clock.now_s += 2
    assert handshake.finish(answer.acquisition_id, GOOD) is None  # late, and wrong
    late = handshake.view().result
    assert late is not None
    assert late.cause is Cause.LATE
    assert handshake.acknowledge(late.inspection_id)
    judge(handshake, Code.NG, BAD)
    assert handshake.view().challenge_due
    judge(handshake, Code.NG, BAD)
    assert not handshake.view().challenge_due


def test_a_late_challenge_part_counts_for_nothing() -> None:
    clock = Clock()
    handshake = Handshake(DEADLINE_S, clock=clock, challenge=Challenge(good=0, bad=1))
    handshake.ready()
    answer = handshake.trigger(Part(5, challenge=Code.NG))
    assert isinstance(answer, Acquisition)
    clock.now_s += 2
    assert handshake.finish(answer.acquisition_id, BAD) is None
    assert handshake.view().challenge_due


def test_challenge_parts_are_due_again_when_somebody_asks() -> None:
    handshake = challenged()
    for known, outcome in ((Code.NG, BAD), (Code.NG, BAD), (Code.OK, GOOD)):
        judge(handshake, known, outcome)
    accepted(handshake)
    handshake.begin_challenge("a shift begins")
    assert refused(handshake).cause is Cause.CHALLENGE


@pytest.mark.parametrize("text", ["", "good=1", "bad=1,good=1", "good=0,bad=0", "good=-1,bad=1", "good=1,bad=101"])
def test_challenge_parts_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(InputError):
        challenge_of(text)

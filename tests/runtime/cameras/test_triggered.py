"""Triggered sources: one result a trigger and never another part's picture, over a simulated camera and a pipeline."""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from runtime_samples import fake_detector, grey_frame
from triggered_camera import Faults, SimulatedCamera, number_in, picture_of
from waiting import until

from runtime.cameras.capture import Shot, TriggeredCapture
from runtime.cameras.triggered import IGNORED_IN_A_ROW, TriggeredSource
from runtime.engines.fake import deviation_from_grey
from runtime.errors import SourceError, SourceTimeout
from runtime.frames import PROBLEMS, Frame
from runtime.pipeline import Pipeline
from runtime.summary import Summary
from runtime.verdict import Decision, Verdict

DEADLINE_S, PICTURE_S, SETTLE_S = 0.012, 0.008, 0.045
ONE_PERCENT = Faults(lost=0.01, delayed=0.01, doubled=0.01, damaged=0.005, ignored=0.01)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


class Run:
    """Triggers at random spacing through source, pipeline and a fake engine, and what came of each."""

    def __init__(self, camera: SimulatedCamera, triggers: int, mean_s: float = 0.0012, seed: int = 0) -> None:
        self.camera, self.triggers, self.mean_s, self.random = camera, triggers, mean_s, random.Random(seed)
        self.results: list[tuple[Frame, Verdict]] = []
        self.scored: list[int] = []  # what the engine was given
        self.source = TriggeredSource(
            "the camera",
            lambda: camera,
            "software",
            DEADLINE_S,
            frame_timeout_s=PICTURE_S,
            settle_s=SETTLE_S,
            first_backoff_s=0.01,  # on a slow machine ten triggers in a row may be given up
        )

    def through(self) -> Summary:
        pacer = threading.Thread(target=self._trigger)
        with self.source, fake_detector(self._maps) as detector:
            pipeline = Pipeline(self.source, detector, lambda frame, verdict: self.results.append((frame, verdict)))
            pacer.start()
            summary = pipeline.run()
            pacer.join()
        return summary

    def _trigger(self) -> None:
        for number in range(self.triggers):
            self.camera.next_number = number
            self.source.trigger(str(number))
            pause_s = self.random.expovariate(1 / self.mean_s)
            if pause_s > 1e-4:  # sleeping takes as long at least
                time.sleep(pause_s)
        self.source.finish()

    def _maps(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.scored.extend(number_in(frame) for frame in frames)
        return deviation_from_grey(frames)

    def check(self) -> Counter[str]:
        """Exactly one result a trigger, none with another part's picture, none without a reason. The reasons' kinds."""
        parts = Counter(frame.part_id for frame, _ in self.results)
        assert parts == Counter(map(str, range(self.triggers)))
        pictures = {str(frame.part_id): number_in(frame.image) for frame, _ in self.results if frame.problem is None}
        assert [part for part, number in pictures.items() if part != str(number)] == []
        assert {str(number) for number in self.scored} <= set(pictures)  # nothing stale was scored,
        assert len(self.scored) == len(set(self.scored))  # and nothing twice
        kinds: Counter[str] = Counter()
        for frame, verdict in self.results:
            assert frame.triggered_s is not None
            assert verdict.output_s is not None
            kind = verdict.reason.partition(":")[0] if verdict.decision is Decision.NO_DECISION else "judged"
            assert kind in ("judged", *PROBLEMS), verdict.reason
            assert kind != "judged" or verdict.output_s - frame.triggered_s < DEADLINE_S
            kinds[kind] += 1
        return kinds


def test_five_thousand_triggers_have_one_result_each_and_none_another_parts_picture() -> None:
    """Delays are beyond the deadline, into the time of a later trigger."""
    run = Run(SimulatedCamera(ONE_PERCENT, delay_s=(DEADLINE_S, 0.03)), 5_000, mean_s=0.0006)
    summary = run.through()
    kinds, seen = run.check(), run.camera.seen
    assert kinds["judged"] > 1000
    assert min(seen.values()) > 3
    facts = json.loads(summary.to_json())
    assert {kind: facts["triggered"][kind] for kind in PROBLEMS} == {kind: kinds[kind] for kind in PROBLEMS}
    assert (facts["frames"], facts["triggered"]["triggers"], facts["drops"]) == (5_000, 5_000, 0)
    assert abs(facts["lost"] - seen["lost"]) < 5  # one more picture would tell of those at the end
    assert sum(facts["triggered"]["unpaired"].values()) > 10


HEAVY = Faults(lost=0.05, delayed=0.08, doubled=0.1, damaged=0.02, ignored=0.05)


@pytest.mark.parametrize("faults", [ONE_PERCENT, HEAVY, Faults(delayed=0.2), Faults(ignored=0.1, doubled=0.2)])
@pytest.mark.parametrize("identities", ["counter", "stamp", "counter and stamp"])
def test_whatever_a_picture_tells_of_itself_no_part_gets_anothers(identities: str, faults: Faults) -> None:
    seed = len(identities)
    camera = SimulatedCamera(faults, identities, seed, delay_s=(PICTURE_S, 2 * PICTURE_S), latency_s=(0.0, 0.006))
    run = Run(camera, 200, mean_s=0.002, seed=seed)
    run.through()
    assert run.check()["judged"] > 0


def opener(*cameras: SimulatedCamera | Exception) -> Callable[[], TriggeredCapture]:
    """Opens each camera in turn, or fails."""
    steps = iter(cameras)

    def open_next() -> TriggeredCapture:
        step = next(steps, None)
        if isinstance(step, SimulatedCamera):
            return step
        raise step or SourceError("unplugged")

    return open_next


def source_of(*cameras: SimulatedCamera | Exception, mode: str = "software", **options: float) -> TriggeredSource:
    settings = {"frame_timeout_s": 2.0, "settle_s": 2.0, "first_backoff_s": 0.01, "heartbeat_s": 0.05} | options
    return TriggeredSource("the camera", opener(*cameras), mode, 5.0, **settings)


def next_frame(source: TriggeredSource) -> Frame:
    frame = source.read(10)
    assert frame is not None
    return frame


def triggered(source: TriggeredSource, camera: SimulatedCamera, number: int) -> Frame:
    camera.next_number = number
    source.trigger(str(number))
    return next_frame(source)


QUICK = {"frame_timeout_s": 0.5, "settle_s": 0.5}


def is_ready(source: TriggeredSource) -> bool:
    return source._away is None and not source._pairing.is_draining


def test_a_frame_carries_part_times_counter_and_time_stamp_into_the_json_of_its_verdict() -> None:
    camera = SimulatedCamera()
    with source_of(camera) as source, fake_detector() as detector:
        before_s = time.monotonic()
        frame = triggered(source, camera, 5)
        document = json.loads(detector.inspect(frame).to_json())
        assert source.pairs_by == "frame counter"
    assert before_s <= document["triggered_s"] <= document["captured_s"] <= document["decided_s"]
    assert abs(document["captured_at"] - time.time()) < 60
    assert (document["part_id"], document["counter"], document["camera_ns"]) == ("5", frame.counter, frame.camera_ns)
    assert frame.counter is not None
    assert frame.camera_ns is not None
    assert frame.deadline_s == pytest.approx(document["triggered_s"] + 5.0)
    with fake_detector() as detector:
        free = json.loads(detector.inspect(grey_frame()).to_json())
    assert not {"counter", "camera_ns", "triggered_s", "output_s"} & set(free)


def test_a_trigger_while_the_camera_or_the_engine_is_busy_is_an_overrun_of_that_part() -> None:
    camera = SimulatedCamera(latency_s=(0.05, 0.05))
    with source_of(camera) as source:
        for part in ("a", "b"):
            source.trigger(part)
        busy = next_frame(source)
        assert (busy.part_id, busy.problem) == ("b", "overrun: the camera still takes the picture of part a")
        until(lambda: bool(source._frames))
        source.trigger("c")
        frames = [next_frame(source), next_frame(source)]
        assert [frame.part_id for frame in frames] == ["a", "c"]
        assert frames[1].problem == "overrun: the picture of a part before still waits for the engine"
        source.trigger("d")
        assert (next_frame(source).part_id, camera.seen["taken"]) == ("d", 2)


def test_no_picture_and_half_a_picture_and_a_refused_trigger_are_rejects_with_their_reasons() -> None:
    with source_of(camera := SimulatedCamera(Faults(ignored=1.0)), frame_timeout_s=0.2) as source:
        assert triggered(source, camera, 1).problem == "missed: no picture came within 200 ms of the trigger"
    with source_of(camera := SimulatedCamera(Faults(damaged=1.0))) as source:
        half = triggered(source, camera, 1)
        reason = "incomplete: the camera sent a picture that is not whole (half of it is missing)"
        assert (half.problem, half.part_id, half.image.size) == (reason, "1", 0)
    with source_of(camera := SimulatedCamera(), frame_timeout_s=0.5) as source:
        assert triggered(source, camera, 0).problem is None  # shows its clock: the refusal itself may have been lost
        camera.refuses = True
        refused = "missed: the camera did not take the trigger (trigger not ready)"
        assert triggered(source, camera, 1).problem == refused
        camera.refuses = False
        time.sleep(0.3)  # until it would have exposed for the one that it refused
        assert triggered(source, camera, 2).problem is None


def test_another_size_is_a_problem_of_that_part() -> None:
    camera = SimulatedCamera()
    with source_of(camera) as source:
        assert triggered(source, camera, 0).problem is None
        camera.refuses = False
        source.trigger("x")
        assert next_frame(source).problem is None
        camera.ignores_all = True
        source.trigger("y")
        until(lambda: camera.seen["taken"] == 3)
        camera._counter += 1
        camera.send(Shot(np.zeros((4, 6, 3), np.uint8), time.monotonic(), time.time(), camera._counter))
        frame = next_frame(source)
        assert (frame.part_id, str(frame.problem)[:10]) == ("y", "wrong size")


def test_another_format_is_a_problem_of_that_part() -> None:
    camera = SimulatedCamera()
    with source_of(camera) as source:
        camera.ignores_all = True
        problems = list[str | None]()
        for number, sent_as in enumerate(("BGR8", "BGR8", "Mono8"), 1):
            source.trigger(str(number))
            until(lambda number=number: camera.seen["taken"] == number)  # type: ignore[misc]
            camera._counter += 1
            now_s, at = time.monotonic(), time.time()
            camera.send(Shot(picture_of(number), now_s, at, camera._counter, sent_as=sent_as))
            problems.append(next_frame(source).problem)
    assert problems == [None, None, "wrong format: the camera changed its format from BGR8 to Mono8"]


def test_a_picture_of_no_trigger_rejects_the_part_and_triggers_until_all_is_quiet() -> None:
    camera = SimulatedCamera()
    with source_of(camera, frame_timeout_s=0.5, settle_s=0.5) as source:
        camera.expose(77)
        until(lambda: source.unpaired == {"foreign": 1})
        left_alone = triggered(source, camera, 1)
        assert str(left_alone.problem).startswith("overrun: the camera is left alone")
        until(lambda: is_ready(source))
        assert number_in(triggered(source, camera, 2).image) == 2


def test_what_a_camera_sends_on_after_it_was_opened_again_is_no_parts_picture() -> None:
    first, second = SimulatedCamera(), SimulatedCamera(seed=1)
    with source_of(first, second, **QUICK) as source:
        first.die()
        second.expose(99)  # before it was lost
        until(lambda: source.unpaired == {"foreign": 1})
        assert str(triggered(source, second, 1).problem).startswith("overrun: the camera is left alone")
        until(lambda: is_ready(source))
        assert number_in(triggered(source, second, 2).image) == 2


@pytest.mark.parametrize("hangs", [False, True])
def test_a_dead_camera_is_opened_again_and_triggers_meanwhile_are_rejects(
    hangs: bool, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = SimulatedCamera(), SimulatedCamera(seed=1)
    with source_of(first, SourceError("not yet"), second, first_backoff_s=0.4, **QUICK) as source:
        assert triggered(source, first, 0).problem is None
        first.die(hangs)
        until(lambda: source._away is not None)
        reason = "it does not answer any more" if hangs else "the stream ended"
        away = triggered(source, first, 1)
        assert away.problem == f"missed: the camera is away ({reason})"
        until(lambda: source.reconnects == 1)
        until(lambda: is_ready(source))
        assert number_in(triggered(source, second, 2).image) == 2
    assert first.released
    assert second.released
    lost, back = (record.getMessage() for record in caplog.records)
    assert lost == f"the camera lost: {reason}; opening it again"
    assert back.startswith("the camera is back after ")
    assert back.endswith(" s, at attempt 2; reconnect 1")


class BrokenCamera(SimulatedCamera):
    """A camera whose driver raises what nobody expects, in the calls that are named."""

    def __init__(self, *calls: str) -> None:
        super().__init__()
        self.broken = set(calls)

    def _check(self, call: str) -> None:
        if call in self.broken:
            raise OSError(5, "Input/output error")

    def trigger(self) -> None:
        self._check("trigger")
        super().trigger()

    def wait(self, timeout_s: float) -> Shot | None:
        self._check("wait")
        return super().wait(timeout_s)

    def is_alive(self) -> bool:
        self._check("is_alive")
        return super().is_alive()

    def release(self) -> None:
        super().release()
        self._check("release")


UNEXPECTED = "OSError: [Errno 5] Input/output error"


@pytest.mark.parametrize("call", ["wait", "is_alive"])
def test_whatever_a_driver_raises_the_camera_is_lost_and_comes_back(
    call: str, caplog: pytest.LogCaptureFixture
) -> None:
    first, half_open, second = BrokenCamera(), BrokenCamera("is_alive", "release"), SimulatedCamera(seed=1)
    with source_of(first, OSError(24, "Too many open files"), half_open, second, **QUICK) as source:
        assert triggered(source, first, 0).problem is None
        first.broken = {call, "release"}
        until(lambda: source.reconnects == 1)
        until(lambda: is_ready(source))
        assert number_in(triggered(source, second, 2).image) == 2
    assert first.released
    assert half_open.released
    loss = next(record for record in caplog.records if "the camera lost" in record.getMessage())
    assert loss.getMessage() == f"the camera lost: {UNEXPECTED}; opening it again"
    assert loss.exc_info is not None


def test_a_trigger_that_raises_what_nobody_expects_is_a_refused_one(caplog: pytest.LogCaptureFixture) -> None:
    camera = BrokenCamera()
    with source_of(camera, **QUICK) as source:
        camera.broken = {"trigger"}
        refused = triggered(source, camera, 1)
        assert (refused.part_id, refused.problem) == (
            "1",
            f"missed: the camera did not take the trigger ({UNEXPECTED})",
        )
        camera.broken = set()
        until(lambda: triggered(source, camera, 2).problem is None)  # the refused one may have reached the camera
        assert source.reconnects == 0
    assert caplog.records[0].exc_info is not None


def test_a_part_whose_picture_nobody_can_use_has_its_result_and_the_camera_comes_back() -> None:
    first, second = SimulatedCamera(Faults(ignored=1.0)), SimulatedCamera(seed=1)
    with source_of(first, second, **QUICK) as source:
        source.trigger("1")
        first.send(Shot(np.zeros((), np.uint8), time.monotonic(), time.time(), 5))
        missed = next_frame(source)
        assert missed.part_id == "1"
        assert str(missed.problem).startswith("missed: the camera was lost (")
        until(lambda: source.reconnects == 1)
        until(lambda: is_ready(source))
        assert triggered(source, second, 2).problem is None


def test_a_camera_that_does_not_say_what_pairs_its_pictures_is_closed() -> None:
    class Unpaired(SimulatedCamera):
        @property
        def pairs_by(self) -> str:
            raise SourceError("this camera cannot be triggered")

        @pairs_by.setter
        def pairs_by(self, value: str) -> None:
            """As all cameras are told."""

    camera = Unpaired()
    with pytest.raises(SourceError, match="this camera cannot be triggered"):
        source_of(camera)
    assert camera.released


def test_a_camera_that_dies_while_a_part_waits_rejects_it_at_once() -> None:
    camera = SimulatedCamera(Faults(ignored=1.0))
    with source_of(camera, frame_timeout_s=30.0) as source:
        source.trigger("1")
        camera.die()
        assert next_frame(source).problem == "missed: the camera was lost (the stream ended)"


@pytest.mark.parametrize("mode", ["software", "hardware"])
def test_a_driver_that_hangs_is_noticed_and_taken_up_again_where_it_returns(mode: str) -> None:
    camera = SimulatedCamera()
    with source_of(camera, mode=mode, hang_s=0.3, **QUICK) as source:
        camera.may_return.clear()
        if mode == "hardware":
            told = next_frame(source)
            reason = "missed: the camera was lost (its driver hangs); parts may pass unseen until it is back"
            assert (told.part_id, told.problem) == (None, reason)
        else:
            with pytest.raises(SourceTimeout):
                source.read(1.0)
            away = triggered(source, camera, 1)
            assert away.problem == "missed: the camera is away (its driver hangs)"
        camera.may_return.set()
        until(lambda: is_ready(source))
        camera.next_number = 2
        if mode == "hardware":
            camera.expose(2)
        else:
            source.trigger("2")
        assert number_in(next_frame(source).image) == 2


def test_silence_between_triggers_is_normal() -> None:
    camera = SimulatedCamera()
    with source_of(camera, heartbeat_s=0.02) as source:
        with pytest.raises(SourceTimeout, match="no frame from the camera within"):
            source.read(0.3)
        assert triggered(source, camera, 1).problem is None
        assert source.reconnects == 0


def test_a_camera_that_answers_but_ignores_all_triggers_is_opened_again() -> None:
    first, second = SimulatedCamera(), SimulatedCamera(seed=1)
    first.ignores_all = True
    with source_of(first, second, frame_timeout_s=0.01, settle_s=0.02) as source:
        for number in range(IGNORED_IN_A_ROW):
            assert triggered(source, first, number).problem is not None
        until(lambda: source.reconnects == 1)
        until(lambda: is_ready(source))
        assert any(triggered(source, second, number).problem is None for number in range(20))


def test_a_reconnect_limit_ends_the_source_and_its_triggers_with_an_error() -> None:
    camera = SimulatedCamera()
    with TriggeredSource("the camera", opener(camera), "software", 5.0, 2, first_backoff_s=0.01) as source:
        camera.die()
        with pytest.raises(SourceError, match="the camera lost: 2 attempts to reopen it failed; unplugged"):
            source.read(10)
        with pytest.raises(SourceError, match="2 attempts"):
            source.trigger("1")


def test_a_camera_that_is_absent_at_first_can_be_waited_for() -> None:
    camera = SimulatedCamera()
    with pytest.raises(SourceError, match="unplugged; or wait for it"):
        source_of()
    with TriggeredSource(
        "the camera", opener(SourceError("unplugged"), camera), "software", wait=True, first_backoff_s=0.1, settle_s=0.8
    ) as source:
        assert source.waits_for == "unplugged"
        absent = triggered(source, camera, 0)
        assert absent.problem == "missed: the camera is away (unplugged)"
        until(lambda: is_ready(source))
        assert (triggered(source, camera, 1).problem, source.reconnects) == (None, 0)


def test_finish_answers_what_waits_and_takes_no_more() -> None:
    camera = SimulatedCamera(latency_s=(0.05, 0.05))
    with source_of(camera) as source:
        source.trigger("1")
        source.finish()
        with pytest.raises(SourceError, match="takes no more triggers"):
            source.trigger("2")
        assert next_frame(source).part_id == "1"
        assert source.read() is None


def test_frames_that_nobody_reads_end_in_an_error_and_not_in_memory() -> None:
    with source_of(SimulatedCamera(Faults(ignored=1.0)), frame_timeout_s=30.0) as source:
        for number in range(1001):
            source.trigger(str(number))
        with pytest.raises(SourceError, match="1000 frames of the camera wait and nobody reads them"):
            source.trigger("1001")


def test_a_pipeline_that_is_stopped_gives_each_trigger_its_result() -> None:
    camera = SimulatedCamera(latency_s=(0.1, 0.1))
    results = []
    with source_of(camera) as source, fake_detector() as detector:
        pipeline = Pipeline(source, detector, lambda frame, verdict: results.append(frame.part_id))
        source.trigger("1")
        threading.Timer(0.02, pipeline.stop).start()
        pipeline.run()
    assert results == ["1"]


def test_a_verdict_after_its_deadline_is_no_decision() -> None:
    """The engine hangs for the first part, and is still at it when the second one comes."""
    release = threading.Event()

    def hang(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        release.wait(10)
        return deviation_from_grey(frames)

    camera = SimulatedCamera()
    verdicts: list[Verdict] = []
    with (
        TriggeredSource("the camera", lambda: camera, "software", 0.5) as source,
        fake_detector(hang, slots=1) as detector,
    ):
        pipeline = Pipeline(source, detector, lambda frame, verdict: verdicts.append(verdict))
        thread = threading.Thread(target=pipeline.run)
        thread.start()
        source.trigger("0")
        until(lambda: len(verdicts) == 1)
        camera.next_number = 1
        source.trigger("1")
        until(lambda: len(verdicts) == 2)
        release.set()
        source.finish()
        thread.join(10)
    first, second = (verdict.reason for verdict in verdicts)
    assert all(verdict.decision is Decision.NO_DECISION for verdict in verdicts)
    assert first.startswith("late: ")
    assert "ms after its trigger, the deadline was 500 ms; engine error: " in first
    assert second.startswith("overrun: the engine still works on frame 0, given up before, ")
    facts = pipeline.summary.as_dict()["triggered"]
    assert (facts["late"], facts["overrun"], facts["deadline_misses"]) == (1, 1, 1)


def test_a_slow_sink_makes_the_next_verdict_late_though_the_engine_was_quick() -> None:
    camera = SimulatedCamera()
    verdicts: list[Verdict] = []

    def slow(frame: Frame, verdict: Verdict) -> None:
        verdicts.append(verdict)
        time.sleep(1.0)

    with TriggeredSource("the camera", lambda: camera, "software", 0.5) as source, fake_detector() as detector:
        thread = threading.Thread(target=(pipeline := Pipeline(source, detector, slow)).run)
        thread.start()
        for number in range(2):
            camera.next_number = number
            source.trigger(str(number))
            until(lambda: bool(verdicts))
        source.finish()
        thread.join(10)
    assert verdicts[1].decision is Decision.NO_DECISION
    assert verdicts[1].reason.startswith("late: ")
    assert verdicts[1].decided_s - (verdicts[1].triggered_s or 0) < 0.5
    assert pipeline.summary.as_dict()["triggered"]["deadline_misses"] >= 1


def test_a_camera_that_its_input_triggers_numbers_its_parts_and_says_which_have_no_picture() -> None:
    camera = SimulatedCamera()
    with source_of(camera, mode="hardware") as source:
        camera.expose(0)
        first = next_frame(source)
        assert first.part_id == "0"
        camera._counter += 2  # two pictures that are lost on the way
        camera.expose(3)
        frames = [next_frame(source) for _ in range(3)]
        lost = "missed: the picture was lost on the way"
        assert [(each.part_id, each.problem) for each in frames] == [("1", lost), ("2", lost), ("3", None)]
        assert number_in(frames[2].image) == 3
        assert source.lost == 2
        stamp = first.camera_ns
        for counter in (camera._counter, camera._counter - 1):  # the last one twice, and a lost one that was delayed
            camera.send(Shot(picture_of(9), time.monotonic(), time.time(), counter, stamp))
        camera.expose(4)
        assert (next_frame(source).part_id, source.unpaired) == ("4", {"doubled": 1, "stale": 1})
        with pytest.raises(SourceError, match="triggered by its own input"):
            source.trigger("5")


def test_a_part_that_comes_before_the_engine_took_the_one_before_is_an_overrun() -> None:
    camera = SimulatedCamera()
    with source_of(camera, mode="hardware") as source:
        for number in range(3):
            camera.expose(number)
        until(lambda: len(source._frames) == 3)
        problems = [str(next_frame(source).problem).partition(":")[0] for _ in range(3)]
    assert problems == ["None", "overrun", "overrun"]


def test_a_lost_camera_at_its_own_input_is_told_of_and_the_numbers_go_on() -> None:
    first, second = SimulatedCamera(), SimulatedCamera(seed=1)
    with source_of(first, second, mode="hardware") as source:
        first.expose(0)
        assert next_frame(source).part_id == "0"
        first.send(Shot(picture_of(1), time.monotonic(), time.time(), 0, 1))  # its counter starts anew: it was off
        told = next_frame(source)
        assert told.part_id is None
        assert str(told.problem).endswith("parts may pass unseen until it is back")
        until(lambda: source.reconnects == 1)
        second.expose(1)
        assert next_frame(source).part_id == "1"


def test_a_picture_that_was_delayed_on_its_way_from_the_input_is_late_by_its_time_stamp() -> None:
    camera = SimulatedCamera()
    with source_of(camera, mode="hardware") as source:
        frames = []
        for counter, exposed_s in ((1, 70.0), (2, 70.1)):
            camera.send(Shot(picture_of(counter), time.monotonic(), time.time(), counter, round(exposed_s * 1e9)))
            frames.append(next_frame(source))
            time.sleep(0.5)
    prompt_s, late_s = (frame.captured_s - (frame.triggered_s or 0) for frame in frames)
    assert prompt_s == 0
    assert late_s >= 0.4 - 0.01  # 0.5 s after the one before, of which it was exposed 0.1 s after


def test_without_a_counter_the_input_cannot_be_the_trigger() -> None:
    with pytest.raises(SourceError, match="has time stamps but no counter of frames"):
        source_of(SimulatedCamera(identities="stamp"), mode="hardware")

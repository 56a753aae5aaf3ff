"""The inference loop of a line, whatever the protocol: outcomes by cause, the heart, and the idle self-check."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from line_samples import GREY, PATIENCE_S, SPOTTED, serving
from numpy.typing import NDArray
from runtime_samples import fake_detector, grey_frame
from waiting import until

from runtime.detector import Detector
from runtime.errors import EngineError, InputError
from runtime.frames import Frame, missing_frame
from runtime.line.handshake import BUFFER, Acquisition, Handshake, State
from runtime.line.inspection_loop import InspectionLoop
from runtime.line.pictures import Pictures
from runtime.line.results import Cause, Code, Part, Result
from runtime.line.self_check import SelfCheck
from runtime.verdict import Verdict


class Drifting:
    """A detector that can go wrong without raising anything."""

    def __init__(self, detector: Detector) -> None:
        self.detector, self.shift, self.inspected = detector, 0, list[Frame]()

    def inspect(self, frame: Frame, timeout_s: float = 30.0) -> Verdict:
        self.inspected.append(frame)
        shifted = (frame.image.astype(np.int16) + self.shift).clip(0, 255).astype(np.uint8)
        return self.detector.inspect(Frame(shifted, frame.frame_id), timeout_s)


class Turning:
    """A detector for the first frame, another one from then on."""

    def __init__(self, first: Detector, then: Detector) -> None:
        self.detectors = [first, then]

    def inspect(self, frame: Frame, timeout_s: float = 30.0) -> Verdict:
        detector = self.detectors.pop(0) if len(self.detectors) > 1 else self.detectors[0]
        return detector.inspect(frame, timeout_s)


def result_of(handshake: Handshake, part: Part | None = None) -> Result:
    answer = handshake.trigger(part or Part(1))
    assert isinstance(answer, Acquisition), answer
    result = handshake.wait_for_result(PATIENCE_S)
    assert result is not None
    assert handshake.acknowledge(result.inspection_id)
    return result


@pytest.mark.parametrize(
    ("picture", "code", "cause"),
    [
        (lambda _: Frame(GREY, 1), Code.OK, Cause.NONE),
        (lambda _: Frame(SPOTTED, 1), Code.NG, Cause.JUDGED),
        (lambda _: Frame(np.zeros_like(GREY), 1), Code.NO_DECISION, Cause.JUDGED),
        (lambda _: missing_frame(1, "missed: no picture came"), Code.NO_DECISION, Cause.NO_FRAME),
        (lambda _: Frame(GREY.astype(np.float32), 1), Code.NO_DECISION, Cause.JUDGED),
        (lambda _: Frame(None, 1), Code.NO_DECISION, Cause.NO_FRAME),
        (lambda _: 1 / 0, Code.NO_DECISION, Cause.NO_FRAME),
    ],
)
def test_whatever_the_picture_is_the_part_gets_its_result(  # type: ignore[no-untyped-def]
    tmp_path: Path, picture, code: Code, cause: Cause
) -> None:
    with serving(tmp_path / "line.sock", picture_of=picture) as served:
        for _ in range(2):  # and the loop goes on
            result = result_of(served.handshake)
            assert (result.code, result.cause) == (code, cause)


def test_an_idle_loop_beats_and_one_that_hangs_in_an_engine_does_not(tmp_path: Path) -> None:
    go = threading.Event()

    class Hanging:
        def inspect(self, frame: Frame, timeout_s: float = 30.0) -> Verdict:
            go.wait(PATIENCE_S)
            raise RuntimeError("after all")

    with serving(tmp_path / "line.sock", Hanging(), deadline_s=0.1, picture_of=lambda _: Frame(GREY, 1)) as served:
        handshake = served.handshake
        before = handshake.view().heartbeat
        until(lambda: handshake.view().heartbeat > before + 1)
        assert result_of(handshake).cause is Cause.LATE
        beats = handshake.view().heartbeat
        time.sleep(0.4)
        assert handshake.view().heartbeat == beats
        go.set()
        until(lambda: handshake.view().heartbeat > beats)
        assert handshake.view().too_late == 1


def test_a_wrong_self_check_holds_the_line_for_good(tmp_path: Path) -> None:
    with fake_detector() as detector:
        drifting = Drifting(detector)
        self_check = SelfCheck(drifting, tolerance=1e-3, period_s=0.15)
        with serving(
            tmp_path / "line.sock", drifting, self_check=self_check, picture_of=lambda _: Frame(SPOTTED // 4 + 96, 1)
        ) as served:
            handshake = served.handshake
            assert result_of(handshake).passes  # the first one that is OK is kept
            until(lambda: self_check.checks >= 2)
            assert handshake.view().trigger_ready
            drifting.shift = 8  # still OK, but not what it was
            until(lambda: not handshake.view().trigger_ready)
            view = handshake.view()
            assert (view.error, view.state) == (Cause.HELD, State.NOT_READY)
            assert "the self-check's good frame has the score" in view.error_text
            time.sleep(0.3)
            assert handshake.view().heartbeat == view.heartbeat
            handshake.release()  # by somebody who paused it, perhaps
            until(lambda: not handshake.view().trigger_ready)
            drifting.shift = 0
            time.sleep(0.4)
            assert not handshake.view().trigger_ready


@pytest.mark.parametrize(
    ("broken", "is_back"), [("it cannot be reached", True), (float("nan"), False)], ids=["says nothing", "says NaN"]
)
def test_an_engine_that_says_nothing_holds_the_line_until_it_has_the_right_answer(
    tmp_path: Path, broken: str | float, is_back: bool
) -> None:
    now: list[str | float | None] = [None]

    def output(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        if isinstance(now[0], str):
            raise EngineError(now[0])
        return np.full(frames.shape[:3], -1.0 if now[0] is None else now[0], np.float32)

    with fake_detector(output) as detector:
        self_check = SelfCheck(detector, tolerance=1e-3, period_s=0.1)
        with serving(
            tmp_path / "line.sock", detector, self_check=self_check, picture_of=lambda _: Frame(GREY, 1)
        ) as served:
            handshake = served.handshake
            assert result_of(handshake).passes  # the first one that is OK is kept
            now[0] = broken
            until(lambda: not handshake.view().trigger_ready)
            assert handshake.view().error is Cause.HELD
            beats, checks = handshake.view().heartbeat, self_check.checks
            time.sleep(0.3)
            assert handshake.view().heartbeat == beats
            assert (self_check.checks > checks) is is_back
            now[0] = None
            time.sleep(0.3)
            if is_back:
                until(lambda: handshake.view().trigger_ready)
                assert result_of(handshake).passes
            else:
                assert not handshake.view().trigger_ready


def test_a_loop_that_ends_leaves_no_line_held_by_an_engine_that_said_nothing() -> None:
    """The next loop is another engine's, of another recipe."""

    def output(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        raise EngineError("it cannot be reached")

    handshake = Handshake(1.0)
    handshake.ready()
    with fake_detector() as detector, fake_detector(output) as silent:
        self_check = SelfCheck(Turning(detector, silent), 1e-3, period_s=1e-6)
        self_check.keep(grey_frame())
        loop = InspectionLoop(handshake, silent, lambda _: Frame(GREY, 1), self_check)
        thread = threading.Thread(target=loop.run)
        thread.start()
        until(lambda: handshake.view().error is Cause.HELD)
        loop.stop()
        thread.join(PATIENCE_S)
    assert handshake.view().trigger_ready


def test_a_self_check_waits_for_a_pause(tmp_path: Path) -> None:
    with fake_detector() as detector:
        drifting = Drifting(detector)
        clock = [0.0]
        self_check = SelfCheck(drifting, 1e-3, period_s=10.0, clock=lambda: clock[0])
        self_check.keep(grey_frame(grey=130))
        assert self_check.problem() is None
        clock[0] = 9.0
        self_check.saw(grey_frame(), detector.inspect(grey_frame()))  # a part
        clock[0] = 18.5
        assert self_check.problem() is None
        assert self_check.checks == 0
        clock[0] = 19.0
        assert self_check.problem() is None
        assert self_check.checks == 1
        drifting.shift = 127
        clock[0] = 28.5
        assert self_check.problem() is None
        clock[0] = 29.0
        assert "is NO_DECISION: over-exposed" in (self_check.problem() or "")


def test_a_live_good_frame_is_not_frozen_when_it_is_checked_again() -> None:
    with fake_detector() as detector:
        self_check = SelfCheck(detector, 1e-3, period_s=1e-6)
        frame = grey_frame(live=True)
        self_check.saw(frame, detector.inspect(frame))
        time.sleep(0.001)
        assert [self_check.problem() for _ in range(3)] == [None] * 3
        assert self_check.checks >= 2


def test_a_good_frame_that_is_not_ok_and_a_period_that_is_none_are_refused() -> None:
    with fake_detector() as detector:
        with pytest.raises(InputError, match=r"the good frame is NG: score .* give one that is OK"):
            SelfCheck(detector, 1e-3).keep(grey_frame(spot=255))
        with pytest.raises(InputError, match="the period of the self-check"):
            SelfCheck(detector, 1e-3, period_s=0.0)


def test_a_loop_that_ends_by_a_fault_of_ours_holds_the_line() -> None:
    handshake = Handshake(1.0)
    handshake.ready()

    class Broken(SelfCheck):
        def problem(self) -> str | None:
            raise ZeroDivisionError("by a test")

    with fake_detector() as detector:
        loop = InspectionLoop(handshake, detector, lambda _: Frame(GREY, 1), Broken(detector, 1e-3))
        with pytest.raises(ZeroDivisionError):
            loop.run()
    assert "the inference loop ended" in handshake.view().error_text


def test_no_more_pictures_are_kept_than_parts_can_be_under_way() -> None:
    pictures = Pictures()
    for number in range(1, 3 * BUFFER):
        pictures.put(number, Frame(GREY, number))
    now_s = time.monotonic()

    def taken(number: int) -> NDArray[np.uint8] | None:
        frame = pictures.take(Acquisition(number, Part(1), 0, now_s, now_s))  # type: ignore[arg-type]
        return None if frame.problem else frame.image

    assert taken(3 * BUFFER - 1) is not None
    assert taken(3 * BUFFER - 1) is None
    assert taken(1) is None
    pictures.forget()
    assert taken(2 * BUFFER) is None

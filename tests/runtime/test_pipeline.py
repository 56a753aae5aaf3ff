"""The pipeline: order, drops, ends, errors and memory."""

import signal
import threading
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray
from runtime_samples import SIZE_HW, ListSource, fake_detector, grey_frame, make_recipe

from runtime.detector import Detector
from runtime.engines.fake import FakeEngine, deviation_from_grey
from runtime.errors import EngineError, SourceError, SourceTimeout
from runtime.frames import Frame, missing_frame
from runtime.pipeline import Pipeline
from runtime.verdict import Decision, Verdict


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def slowly(seconds: float, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    time.sleep(seconds)
    return deviation_from_grey(frames)


def paced(count: int, period_s: float) -> Iterator[Frame]:
    for number in range(count):
        time.sleep(period_s)
        yield grey_frame(number, grey=100 + number % 50)


class Collector:
    """A sink that keeps verdicts."""

    def __init__(self) -> None:
        self.verdicts: list[Verdict] = []

    def __call__(self, frame: Frame, verdict: Verdict) -> None:
        assert frame.frame_id == verdict.frame_id
        self.verdicts.append(verdict)

    @property
    def ids(self) -> list[int]:
        return [verdict.frame_id for verdict in self.verdicts]


def test_verdicts_come_in_the_order_of_frames_and_none_is_lost() -> None:
    frames = [grey_frame(number, spot=255 if number % 3 == 0 else None) for number in range(50)]
    sink = Collector()
    with fake_detector(partial(slowly, 0.001)) as detector:
        summary = Pipeline(ListSource(frames), detector, sink).run()
    assert sink.ids == list(range(50))
    expected = [Decision.NG if number % 3 == 0 else Decision.OK for number in range(50)]
    assert [verdict.decision for verdict in sink.verdicts] == expected
    assert (summary.frames, summary.drops) == (50, 0)


def test_the_slots_of_the_engine_are_kept_filled() -> None:
    most = 0
    with fake_detector(partial(slowly, 0.005), slots=3) as detector:
        submit, result = detector.submit, detector.result
        under_way = 0

        def counting_submit(frame: Frame) -> object:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            return submit(frame)

        def counting_result(*arguments: object) -> Verdict:
            nonlocal under_way
            under_way -= 1
            return result(*arguments)  # type: ignore[arg-type]

        detector.submit, detector.result = counting_submit, counting_result  # type: ignore[assignment, method-assign]
        Pipeline(ListSource(map(grey_frame, range(30))), detector, Collector()).run()
    assert most == 3


def test_behind_a_frame_that_was_given_up_no_more_are_submitted_than_the_engine_takes() -> None:
    """One that is late holds its slot beside those of the frames behind it."""
    sink, release = Collector(), threading.Event()

    def stall(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        if frames[0, 0, 0, 0] == 0:
            release.wait(10)
        return deviation_from_grey(frames)

    def frames() -> Iterator[Frame]:
        yield from (grey_frame(number, grey=128 if number else 0) for number in range(3))
        release.set()
        yield from map(grey_frame, range(3, 8))

    recipe = replace(make_recipe(), health=replace(make_recipe().health, brightness_low=0.0))
    with Detector(recipe, FakeEngine(SIZE_HW, stall, slots=2)) as detector:
        Pipeline(ListSource(frames()), detector, sink, result_timeout_s=0.1).run()
    assert sink.ids == list(range(8))
    assert sink.verdicts[0].reason.startswith("engine error: no result within 0.1 s")
    assert [each.reason for each in sink.verdicts if "under way" in each.reason] == []
    assert sink.verdicts[7].decision is Decision.OK


def test_a_slow_engine_drops_live_frames_and_keeps_the_newest() -> None:
    sink = Collector()
    with fake_detector(partial(slowly, 0.03)) as detector:
        summary = Pipeline(ListSource(paced(60, 0.002), live=True), detector, sink).run()
    assert summary.drops > 20
    assert summary.frames + summary.drops == 60
    assert sink.ids == sorted(sink.ids)
    assert sink.ids[-1] == 59


def test_a_loss_is_never_dropped_in_favour_of_a_frame() -> None:
    frames = list(paced(30, 0.0))
    lost = [missing_frame(number, "camera lost", live=True) for number in (5, 6, 7, 20)]
    for frame in lost:
        frames[frame.frame_id] = frame
    sink = Collector()
    with fake_detector(partial(slowly, 0.01)) as detector:
        Pipeline(ListSource(frames, live=True), detector, sink).run()
    reported = [verdict.frame_id for verdict in sink.verdicts if verdict.reason == "camera lost"]
    assert reported == [5, 6, 7, 20]
    assert all(verdict.score is None for verdict in sink.verdicts if verdict.reason == "camera lost")


def test_files_are_read_no_further_ahead_than_the_engine_needs() -> None:
    """A frame that is read early waits longer, and its latency counts from then."""
    read: list[int] = []
    ahead: list[int] = []  # of each frame's inference, itself included

    def frames() -> Iterator[Frame]:
        for number in range(8):
            read.append(number)
            yield grey_frame(number)

    def watch(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        time.sleep(0.05)  # long enough to read whatever will be read
        ahead.append(len(read) - len(ahead))
        return deviation_from_grey(batch)

    with fake_detector(watch, slots=2) as detector:
        Pipeline(ListSource(frames()), detector, Collector()).run()
    assert max(ahead) == 3  # two at the engine, one in the queue


def test_a_frame_limit_ends_an_endless_stream_after_just_that_many() -> None:
    sink = Collector()
    with fake_detector() as detector:
        summary = Pipeline(ListSource(paced(10**9, 0.0)), detector, sink, max_frames=7).run()
    assert sink.ids == list(range(7))
    assert summary.frames == 7


def test_stop_ends_an_endless_stream_with_its_summary() -> None:
    with fake_detector() as detector:
        pipeline = Pipeline(ListSource(paced(10**9, 0.001)), detector, Collector())
        threading.Timer(0.1, pipeline.stop).start()
        summary = pipeline.run()
    assert summary.decisions[Decision.OK] == summary.frames > 0


def test_an_interrupt_gives_up_what_is_under_way() -> None:
    # a shell that starts jobs in the background has them ignore interrupts
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt() -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    try:
        threading.Timer(0.1, interrupt).start()
        with fake_detector(partial(slowly, 0.01)) as detector, pytest.raises(KeyboardInterrupt):
            Pipeline(ListSource(paced(10**9, 0.0)), detector, Collector()).run()
    finally:
        signal.signal(signal.SIGINT, before)


def test_stop_ends_a_camera_that_delivers_nothing() -> None:
    def silence() -> Iterator[SourceTimeout]:
        while True:
            time.sleep(0.01)
            yield SourceTimeout("no frame")

    with fake_detector() as detector:
        pipeline = Pipeline(ListSource(silence(), live=True), detector, Collector())
        threading.Timer(0.1, pipeline.stop).start()
        started_s = time.monotonic()
        assert pipeline.run().frames == 0
    assert time.monotonic() - started_s < 2


def test_a_source_that_breaks_down_ends_all_with_its_error() -> None:
    broken = [*map(grey_frame, range(3)), SourceError("the camera is on fire")]
    sink = Collector()
    with fake_detector(partial(slowly, 0.01)) as detector:
        pipeline = Pipeline(ListSource(broken), detector, sink)
        with pytest.raises(SourceError, match="on fire"):
            pipeline.run()
    assert sink.ids == [0, 1, 2]
    assert pipeline.summary.frames == 3


def test_a_sink_that_fails_ends_all_with_its_error() -> None:
    def full(frame: Frame, verdict: Verdict) -> None:
        raise OSError("disk full")

    with fake_detector() as detector, pytest.raises(OSError, match="disk full"):
        Pipeline(ListSource(paced(10**9, 0.0)), detector, full).run()


def test_a_bug_in_the_engine_ends_all_with_its_error() -> None:
    def bug(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        raise ZeroDivisionError("a bug")

    with fake_detector(bug) as detector, pytest.raises(ZeroDivisionError, match="a bug"):
        Pipeline(ListSource(paced(10**9, 0.0)), detector, Collector()).run()


def test_an_engine_error_is_no_decision_and_the_stream_goes_on() -> None:
    def flaky(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        if frames[0, 0, 0, 0] == 103:
            raise EngineError("out of memory")
        return deviation_from_grey(frames)

    sink = Collector()
    with fake_detector(flaky) as detector:
        Pipeline(ListSource(paced(6, 0.0)), detector, sink).run()
    assert [verdict.decision for verdict in sink.verdicts] == [Decision.OK] * 3 + [Decision.NO_DECISION] + [
        Decision.OK
    ] * 2
    assert sink.verdicts[3].reason == "engine error: out of memory"


def test_an_engine_that_hangs_is_no_decision_after_the_timeout() -> None:
    release = threading.Event()

    def hang(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        release.wait(10)
        return deviation_from_grey(frames)

    sink = Collector()
    with fake_detector(hang) as detector:
        Pipeline(ListSource([grey_frame()]), detector, sink, result_timeout_s=0.05).run()
        release.set()
    assert sink.verdicts[0].decision is Decision.NO_DECISION
    assert "no result within 0.05 s" in sink.verdicts[0].reason


def test_thousands_of_frames_leave_memory_flat() -> None:
    marks: list[int] = []

    def measure(frame: Frame, verdict: Verdict) -> None:
        if frame.frame_id in (500, 2_499):
            marks.append(tracemalloc.get_traced_memory()[0])

    frames = (grey_frame(number, defective=number % 2 == 0) for number in range(2_500))
    with fake_detector() as detector:
        tracemalloc.start()
        summary = Pipeline(ListSource(frames), detector, measure).run()
        tracemalloc.stop()
    assert (summary.frames, summary.drops) == (2_500, 0)
    assert marks[1] - marks[0] < 200_000  # a frame, or a map, kept of each would be 2 MB


def test_another_detector_takes_over_between_two_frames_and_no_frame_is_lost_or_judged_by_a_closed_one() -> None:
    sink, closed = Collector(), []
    second = fake_detector()
    second.recipe = replace(second.recipe, threshold=replace(second.recipe.threshold, value=0.99))

    def frames() -> Iterator[Frame]:
        for number in range(30):
            if number == 10:
                pipeline.change(change)
            yield grey_frame(number, spot=220)  # a score of 0.72

    with fake_detector(partial(slowly, 0.002), slots=3) as first, second:

        def change() -> Detector:
            assert len(sink.verdicts) + 4 >= 10  # what was under way has its verdicts, but for those not yet put out
            first.close()
            closed.append(len(sink.verdicts))
            return second

        pipeline = Pipeline(ListSource(frames()), first, sink)
        summary = pipeline.run()
    assert sink.ids == list(range(30))
    decisions = [verdict.decision for verdict in sink.verdicts]
    turn = decisions.index(Decision.OK)
    assert decisions == [Decision.NG] * turn + [Decision.OK] * (30 - turn)
    assert 8 <= turn <= 15
    assert len(closed) == 1
    assert summary.threshold is second.recipe.threshold


def test_another_detector_takes_over_while_no_frame_comes() -> None:
    changed = threading.Event()

    class Silent(ListSource):
        def read(self, timeout_s: float = 5.0) -> Frame | None:
            if changed.wait(0.02):
                return super().read(timeout_s)
            raise SourceTimeout("nothing yet")

    sink = Collector()
    with fake_detector() as first, fake_detector() as second:

        def change() -> Detector:
            changed.set()
            return second

        pipeline = Pipeline(Silent([grey_frame(0)], live=True), first, sink)
        pipeline.change(change)
        pipeline.run()
    assert sink.ids == [0]


def test_a_change_that_fails_ends_the_run_with_its_reason() -> None:
    def change() -> Detector:
        raise EngineError("neither can be opened")

    def frames() -> Iterator[Frame]:
        for number in range(100):
            if number == 5:
                pipeline.change(change)
            yield grey_frame(number)

    with fake_detector() as detector:
        pipeline = Pipeline(ListSource(frames()), detector, Collector())
        with pytest.raises(EngineError, match="neither can be opened"):
            pipeline.run()

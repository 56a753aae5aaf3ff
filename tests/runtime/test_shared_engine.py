"""One engine, several cameras: turns, failures of one of them, and the end. The contract is in test_engines."""

import threading
import time
from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray
from runtime_samples import SIZE_HW, ListSource, grey_frame, make_recipe

from runtime.detector import Detector
from runtime.engines.fake import FakeEngine, deviation_from_grey
from runtime.engines.shared import Share, SharedEngine
from runtime.errors import EngineError, ResultTimeout
from runtime.frames import Frame
from runtime.pipeline import Pipeline
from runtime.verdict import Verdict

WAIT_S = 20.0


def batch(grey: int) -> NDArray[np.uint8]:
    return np.full((1, *SIZE_HW, 3), grey, np.uint8)


class Recording:
    """Maps of frames, and the grey of every frame in the order in which the engine worked on it."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.greys: list[int] = []
        self._seconds = seconds

    def __call__(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.greys.append(int(frames[0, 0, 0, 0]))
        time.sleep(self._seconds)
        return deviation_from_grey(frames)


@pytest.mark.parametrize("slots", [1, 2])
def test_cameras_take_turns_however_many_frames_one_of_them_has(slots: int) -> None:
    """Three cameras that always have a frame: the last in the queue would otherwise be the last for ever."""
    recording = Recording(0.005)
    shares = SharedEngine(FakeEngine(SIZE_HW, recording, slots=slots), SIZE_HW, 3).shares
    rounds = 30

    def work(share: Share, grey: int) -> None:
        for _ in range(rounds):
            share.result(share.submit(batch(grey)))

    threads = [threading.Thread(target=work, args=(share, grey)) for grey, share in zip((1, 2, 3), shares, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    for share in shares:
        share.close()
    assert len(recording.greys) == 3 * rounds
    for grey in (1, 2, 3):
        turns = np.flatnonzero(np.array(recording.greys) == grey)
        # its n-th turn comes among the first 3 n, but for a thread that was late now and then
        assert (turns <= 3 * np.arange(1, rounds + 1) + rounds).all()


def test_each_camera_gets_the_results_of_its_own_frames() -> None:
    shares = SharedEngine(FakeEngine(SIZE_HW), SIZE_HW, 4).shares
    wrong: list[int] = []

    def work(share: Share, grey: int) -> None:
        for _ in range(50):
            if float(share.result(share.submit(batch(grey))).anomaly_score[0]) != (grey - 128) / 128:
                wrong.append(grey)

    threads = [threading.Thread(target=work, args=(share, 140 + 20 * at)) for at, share in enumerate(shares)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
        assert not thread.is_alive()
    assert wrong == []
    for share in shares:
        share.close()


def test_a_batch_that_fails_is_its_cameras_alone() -> None:
    def flaky(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        if frames[0, 0, 0, 0] == 1:
            raise EngineError("out of memory")
        return deviation_from_grey(frames)

    one, other = SharedEngine(FakeEngine(SIZE_HW, flaky), SIZE_HW, 2).shares
    failing, good = one.submit(batch(1)), other.submit(batch(128))
    assert other.result(good).anomaly_score[0] == 0
    with pytest.raises(EngineError, match="out of memory"):
        one.result(failing)
    assert one.result(one.submit(batch(128))).anomaly_score[0] == 0
    one.close()
    other.close()


def test_a_camera_that_gave_up_on_its_frame_does_not_hold_the_others_up() -> None:
    release = threading.Event()

    def hang_on_one(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        if frames[0, 0, 0, 0] == 1:
            release.wait(WAIT_S)
        return deviation_from_grey(frames)

    one, other = SharedEngine(FakeEngine(SIZE_HW, hang_on_one, slots=1), SIZE_HW, 2).shares
    late = one.submit(batch(1))
    with pytest.raises(ResultTimeout, match=r"no result within 0\.01 s"):
        one.result(late, 0.01)
    behind = other.submit(batch(128))
    with pytest.raises(ResultTimeout):
        other.result(behind, 0.01)
    release.set()
    assert other.result(behind).anomaly_score[0] == 0  # although nobody asks for the late one
    one.close()
    other.close()


def test_the_engine_ends_with_the_last_share() -> None:
    engine = FakeEngine(SIZE_HW)
    one, other = SharedEngine(engine, SIZE_HW, 2).shares
    one.close()
    one.close()
    with pytest.raises(EngineError, match="the engine is closed"):
        one.submit(batch(128))
    assert other.result(other.submit(batch(128))).anomaly_score[0] == 0
    other.close()
    with pytest.raises(EngineError, match="the engine is closed"):
        engine.submit(batch(128))


def test_what_waits_when_the_engine_is_closed_is_refused() -> None:
    release = threading.Event()

    def hang(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        release.wait(WAIT_S)
        return deviation_from_grey(frames)

    (share,) = SharedEngine(FakeEngine(SIZE_HW, hang), SIZE_HW, 1).shares
    ticket = share.submit(batch(128))
    threading.Timer(0.1, release.set).start()
    share.close()
    with pytest.raises(EngineError, match="the engine is closed"):
        share.result(ticket)


def test_a_frozen_camera_is_told_by_its_own_frames() -> None:
    """Two cameras that show the same, each picture once; then one delivers its picture twice."""
    shares = SharedEngine(FakeEngine(SIZE_HW), SIZE_HW, 2).shares
    one, other = (Detector(make_recipe(), share) for share in shares)
    reasons = []
    for detector in (one, other, one):
        reasons.append(detector.inspect(grey_frame(grey=120, live=True)).reason)
    assert ["frozen" in reason for reason in reasons] == [False, False, True]
    one.close()
    other.close()


def test_two_live_cameras_on_one_slow_engine_are_both_judged() -> None:
    """One delivers ten times as fast: it has no more verdicts for that."""
    shares = SharedEngine(FakeEngine(SIZE_HW, Recording(0.02)), SIZE_HW, 2).shares
    counts: dict[str, int] = {}

    def frames(period_s: float) -> Iterator[Frame]:
        end_s, found = time.monotonic() + 1.5, 0
        while time.monotonic() < end_s:
            time.sleep(period_s)
            found += 1
            yield grey_frame(found, grey=100 + found % 50, live=True)

    def run(name: str, share: Share, period_s: float) -> None:
        def sink(frame: Frame, verdict: Verdict) -> None:
            counts[name] = counts.get(name, 0) + 1

        with Detector(make_recipe(), share) as detector:
            Pipeline(ListSource(frames(period_s), live=True), detector, sink).run()

    works = [partial(run, "fast", shares[0], 0.001), partial(run, "slow", shares[1], 0.01)]
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert 0.3 < counts["slow"] / counts["fast"] < 3

"""The overhead benchmark, on an engine and a source that take as long as they are told to."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.stream import overhead
from benchmarks.stream.overhead import PHASES, KeptParts, Overhead, measure
from runtime.default_detector import DEMO_DETECTOR
from runtime.detector import Detector
from runtime.detector_file import read_detector
from runtime.engines.fake import FakeEngine
from runtime.errors import InputError
from runtime.frames import Frame, missing_frame

RECIPE = read_detector(DEMO_DETECTOR)[1]
INFERENCE_S, CAPTURE_S = 0.04, 0.02


def maps(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    time.sleep(INFERENCE_S)
    return np.zeros((len(frames), *RECIPE.size_hw), np.float32)


@pytest.fixture
def detector() -> Iterator[Detector]:
    with Detector(RECIPE, FakeEngine(RECIPE.size_hw, maps)) as detector:
        yield detector


class SlowParts(KeptParts):
    """Parts that come slowly, and end or fail after a number of them."""

    def __init__(self, ends_after: int = 1000, fails_after: int = 1000) -> None:
        super().__init__(2)
        self._ends_after, self._fails_after = ends_after, fails_after

    def read(self, timeout_s: float = 5.0) -> Frame | None:
        time.sleep(CAPTURE_S)
        frame = super().read(timeout_s)
        if frame is None or frame.frame_id >= self._ends_after:
            return None
        return missing_frame(frame.frame_id, "the camera is gone") if frame.frame_id >= self._fails_after else frame


def test_each_phase_gets_the_time_that_it_takes(detector: Detector) -> None:
    found = measure(detector, SlowParts(), 15)
    assert tuple(found.p50_ms) == tuple(found.p99_ms) == PHASES
    assert 1e3 * INFERENCE_S <= found.p50_ms["inference"] < 3e3 * INFERENCE_S
    assert 1e3 * CAPTURE_S <= found.p50_ms["capture"] < 3e3 * CAPTURE_S
    assert all(found.p50_ms[name] < 15 for name in ("preparation", "health", "hand-over", "regions", "report"))
    assert found.frame_p50_ms == pytest.approx(sum(found.p50_ms.values()), rel=0.2)
    assert 0.2 < found.overhead_share < 0.7  # a third and a little more
    assert (found.frames, found.rejected) == (15, 0)


@pytest.mark.parametrize("source", [SlowParts(ends_after=9), SlowParts(fails_after=9)], ids=["ends", "fails"])
def test_frames_that_are_not_scored_are_no_measurement(source: SlowParts, detector: Detector) -> None:
    with pytest.raises(InputError, match="9 of 15 frames were scored; expected a source of enough frames, all healthy"):
        measure(detector, source, 10)


def test_targets_are_judged_in_words() -> None:
    even = dict.fromkeys(PHASES, 1.0)
    kept, missed = Overhead(1, 0, even, even, 10.0, 12.0, 0.05), Overhead(1, 0, even, even, 10.0, 14.0, 0.06)
    assert "overhead 5.00 % of a frame's time (within the target of 5 %)" in kept.lines()
    assert "p99 1.20 times p50 (within the target of 1.3)" in kept.lines()
    assert "overhead 6.00 % of a frame's time (over the target of 5 %)" in missed.lines()
    assert "p99 1.40 times p50 (over the target of 1.3)" in missed.lines()


def test_the_command_prints_and_writes_the_same_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overhead.main(["--frames", "2", "--threads", "1", "--json", str(tmp_path / "overhead.json")])
    printed, document = capsys.readouterr().out, json.loads((tmp_path / "overhead.json").read_text())
    assert document["frames"] == 2
    assert document["frame_p50_ms"] > document["p50_ms"]["inference"] > 0
    assert f"inference   {document['p50_ms']['inference']:9.3f}" in printed
    assert document["environment"]["cpu"] in printed
    assert "demo.onnx on ONNX Runtime" in document["detector"]

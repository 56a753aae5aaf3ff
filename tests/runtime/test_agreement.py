"""What a comparison of two engines looks at: batches, what is inspected, evidence, and that no silence is agreement."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.engines.base import Output
from runtime.engines.fake import FakeEngine
from runtime.engines.threaded import ThreadedEngine
from runtime.errors import EngineError
from runtime.interest import inspected
from runtime.parity import Scored, agreement, agreement_with, rows_of_batches

Frames = NDArray[np.uint8]
SIZE_HW = (6, 8)


def frames_of(count: int) -> Frames:
    return np.random.default_rng(0).integers(0, 256, (count, *SIZE_HW, 3), np.uint8)


def engine_of(infer: Callable[[Frames], Output]) -> ThreadedEngine:
    return ThreadedEngine(infer, SIZE_HW, 8, 2, "engine of a test")


def plain(frames: Frames) -> Output:
    maps = frames.astype(np.float32).mean(axis=3)
    return Output(maps, maps.max(axis=(1, 2)), evidence=np.stack([maps, np.sqrt(maps)], axis=1))


def problem_of(infer: Callable[[Frames], Output], batch: int, count: int = 5) -> str | None:
    frames, engine = frames_of(count), engine_of(infer)
    try:
        expected = Scored.by(FakeEngine(SIZE_HW, lambda given: plain(given).anomaly_map), frames)
        expected = replace(expected, evidence=plain(frames).evidence)
        return agreement_with(engine, frames, expected, 180.0, 1e-3, None, batch).problem("it", "the other")
    finally:
        engine.close()


def first_for_all(frames: Frames) -> Output:
    return plain(np.repeat(frames[:1], len(frames), axis=0))


def neighbours_exchanged(frames: Frames) -> Output:
    return plain(frames[np.arange(len(frames)) ^ 1] if len(frames) % 2 == 0 else frames)


def half_a_batch_on(frames: Frames) -> Output:
    return plain(np.roll(frames, len(frames) // 2, axis=0))


@pytest.mark.parametrize("infer", [first_for_all, neighbours_exchanged, half_a_batch_on])
@pytest.mark.parametrize("count", [3, 4, 5, 16])
def test_an_engine_that_mixes_the_frames_of_a_batch_is_found(infer: Callable[[Frames], Output], count: int) -> None:
    assert problem_of(infer, 1, count) is None
    problem = problem_of(infer, 8, count)
    assert problem is not None
    assert "it deviates from the other by" in problem
    assert problem_of(plain, 8, count) is None


@pytest.mark.parametrize(("count", "batch"), [(1, 1), (1, 4), (2, 8), (4, 8), (5, 2), (16, 8), (16, 64), (3, 2)])
def test_full_batches_hold_each_frame(count: int, batch: int) -> None:
    rows = rows_of_batches(count, batch)
    assert len(rows) % batch == 0
    assert set(rows) == set(range(count))
    if count > 1 and len(rows) > count:
        assert rows[0] != rows[count]  # frames that are repeated stand in other rows


def test_an_answer_for_fewer_frames_than_were_given_is_refused() -> None:
    with pytest.raises(EngineError, match="the engine gives 1 rows of anomaly_map for a batch of 4 frames"):
        problem_of(lambda frames: plain(frames[:1]), 4)


def test_evidence_is_compared_each_kind_by_its_own_deviation() -> None:
    def spoiled(frames: Frames) -> Output:
        output = plain(frames)
        assert output.evidence is not None
        output.evidence[:, 1] += 0.01  # little beside the map's deviation, much beside its own
        return output

    def not_a_number(frames: Frames) -> Output:
        return replace(plain(frames), evidence=np.full((len(frames), 2, *SIZE_HW), np.nan, np.float32))

    for infer in (spoiled, not_a_number):
        problem = problem_of(infer, 1)
        assert problem is not None
        assert problem.startswith("it deviates from the other by")
    with pytest.raises(ValueError, match="zip"):
        problem_of(lambda frames: replace(plain(frames), evidence=None), 1)


def test_the_terms_of_a_file_of_schema_1_are_evidence() -> None:
    def infer(frames: Frames) -> Output:
        maps = plain(frames).anomaly_map
        terms = {name: np.stack([maps] * 2, axis=1) for name in ("regression_error", "predictive_variance")}
        return Output(maps, maps.max(axis=(1, 2)), **terms)

    found = Scored.by(engine_of(infer), frames_of(3), 2)
    assert found.evidence is not None
    assert found.evidence.shape == (3, 4, *SIZE_HW)
    assert len(found.all_maps) == 5


def test_what_lies_outside_a_rectangle_hides_nothing_inside() -> None:
    random = np.random.default_rng(0)
    maps = random.normal(0, 0.3, (16, 64, 64)).astype(np.float32)
    maps[:, :16] = random.normal(0, 300, (16, 16, 64))  # where nothing is inspected
    spoiled = maps.copy()
    spoiled[:, 16:] = 0.0
    scores, others = (each[:, 16:].max(axis=(1, 2)) for each in (maps, spoiled))
    chosen, threshold = inspected((16, 0, 48, 64), (64, 64)), 1.02 * float(scores.max())
    found = agreement(Scored(maps, scores), Scored(spoiled, others), threshold, 5e-2, chosen)
    assert found.map_deviation > 1
    assert found.problem("the plan", "ONNX Runtime") is not None
    assert found.decisions_compared > 0  # the band is of what is inspected, too
    outside = maps.copy()
    outside[:, :16] = 0.0
    found = agreement(Scored(maps, scores), Scored(outside, scores), threshold, 5e-2, chosen)
    assert found.problem("the plan", "ONNX Runtime") is not None  # the map is an output as a whole
    assert agreement(Scored(maps, scores), Scored(maps, scores), threshold, 5e-2, chosen).map_deviation == 0


def test_a_deviation_that_float32_cannot_hold_hides_nothing() -> None:
    maps = np.random.default_rng(0).normal(0, 1e25, (4, 8, 8)).astype(np.float32)
    found = agreement(
        Scored(maps, maps.max(axis=(1, 2))), Scored(np.zeros_like(maps), np.zeros(4, np.float32)), 1e25, 1e-3
    )
    assert found.problem("the plan", "ONNX Runtime") is not None


def test_where_no_decision_can_be_compared_it_is_said_and_maps_have_to_agree_all_the_same() -> None:
    maps = np.random.default_rng(0).normal(0, 1, (4, 8, 8)).astype(np.float32)
    one = Scored(maps, np.full(4, 3.0, np.float32))
    found = agreement(one, one, 3.0, 1e-3)
    assert found.decisions_compared == 0
    assert found.problem("the plan", "ONNX Runtime") is None
    assert found.describe().endswith("NO DECISION COMPARED: all 4 scores are too near the threshold to compare")
    other = replace(one, maps=maps + np.float32(0.01))
    assert agreement(one, other, 3.0, 1e-3).problem("the plan", "ONNX Runtime") is not None

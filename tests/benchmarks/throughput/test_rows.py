"""From subjects to rows, tables and a roofline."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from benchmarks.throughput.arithmetic import Arithmetic, Layer
from benchmarks.throughput.measure import Limit, Result, measure
from benchmarks.throughput.roofline import roofline
from benchmarks.throughput.subject import BURST, Frames, Subject, limit_of
from benchmarks.throughput.table import tables
from benchmarks.throughput.timing import Turns
from runtime.engines.fake import FakeEngine
from runtime.errors import EngineError, InputError

QUICK = Turns(repeats=5, warm_up=0, pause_s=0)
ARITHMETIC = Arithmetic((Layer("conv", "Conv", 500_000, 40_000, "fp32"),))


def subject(
    name: str, frame_ms: float, batch_ms: float = 0.0, arithmetic: Arithmetic | None = ARITHMETIC, **fields: Any
) -> Subject:
    """A row that takes so long for a call and for each frame of it."""

    def infer(frames: Frames) -> None:
        time.sleep((batch_ms + frame_ms * len(frames)) / 1e3)

    defaults: dict[str, Any] = {
        "device": "cpu",
        "size_hw": (4, 4),
        "precision": "fp32",
        "limit": "fp32",
        "max_batch": 4,
    }
    close: Callable[[], None] = lambda: None  # noqa: E731
    return Subject(
        name=name, arithmetic=arithmetic, describe=lambda: "sleep", infer=infer, close=close, **{**defaults, **fields}
    )


@pytest.fixture
def result(small_limits: None) -> Result:
    subjects = [
        subject("base", 10),
        subject("double", 20),
        subject("sample", 1, factor=30.0, max_batch=1, note="1 of 30"),
    ]
    return measure(subjects, None, (1, 2), QUICK, threads=1)


def test_rows_are_compared_to_the_first_by_its_median(result: Result) -> None:
    assert result.reference == "base"
    base, double, sample = result.rows
    assert base.latency_ratio.p50 == pytest.approx(1)
    assert double.latency_ratio.p50 == pytest.approx(2, rel=0.5)
    assert sample.latency_ms.p50 >= 30
    assert "1 of 30" in result.notes


def test_the_share_of_the_limit_is_the_rate_over_the_fastest_product(result: Result) -> None:
    row = result.rows[0]
    fastest = max(limit.per_s for limit in result.limits if limit.kind == "fp32")
    assert row.operations_per_s == pytest.approx(1e6 / (row.latency_ms.p50 / 1e3))
    assert row.limit_operations_per_s == fastest
    assert row.share == pytest.approx(1e6 / (row.latency_ms.p50 / 1e3) / fastest)
    assert {limit.kind for limit in result.limits} == {"fp32", "copy"}
    assert all(limit.best_per_s >= limit.per_s > 0 and limit.samples == 5 for limit in result.limits)


def test_the_best_batch_is_that_of_most_frames_a_second(small_limits: None) -> None:
    subjects = [subject("gains", 1, batch_ms=20), subject("one only", 5, max_batch=1)]
    gains, single = measure(subjects, "one only", (1, 2, 4), QUICK, threads=1).rows
    assert [one.batch for one in gains.throughput] == [1, 2, 4]
    assert gains.best_batch == 4
    assert gains.best_frames_per_s == pytest.approx(4 / gains.throughput[-1].batch_ms.p50 * 1e3)
    assert [one.batch for one in single.throughput] == [1]
    assert gains.frames_per_s_ratio == pytest.approx(gains.best_frames_per_s / single.best_frames_per_s)
    assert gains.best_operations_per_s == pytest.approx(1e6 * gains.best_frames_per_s)


def test_a_batch_that_fails_is_left_out_and_said() -> None:
    def infer(frames: Frames) -> None:
        if len(frames) > 2:
            raise EngineError("out of memory")

    whole = subject("large", 0, arithmetic=None)
    failing = Subject(**{**vars(whole), "infer": infer})
    result = measure([failing], None, (2, 4), QUICK, threads=1)
    assert [one.batch for one in result.rows[0].throughput] == [2]
    assert result.notes == ("large: failed on a batch of 4, which is left out",)


def test_a_batch_that_would_outlast_its_time_is_left_out_and_said() -> None:
    turns = Turns(repeats=3, seconds=0.55, warm_up=0, pause_s=0)
    rows = [subject("slow", 50, arithmetic=None), subject("fast", 1, arithmetic=None)]
    slow, fast = (result := measure(rows, None, (1, 2, 4), turns, threads=1)).rows
    assert [one.batch for one in slow.throughput] == [1, 2]
    assert [one.batch for one in fast.throughput] == [1, 2, 4]
    assert result.notes == ("slow: 3 turns of a batch of 4 outlast --seconds; left out",)


def test_a_burst_on_a_gpu_counts_with_all_its_batches() -> None:
    turns = Turns(repeats=3, seconds=0.4, warm_up=0, pause_s=0)
    (row,) = measure([subject("gpu", 5, arithmetic=None, device="cuda")], None, (1, 4), turns, threads=1).rows
    assert [one.batch for one in row.throughput] == [1]


def test_an_engine_that_tunes_itself_first_is_not_taken_for_a_slow_one() -> None:
    first = iter([0.3])

    def infer(frames: Frames) -> None:
        time.sleep(next(first, 0.001))

    tuned = Subject(**{**vars(subject("tuned", 0, arithmetic=None)), "infer": infer})
    result = measure([tuned], None, (4,), Turns(repeats=3, seconds=0.5, pause_s=0), threads=1)
    assert [one.batch for one in result.rows[0].throughput] == [4]


def test_a_burst_keeps_as_many_batches_under_way_as_the_engine_takes() -> None:
    under_way: list[int] = []

    class Watched(FakeEngine):
        def submit(self, frames: Frames) -> int:
            ticket = super().submit(frames)
            under_way.append(len(self._under_way))
            return ticket

    engine = Watched((4, 4), slots=2)
    row = subject("gpu", 0, device="cuda", engine=engine)
    assert row.burst(np.zeros((1, 4, 4, 3), np.uint8)) == BURST
    assert under_way == [1] + [2] * (BURST - 1)
    assert subject("cpu", 0, engine=engine).burst(np.zeros((1, 4, 4, 3), np.uint8)) == 1
    engine.close()


def test_a_batch_of_a_burst_takes_its_share_of_the_time() -> None:
    def maps(frames: Frames) -> Any:
        time.sleep(0.005)
        return np.zeros(frames.shape[:3], np.float32)

    engine = FakeEngine((4, 4), maps)
    row = subject("gpu", 0, arithmetic=None, device="cuda", engine=engine)
    (one,) = measure([row], None, (1,), QUICK, 1).rows[0].throughput
    engine.close()
    assert 5 <= one.batch_ms.p50 < 5 * BURST / 2
    assert one.frames_per_s == pytest.approx(1e3 / one.batch_ms.p50)


def test_rows_of_equal_names_and_unknown_references_are_refused() -> None:
    with pytest.raises(InputError, match="named a, a; expected each to have a name of its own"):
        measure([subject("a", 0), subject("a", 0)], None, (1,), QUICK, 1)
    with pytest.raises(InputError, match="named nothing"):
        measure([], None, (1,), QUICK, 1)
    with pytest.raises(InputError, match=r"--reference is 'c'; expected one of a, b"):
        measure([subject("a", 0), subject("b", 0)], "c", (1,), QUICK, 1)


def test_the_limit_is_that_of_the_units_that_do_the_work() -> None:
    assert limit_of("onnxruntime", "cpu", "fp16") == "fp32"  # a CPU computes it in FP32
    assert limit_of("onnxruntime", "cpu", "int8") == "int8"
    assert limit_of("torch", "cuda", "fp32") == "tf32"
    assert limit_of("tensorrt", "cuda", "fp32") == "fp32"  # built without TF32
    assert limit_of("onnxruntime", "cuda", "fp32") == "fp32"  # opened without it
    assert limit_of("tensorrt", "cuda", "fp16") == "fp16"


def test_int8_has_a_limit_of_its_own(small_limits: None) -> None:
    rows = [subject("float", 1), subject("integer", 1, limit="int8", precision="int8")]
    result = measure(rows, None, (), QUICK, threads=1)
    assert {limit.kind for limit in result.limits} == {"fp32", "int8", "copy"}
    assert result.rows[1].limit_operations_per_s == next(x.per_s for x in result.limits if x.kind == "int8")
    assert result.rows[1].best_batch == 1


def test_on_a_cpu_ratios_come_first_and_absolute_times_name_the_machine(result: Result) -> None:
    text = tables(result, "a small CPU, 1 thread", 2.918)
    assert text.index("Time as a ratio") < text.index("good for this machine alone: a small CPU, 1 thread")
    assert "| base " in text
    assert "- 1 of 30" in text


def test_the_tables_say_of_how_many_samples_they_are_and_beside_what_load(result: Result) -> None:
    text = tables(result, "a machine", 2.918)
    assert "left out of fewer samples than 100 (p95) and 300 (p99); load 2.9 before" in text
    assert "nobody knows what else ran" in tables(result, "a machine", None)
    ratio, absolute = (
        [line.split("|") for line in text.splitlines() if line.startswith("| base ")][at] for at in (0, 1)
    )
    assert [cell.strip() for cell in ratio[6:8]] == ["–", "–"]  # of 5 samples
    assert ratio[-2].strip() == absolute[6].strip() == "5"
    many = replace(result.rows[0].latency_ms, p95=7.25, samples=100)
    text = tables(replace(result, rows=(replace(result.rows[0], latency_ms=many),)), "a machine", 0.0)
    assert "| 7.2 " in text


def test_on_a_gpu_absolute_times_come_first_and_a_missing_limit_is_said() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here, and with it its limit")
    gpu = subject("gpu", 1, device="cuda", engine=FakeEngine((4, 4)))
    result = measure([gpu], None, (), QUICK, 1)
    text = tables(result, "a machine", 0.0)
    assert text.index("Absolute times") < text.index("Time as a ratio")
    assert "no limit of fp32 on cuda could be measured; on a GPU that takes PyTorch with CUDA" in text
    assert result.rows[0].share is None


def test_a_frame_that_takes_a_minute_has_a_rate_and_a_ratio(result: Result) -> None:
    rows = (
        replace(result.rows[0], best_frames_per_s=1 / 51.8, frames_per_s_ratio=0.00123),
        replace(result.rows[1], best_frames_per_s=51.84),
    )
    text = tables(replace(result, rows=rows), "a machine", 0.0)
    assert "| 0.019 " in text
    assert "| 0.0012 " in text
    assert "| 51.8 " in text


def test_rows_of_unequal_frames_are_said_to_be(small_limits: None) -> None:
    result = measure([subject("a", 0), subject("b", 0, size_hw=(4, 6))], None, (), QUICK, 1)
    assert "the rows differ in the size of the frame: their ratios compare different work" in result.notes


def test_a_roof_bends_where_the_copy_meets_the_product(result: Result) -> None:
    limits = (Limit("fp32", "cpu", "product", 100e9, 110e9, 5), Limit("copy", "cpu", "copy", 10e9, 11e9, 5))
    document = json.loads(json.dumps({**asdict(result), "limits": [asdict(x) for x in limits]}))
    drawn = roofline({**document, "environment": {"cpu": "a CPU"}})
    axes = drawn.axes[0]
    x, y = axes.lines[0].get_data()
    bend = x[np.argmax(y >= 100 * (1 - 1e-9))]
    assert bend == pytest.approx(10, rel=0.1)
    assert y[0] == pytest.approx(10 * x[0])
    (place,) = axes.collections[0].get_offsets()
    assert place.tolist() == pytest.approx([25, result.rows[0].operations_per_s / 1e9])  # type: ignore[operator]
    with pytest.raises(InputError, match=r"no result of benchmarks\.throughput"):
        roofline({"rows": []})
    with pytest.raises(InputError, match="no row of this result has an arithmetic"):
        roofline({"rows": [], "limits": [], "environment": {"cpu": "a CPU"}})

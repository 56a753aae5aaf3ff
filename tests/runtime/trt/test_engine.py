"""The engine's logic, over a GPU that is as late as a real one may be and plans that ONNX Runtime executes."""

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx_tensorrt import MAGIC, NUMPY, Context, OnnxTensorRt
from recording_cuda import GPU, JETSON, RecordingCuda
from runtime_samples import SIZE_HW, make_recipe, recipe_with_image_evidence
from tensorrt_samples import MAX_BATCH, make_engine, make_plan

from runtime.detector_file import read_detector
from runtime.engines.onnxruntime_engine import OnnxRuntimeEngine
from runtime.errors import DetectorError, EngineError, ResultTimeout
from runtime.scoring import Scoring
from runtime.tensorrt.builder import BuildOptions, build_plan
from runtime.tensorrt.cuda import Event, Memory, Stream
from runtime.tensorrt.cuda.base import LOST
from runtime.tensorrt.engine import TensorRtEngine, check_tensors
from runtime.tensorrt.sidecar import Tensor

Batch = NDArray[np.uint8]


@pytest.fixture
def cuda() -> RecordingCuda:
    return RecordingCuda()


@pytest.fixture
def engine(cuda: RecordingCuda) -> Iterator[TensorRtEngine]:
    opened = make_engine(cuda)
    yield opened
    opened.close()


def batch(n: int, seed: int = 0) -> Batch:
    return np.random.default_rng(seed).integers(0, 255, (n, *SIZE_HW, 3), np.uint8)


def expected(frames: Batch) -> NDArray[np.float32]:
    return (np.abs(frames[..., 0].astype(np.float64) - 128) / 128).astype(np.float32)


def is_right(engine: TensorRtEngine, frames: Batch) -> bool:
    output = engine.result(engine.submit(frames), timeout_s=5)
    maps, scores = expected(frames), expected(frames).max(axis=(1, 2))
    return np.allclose(output.anomaly_map, maps, atol=1e-6) and np.allclose(output.anomaly_score, scores, atol=1e-6)


@pytest.mark.parametrize("device", [GPU, JETSON], ids=["copied", "mapped"])
@pytest.mark.parametrize("has_graphs", [True, False])
def test_every_batch_is_right_while_sizes_change_and_slots_overlap(device: Any, has_graphs: bool) -> None:
    engine = make_engine(RecordingCuda(device, has_graphs))
    under_way: list[tuple[int, Batch]] = []
    for step, n in enumerate([1, 1, 1, 1, 1, 2, 2, 2, 2, 1, 3, 1, 1, 1, 1, 4, 4, 4, 4, 4, 4]):
        frames = batch(n, step)
        under_way.append((engine.submit(frames), frames.copy()))
        frames[:] = 0  # the engine owns a copy
        if len(under_way) == engine.slots:
            ticket, original = under_way.pop(step % 2)
            np.testing.assert_allclose(engine.result(ticket).anomaly_map, expected(original), atol=1e-6)
    engine.close()


def test_an_upload_is_queued_beside_the_work_on_the_batch_before(engine: TensorRtEngine, cuda: RecordingCuda) -> None:
    first, second = engine.submit(batch(1, 1)), engine.submit(batch(1, 2))
    slot = engine._under_way[first]
    uploads, work = slot._uploads.handle, slot.work.handle
    assert len(uploads.work) == 4  # two copies with a mark behind each
    uploads.run()  # the second frame arrives while nothing of the first was worked on
    assert work.work
    for ticket, seed in ((first, 1), (second, 2)):
        np.testing.assert_allclose(engine.result(ticket).anomaly_map, expected(batch(1, seed)), atol=1e-6)


def test_mapped_memory_is_never_copied() -> None:
    cuda = RecordingCuda(JETSON)
    engine = make_engine(cuda)
    assert is_right(engine, batch(2))
    assert not {"upload", "download", "device_memory"} & set(cuda.calls)
    assert "mapped memory" in engine.description
    engine.close()


def test_the_third_batch_of_a_size_is_one_graph(engine: TensorRtEngine, cuda: RecordingCuda) -> None:
    for seed in range(4):  # both slots, twice: a plain launch, then a capture
        assert is_right(engine, batch(1, seed))
    cuda.calls.clear()
    assert is_right(engine, batch(1, 9))
    assert [call for call in cuda.calls if call != "is_done"] == ["upload", "record", "wait", "launch", "record"]


def test_another_batch_size_drops_the_graph_and_captures_anew(engine: TensorRtEngine, cuda: RecordingCuda) -> None:
    for n in (1, 1, 1, 1, 2, 2, 2, 2):
        assert is_right(engine, batch(n, n))
    assert (cuda.calls.count("capture"), cuda.calls.count("drop"), cuda.graphs) == (4, 2, 2)


@pytest.mark.parametrize("where", ["capture", "end of capture"])
def test_a_failed_capture_returns_to_plain_launches(where: str, caplog: pytest.LogCaptureFixture) -> None:
    cuda = RecordingCuda()
    engine = make_engine(cuda)
    cuda.fail[where] = "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"
    with caplog.at_level(logging.WARNING):
        assert all(is_right(engine, batch(1, seed)) for seed in range(6))
    assert "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED" in caplog.text
    assert "the plan runs by plain launches" in caplog.text
    assert cuda.calls.count("capture") == 1
    assert "launch" not in cuda.calls
    assert "plain launches" in engine.description
    engine.close()


def test_a_binding_without_graphs_is_never_asked_for_one() -> None:
    cuda = RecordingCuda(has_graphs=False)
    engine = make_engine(cuda)
    assert all(is_right(engine, batch(1, seed)) for seed in range(6))
    assert "capture" not in cuda.calls
    assert "plain launches" in engine.description
    engine.close()


def test_an_engine_works_from_any_thread(engine: TensorRtEngine) -> None:
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(is_right(engine, batch(1))))
    thread.start()
    thread.join()
    assert found == [True]


def test_a_late_result_is_a_timeout_and_its_ticket_stays_valid() -> None:
    engine = make_engine(RecordingCuda(polls=50))
    ticket = engine.submit(batch(1))
    with pytest.raises(ResultTimeout, match=r"no result within 0 s; the GPU is too slow or overloaded"):
        engine.result(ticket, timeout_s=0)
    np.testing.assert_allclose(engine.result(ticket, 5).anomaly_map, expected(batch(1)), atol=1e-6)
    engine.close()


@pytest.mark.parametrize("call", ["upload", "wait", "record"])
def test_a_failed_call_breaks_the_engine_aloud(call: str, cuda: RecordingCuda) -> None:
    engine = make_engine(cuda)
    cuda.fail[call] = "CUDA_ERROR_ILLEGAL_ADDRESS"
    with pytest.raises(EngineError, match=f"the CUDA call {call} failed: CUDA_ERROR_ILLEGAL_ADDRESS"):
        engine.submit(batch(1))
    cuda.fail.clear()
    with pytest.raises(
        EngineError, match=r"the GPU failed before .*ILLEGAL_ADDRESS.*; start the program again: after s"
    ):
        engine.submit(batch(1))
    engine.close()


@pytest.mark.parametrize(
    ("fault", "advice"),
    [
        ("CUDA_ERROR_LAUNCH_FAILED", "start the program again"),
        ("cuMemcpyHtoDAsync failed: unspecified launch failure", "start the program again"),  # in PyCUDA's words
        ("CUDA_ERROR_OUT_OF_MEMORY", "open the detector again"),
        ("CUDA_ERROR_INVALID_VALUE", "open the detector again"),
    ],
)
def test_after_a_fault_the_advice_is_one_that_can_help(fault: str, advice: str, cuda: RecordingCuda) -> None:
    engine = make_engine(cuda)
    cuda.fail["upload"] = fault
    with pytest.raises(EngineError, match=fault):
        engine.submit(batch(1))
    with pytest.raises(EngineError, match=advice):
        engine.submit(batch(1))
    engine.close()


def test_what_the_driver_ends_a_process_for_is_what_its_header_says() -> None:
    driver = pytest.importorskip("cuda.bindings.driver", reason="cuda-bindings is not installed")
    told = {code.name: " ".join((code.__doc__ or "").split()) for code in driver.CUresult}
    if not told["CUDA_ERROR_ILLEGAL_ADDRESS"]:
        pytest.skip("this version of cuda-bindings documents no codes")
    words = ("the process must be terminated", "The context cannot be used anymore")
    assert {name for name, text in told.items() if any(each in text for each in words)} == {
        name for name in LOST if name.startswith("CUDA_ERROR_")
    }


def test_what_the_work_ran_into_comes_out_with_the_result(cuda: RecordingCuda) -> None:
    engine = make_engine(cuda)
    ticket = engine.submit(batch(1))
    cuda.fail["is_done"] = "CUDA_ERROR_LAUNCH_FAILED"
    with pytest.raises(EngineError, match="CUDA_ERROR_LAUNCH_FAILED"):
        engine.result(ticket)
    with pytest.raises(EngineError, match="unknown"):
        engine.result(ticket)
    cuda.fail["synchronize"] = "CUDA_ERROR_LAUNCH_FAILED"
    engine.close()
    assert cuda.closed


def test_closing_after_a_fault_waits_for_each_slot_and_raises_nothing(
    cuda: RecordingCuda, caplog: pytest.LogCaptureFixture
) -> None:
    engine = make_engine(cuda)
    for _ in range(2):
        engine.submit(batch(1))
    cuda.fail["synchronize"] = "CUDA_ERROR_LAUNCH_FAILED"
    engine.close()
    assert cuda.calls.count("synchronize") == 2
    assert cuda.closed
    assert "while closing: the CUDA call synchronize failed: CUDA_ERROR_LAUNCH_FAILED" in caplog.text


def test_a_profile_that_the_binding_refuses_is_our_error(cuda: RecordingCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(context: Context, index: int, stream: int) -> bool:
        raise RuntimeError("Error in set optimization profile async.")

    trt = OnnxTensorRt(lambda: cuda)
    plan = make_plan(trt, cuda)
    monkeypatch.setattr(Context, "set_optimization_profile_async", refuse)
    with pytest.raises(EngineError, match=r"refused the optimization profile \(Error in set .*\); build the plan anew"):
        TensorRtEngine(trt, cuda, plan, make_recipe())
    assert cuda.closed


def test_closing_waits_and_frees_everything(cuda: RecordingCuda) -> None:
    engine = make_engine(cuda)
    engine.submit(batch(1))
    engine.close()
    assert "synchronize" in cuda.calls
    assert cuda.closed
    assert not cuda.memory


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        ("context", "could not make an execution context: .*smaller --max-batch"),
        ("execute", "TensorRT could not start on the batch: it gave no reason"),
        ("shape", "TensorRT refused a batch of 1; build the plan anew"),
    ],
)
def test_each_refusal_of_tensorrt_has_its_sentence(problem: str, message: str, cuda: RecordingCuda) -> None:
    trt = OnnxTensorRt(lambda: cuda)
    plan = make_plan(trt, cuda)
    trt.problems.add(problem)
    with pytest.raises(EngineError, match=message):  # noqa: PT012
        engine = TensorRtEngine(trt, cuda, plan, make_recipe())
        engine.submit(batch(1))


def test_a_plan_that_tensorrt_refuses_frees_the_gpu(cuda: RecordingCuda) -> None:
    with pytest.raises(EngineError, match="TensorRT refused the plan: magic tag does not match"):
        TensorRtEngine(OnnxTensorRt(lambda: cuda), cuda, b"not a plan", make_recipe())
    assert cuda.closed


def test_the_largest_batch_is_the_plans_own(engine: TensorRtEngine) -> None:
    assert engine.max_batch == MAX_BATCH
    assert engine.tensors[0] == Tensor("frames", "UINT8", (-1, *SIZE_HW, 3))


# What the recording GPU is there to catch: each fault is one that a real GPU may forgive on a good day.


def no_wait(cuda: RecordingCuda) -> None:
    cuda.wait = lambda stream, event: None  # type: ignore[method-assign]


def no_mark_after_the_upload(cuda: RecordingCuda) -> None:
    record, uploads = cuda.record, list[Stream]()

    def skip(event: Event, stream: Stream) -> None:
        if not uploads:
            uploads.append(stream)
        if stream is not uploads[0]:
            record(event, stream)

    cuda.record = skip  # type: ignore[method-assign]


def no_synchronisation(cuda: RecordingCuda) -> None:
    cuda.is_done = lambda event: True  # type: ignore[method-assign]


def downloads_in_another_stream(cuda: RecordingCuda) -> None:
    download, other = cuda.download, list[Stream]()

    def elsewhere(device: Memory, host: Memory, size: int, stream: Stream) -> None:
        if not other:
            other.append(cuda.stream())
        download(device, host, size, other[0])

    cuda.download = elsewhere  # type: ignore[method-assign]


def one_buffer_for_both_slots(cuda: RecordingCuda) -> None:
    host_memory, first = cuda.host_memory, dict[int, Memory]()

    def shared(size: int, mapped: bool = False) -> Memory:
        if size not in first:
            first[size] = host_memory(size, mapped)
        return first[size]

    cuda.host_memory = shared  # type: ignore[method-assign]


def swapped_buffers(cuda: RecordingCuda) -> None:
    device_memory, made = cuda.device_memory, list[Memory]()

    def swapped(size: int) -> Memory:
        made.append(device_memory(max(size, 1 << 16)))
        return made[-2] if len(made) % 3 == 0 else made[-1]

    cuda.device_memory = swapped  # type: ignore[method-assign]


FAULTS = [
    no_wait,
    no_mark_after_the_upload,
    no_synchronisation,
    downloads_in_another_stream,
    one_buffer_for_both_slots,
    swapped_buffers,
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_the_recording_gpu_catches(fault: Callable[[RecordingCuda], None]) -> None:
    cuda = RecordingCuda(has_graphs=False)
    fault(cuda)
    engine = make_engine(cuda)
    tickets = [(engine.submit(batch(2, seed)), batch(2, seed)) for seed in (1, 2)]
    outputs = [(engine.result(ticket), frames) for ticket, frames in tickets]
    right = [
        np.allclose(output.anomaly_map, expected(frames), atol=1e-6)
        and np.allclose(output.anomaly_score, expected(frames).max(axis=(1, 2)), atol=1e-6)
        for output, frames in outputs
    ]
    assert not all(right)


def test_the_recording_gpu_catches_a_graph_kept_over_a_change_of_shape(
    cuda: RecordingCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine(cuda)
    assert all(is_right(engine, batch(1, seed)) for seed in range(4))
    slot = engine._free[0]
    resize, graph = slot._resize, slot.graph

    def keep(n: int) -> None:
        resize(n)
        slot.graph = graph

    monkeypatch.setattr(slot, "_resize", keep)
    assert not is_right(engine, batch(2))


def test_a_memory_bank_judges_as_on_onnx_runtime(bank_file: Path, cuda: RecordingCuda) -> None:
    model, recipe = read_detector(bank_file)
    trt = OnnxTensorRt(lambda: cuda)
    with cuda.current():
        plan = build_plan(trt, model, recipe.size_hw, BuildOptions(MAX_BATCH)).plan
    frames = np.load(bank_file.with_suffix(".parity.npz"))["frames"][:MAX_BATCH]
    plain = OnnxRuntimeEngine(model, recipe, threads=1)
    engine = TensorRtEngine(trt, cuda, plan, recipe)
    try:
        for count in (1, 3):
            found, expected = (each.result(each.submit(frames[:count])) for each in (engine, plain))
            assert found.evidence_scores is not None
            assert expected.evidence_scores is not None
            assert found.evidence_scores.shape == (count, 2)
            np.testing.assert_allclose(found.evidence_scores, expected.evidence_scores, rtol=1e-4, atol=1e-4)
    finally:
        engine.close()
        plain.close()


def test_a_wrong_type_is_refused_before_anything_runs() -> None:
    right = make_recipe()
    good = [Tensor("frames", "UINT8", (-1, 16, 24, 3)), Tensor("anomaly_map", "FLOAT", (-1, 16, 24))]
    good.append(Tensor("anomaly_score", "FLOAT", (-1,)))
    check_tensors(tuple(good), right)
    for wrong in (
        [replace(good[0], dtype="FLOAT"), *good[1:]],
        [good[0], replace(good[1], dtype="HALF"), good[2]],
        [good[0], replace(good[1], shape=(-1, 24, 16)), good[2]],
        good[:2],
        [*good, Tensor("evidence", "FLOAT", (-1, 4, 16, 24))],
    ):
        with pytest.raises(DetectorError, match=r"the plan has frames .*; its recipe says frames UINT8 \[-1, 16"):
            check_tensors(tuple(wrong), right)
    by_position = replace(right, scoring=Scoring(by_position=True))
    check_tensors((*good, Tensor("deviation_map", "FLOAT", (-1, 16, 24))), by_position)
    with pytest.raises(DetectorError, match=r"its recipe says .*, deviation_map FLOAT \[-1, 16, 24\]; "):
        check_tensors(tuple(good), by_position)
    whole = recipe_with_image_evidence()
    right_ones = (*good, Tensor("deviation_map", "FLOAT", (-1, 16, 24)), Tensor("evidence_scores", "FLOAT", (-1, 2)))
    check_tensors(right_ones, whole)
    for wrong_ones in (right_ones[:-1], (*right_ones[:-1], Tensor("evidence_scores", "FLOAT", (-1, 3)))):
        with pytest.raises(DetectorError, match=r"its recipe says .*, evidence_scores FLOAT \[-1, 2\]; "):
            check_tensors(wrong_ones, whole)
    explained = replace(right, explain=True)
    check_tensors((*good, Tensor("evidence", "FLOAT", (-1, 4, 16, 24))), explained)


def test_the_stand_in_knows_the_types_that_the_engine_knows() -> None:
    from runtime.tensorrt.engine import DTYPES

    assert {name: NUMPY[name] for name in DTYPES} == DTYPES
    assert MAGIC

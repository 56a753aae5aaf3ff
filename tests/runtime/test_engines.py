"""One contract for every engine. A new engine joins by one line in ENGINES."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from runtime_samples import SIZE_HW, make_recipe, tiny_model

from runtime.detector import Detector
from runtime.engines import Engine, threaded
from runtime.engines.fake import FakeEngine, deviation_from_grey
from runtime.engines.onnxruntime_engine import open_session
from runtime.engines.shared import SharedEngine
from runtime.errors import DetectorError, EngineError, InputError, ResultTimeout
from runtime.recipe import Recipe


def fake_engine() -> Engine:
    return FakeEngine(SIZE_HW, lambda frames: np.abs(frames[:, :, :, 0].astype(np.float32) - 128) / 128)


def onnxruntime_engine() -> Engine:
    pytest.importorskip("onnx", reason="the graph of this test is built with the onnx package")
    from runtime.engines.onnxruntime_engine import OnnxRuntimeEngine

    return OnnxRuntimeEngine(tiny_model(), make_recipe(), threads=1)


def tensorrt_engine() -> Engine:
    pytest.importorskip("onnx", reason="the graph of this test is built with the onnx package")
    from recording_cuda import RecordingCuda
    from tensorrt_samples import make_engine

    return make_engine(RecordingCuda())


def openvino_engine() -> Engine:
    pytest.importorskip("onnx", reason="the graph of this test is built with the onnx package")
    pytest.importorskip("openvino", reason="OpenVINO is not installed; pip install openvino")
    from runtime.engines.openvino_engine import OpenVinoEngine

    return OpenVinoEngine(tiny_model(), make_recipe(), threads=1)


def stand_in_engine() -> Engine:
    return served_engine("tiny_stand_in")


def triton_engine() -> Engine:
    return served_engine("tiny_triton")


def served_engine(server: str) -> Engine:
    pytest.importorskip("grpc", reason="pip install 'proctor[triton]': NO served detector was tried")
    pytest.importorskip("onnx", reason="the graph of this test is built with the onnx package")
    import served_samples

    return Detector.open(getattr(served_samples, server)()).engine


def share_of_an_engine() -> Engine:
    return SharedEngine(fake_engine(), SIZE_HW, 1).shares[0]


ENGINES = {
    "fake": fake_engine,
    "share": share_of_an_engine,
    "onnxruntime": onnxruntime_engine,
    "openvino": openvino_engine,
    "tensorrt": tensorrt_engine,
    "triton's protocol": stand_in_engine,
    "triton": triton_engine,
}


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    opened: Callable[[], Engine] = ENGINES[request.param]
    engine = opened()
    yield engine
    engine.close()


def batch(n: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 255, (n, *SIZE_HW, 3), np.uint8)


def expected_maps(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    return (np.abs(frames[..., 0].astype(np.float64) - 128) / 128).astype(np.float32)


@pytest.mark.parametrize("n", [1, 3])
def test_a_batch_gives_its_maps_and_scores(engine: Engine, n: int) -> None:
    frames = batch(n)
    output = engine.result(engine.submit(frames))
    assert output.anomaly_map.dtype == output.anomaly_score.dtype == np.float32
    np.testing.assert_allclose(output.anomaly_map, expected_maps(frames), atol=1e-6)
    np.testing.assert_allclose(output.anomaly_score, expected_maps(frames).max(axis=(1, 2)), atol=1e-6)
    assert output.regression_error is None
    assert output.predictive_variance is None


def test_results_may_be_taken_in_any_order(engine: Engine) -> None:
    batches = [batch(1, seed) for seed in range(engine.slots)]
    tickets = [engine.submit(frames) for frames in batches]
    for frames, ticket in reversed(list(zip(batches, tickets, strict=True))):
        np.testing.assert_allclose(engine.result(ticket).anomaly_map, expected_maps(frames), atol=1e-6)


def test_frames_are_copied_before_submit_returns(engine: Engine) -> None:
    frames = batch(engine.max_batch)
    original = frames.copy()
    ticket = engine.submit(frames)
    frames[:] = 0
    np.testing.assert_allclose(engine.result(ticket).anomaly_map, expected_maps(original), atol=1e-6)


def test_outputs_belong_to_the_caller(engine: Engine) -> None:
    output = engine.result(engine.submit(batch(1)))
    kept = output.anomaly_map.copy()
    assert output.anomaly_map.flags.writeable
    for seed in range(1, engine.slots + 1):  # every slot is used again
        engine.result(engine.submit(batch(1, seed)))
    np.testing.assert_array_equal(output.anomaly_map, kept)


def test_slots_used_again_keep_their_batches_apart(engine: Engine) -> None:
    for n in (1, 2, 1):  # one batch after the other, and larger than the slot has seen
        engine.result(engine.submit(batch(n, 7)))
        batches = [batch(n, seed) for seed in range(engine.slots)]
        tickets = [engine.submit(frames) for frames in batches]
        for frames, ticket in zip(batches, tickets, strict=True):
            np.testing.assert_allclose(engine.result(ticket).anomaly_map, expected_maps(frames), atol=1e-6)


def test_each_result_can_be_taken_once(engine: Engine) -> None:
    ticket = engine.submit(batch(1))
    engine.result(ticket)
    with pytest.raises(EngineError, match=f"ticket {ticket} is unknown; each result can be taken once"):
        engine.result(ticket)


def test_more_than_all_slots_are_refused_until_a_result_is_taken(engine: Engine) -> None:
    tickets = [engine.submit(batch(1)) for _ in range(engine.slots)]
    with pytest.raises(EngineError, match=f"all {engine.slots} slots are under way; take a result first"):
        engine.submit(batch(1))
    engine.result(tickets[0])
    engine.submit(batch(1))


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((1, 16, 24, 3), np.float32),
        np.zeros((16, 24, 3), np.uint8),
        np.zeros((1, 24, 16, 3), np.uint8),
        np.zeros((1, 16, 24, 4), np.uint8),
        np.zeros((0, 16, 24, 3), np.uint8),
        np.zeros((1000, 16, 24, 3), np.uint8),
    ],
    ids=lambda frames: f"{frames.dtype} {frames.shape}",
)
def test_frames_of_a_wrong_shape_or_type_are_refused(engine: Engine, frames: NDArray[np.uint8]) -> None:
    with pytest.raises(EngineError, match=r"got frames \[.*\] of .*; expected uint8 \[n, 16, 24, 3\] with n from 1 to"):
        engine.submit(frames)


def test_a_closed_engine_refuses_work_and_may_be_closed_again(engine: Engine) -> None:
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="the engine is closed; open the detector again"):
        engine.submit(batch(1))


def test_an_engine_says_what_it_is(engine: Engine) -> None:
    assert engine.description


def test_a_late_result_is_a_timeout_and_its_ticket_stays_valid() -> None:
    def slow(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        time.sleep(0.2)
        return deviation_from_grey(frames)

    engine = FakeEngine(SIZE_HW, slow)
    ticket = engine.submit(batch(1))
    with pytest.raises(ResultTimeout, match=r"no result within 0\.01 s; the machine is too slow or overloaded"):
        engine.result(ticket, timeout_s=0.01)
    assert engine.result(ticket, timeout_s=5).anomaly_score.shape == (1,)
    engine.close()


def test_closing_does_not_wait_for_ever_for_a_call_that_hangs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(threaded, "CLOSE_S", 0.05)
    release = threading.Event()

    def hang(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        release.wait(60)
        return deviation_from_grey(frames)

    engine = FakeEngine(SIZE_HW, hang)
    engine.submit(batch(1))
    engine.close()
    assert not release.is_set()
    assert "fake engine still hangs after 0.05 s and is left behind" in caplog.text
    release.set()


def test_a_failed_batch_frees_its_slot() -> None:
    def fail(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        raise EngineError("out of memory")

    engine = FakeEngine(SIZE_HW, fail, slots=1)
    for _ in range(3):
        ticket = engine.submit(batch(1))
        with pytest.raises(EngineError, match="out of memory"):
            engine.result(ticket)
    engine.close()


def test_onnxruntime_refuses_what_it_cannot_run() -> None:
    from runtime.engines.onnxruntime_engine import OnnxRuntimeEngine

    with pytest.raises(EngineError, match="provider is 'npu'; expected one of cpu, cuda"):
        OnnxRuntimeEngine(b"", make_recipe(), provider="npu")
    with pytest.raises(EngineError, match="ONNX Runtime cannot load the detector: "):
        OnnxRuntimeEngine(b"not a model", make_recipe())
    for threads in (-1, 0, 99999999999):
        with pytest.raises(InputError, match=f"threads is {threads}; expected a whole number from 1 to 1,024"):
            OnnxRuntimeEngine(b"", make_recipe(), threads=threads)


def opened_by_onnxruntime(model: bytes, recipe: Recipe) -> Engine:
    from runtime.engines.onnxruntime_engine import OnnxRuntimeEngine

    return OnnxRuntimeEngine(model, recipe, threads=1)


def opened_by_openvino(model: bytes, recipe: Recipe) -> Engine:
    pytest.importorskip("openvino", reason="OpenVINO is not installed; pip install openvino")
    from runtime.engines.openvino_engine import OpenVinoEngine

    return OpenVinoEngine(model, recipe, threads=1)


OPENERS = pytest.mark.parametrize("opened", [opened_by_onnxruntime, opened_by_openvino])


def with_another_output(model: Any) -> None:
    model.graph.node.append(onnx_helper().make_node("Identity", ["anomaly_map"], ["extra"]))
    model.graph.output.append(onnx_helper().make_tensor_value_info("extra", 1, ["N", *SIZE_HW]))


def without_its_score(model: Any) -> None:
    del model.graph.output[1]


def in_float64(model: Any) -> None:
    model.graph.node[-1].output[0] = "score"
    model.graph.node.append(onnx_helper().make_node("Cast", ["score"], ["anomaly_score"], to=11))
    model.graph.output[1].type.tensor_type.elem_type = 11


def with_one_score_for_each_row(model: Any) -> None:
    axes = next(each for each in model.graph.initializer if each.name == "axes")
    axes.CopyFrom(onnx().numpy_helper.from_array(np.array([2]), "axes"))
    model.graph.output[1].type.tensor_type.shape.dim.add().dim_value = SIZE_HW[0]


def with_frames_in_float32(model: Any) -> None:
    model.graph.input[0].type.tensor_type.elem_type = 1


def onnx() -> Any:
    return pytest.importorskip("onnx", reason="the graph of this test is built with the onnx package")


def onnx_helper() -> Any:
    return onnx().helper


@OPENERS
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            with_another_output,
            r"outputs .*extra float32 \[N, 16, 24\], its recipe says anomaly_map float32 \[N, 16, 24\]",
        ),
        (
            without_its_score,
            r"the outputs anomaly_map float32 \[N, 16, 24\], its recipe says .*, anomaly_score float32",
        ),
        (
            in_float64,
            r"anomaly_score \S+ \[N\], its recipe says anomaly_map .*, anomaly_score float32 \[N\]; copy the fi",
        ),
        (
            with_one_score_for_each_row,
            r"anomaly_score float32 \[N, 16\], its recipe says .*anomaly_score float32 \[N\]",
        ),
        (with_frames_in_float32, r"the graph takes frames float32 \[N, 16, 24, 3\], its recipe expects frames uint8 "),
    ],
)
def test_a_graph_that_is_not_the_recipes_is_refused_before_it_runs(
    opened: Callable[[bytes, Recipe], Engine], change: Callable[[Any], None], message: str
) -> None:
    model = onnx().load_model_from_string(tiny_model())
    change(model)
    with pytest.raises(DetectorError, match=message):
        opened(model.SerializeToString(), make_recipe())


@OPENERS
def test_a_graph_of_other_frames_than_the_recipes_is_refused(opened: Callable[[bytes, Recipe], Engine]) -> None:
    onnx()
    expected = (
        r"the graph takes frames uint8 \[N, 16, 24, 3\], its recipe expects frames uint8 \[N, 8, 24, 3\]; copy the"
    )
    with pytest.raises(DetectorError, match=expected):
        opened(tiny_model(), replace(make_recipe(), size_hw=(8, 24)))


@OPENERS
def test_a_graph_that_leaves_a_length_open_and_gives_another_fails_that_batch_alone(
    opened: Callable[[bytes, Recipe], Engine],
) -> None:
    model = onnx().load_model_from_string(tiny_model())
    model.graph.node[-2].output[0] = "whole"
    # as many rows as the brightest pixel says: no library knows before it has seen a frame
    nodes = [
        ("ReduceMax", ["channel"], "brightest", {"keepdims": 0}),
        ("Cast", ["brightest"], "rows", {"to": 7}),
        ("Reshape", ["rows", "one"], "end", {}),
        ("Slice", ["whole", "zero", "end", "one"], "anomaly_map", {}),
    ]
    made = [onnx_helper().make_node(kind, given, [name], **more) for kind, given, name, more in nodes]
    for place, node in enumerate(made):
        model.graph.node.insert(len(model.graph.node) - 1 if place == 3 else 2 + place, node)
    model.graph.node[-1].input[0] = "whole"
    constants = {"zero": np.array([0]), "one": np.array([1])}
    model.graph.initializer.extend(onnx().numpy_helper.from_array(value, name) for name, value in constants.items())
    model.graph.node[-2].input[4:] = []
    model.graph.output[0].type.tensor_type.shape.dim[1].ClearField("value")
    engine = opened(model.SerializeToString(), make_recipe())
    frames = np.full((1, *SIZE_HW, 3), 200, np.uint8)
    assert engine.result(engine.submit(frames)).anomaly_map.shape == (1, *SIZE_HW)
    frames[:] = 0
    with pytest.raises(EngineError, match=r"the graph gives anomaly_map as .*, its recipe says \[1, 16, 24\]"):
        engine.result(engine.submit(frames))
    engine.close()


@OPENERS
def test_a_failure_inside_the_library_becomes_an_engine_error(opened: Callable[[bytes, Recipe], Engine]) -> None:
    # the pixels of one frame alone
    model = onnx().load_model_from_string(tiny_model())
    model.graph.node[0].input[0] = "reshaped"
    model.graph.initializer.append(onnx().numpy_helper.from_array(np.array([1, *SIZE_HW, 3]), "shape"))
    model.graph.node.insert(0, onnx_helper().make_node("Reshape", ["frames", "shape"], ["reshaped"]))
    engine = opened(model.SerializeToString(), make_recipe())
    ticket = engine.submit(batch(2))
    # OpenVINO reshapes two frames to one, and says nothing
    with pytest.raises(
        EngineError, match=r"failed on a batch of 2: |gives anomaly_map as \[1, 16, 24\], its recipe say"
    ):
        engine.result(ticket)
    engine.close()


def test_a_gpu_is_asked_for_without_tf32_and_for_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def refuse(model: bytes, options: object, providers: object) -> None:
        asked.append(providers)
        raise RuntimeError("no GPU")

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)
    with pytest.raises(EngineError, match="ONNX Runtime cannot load the detector: no GPU"):
        open_session(b"", "cuda", 1)
    assert asked == [[("CUDAExecutionProvider", {"use_tf32": "0"})]]

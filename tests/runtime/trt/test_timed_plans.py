"""Plans as rows of `benchmarks.throughput`: bursts over both slots, arithmetic from the detector beside them."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from runtime_samples import SIZE_HW, make_recipe
from tensorrt_samples import Computer

from benchmarks.throughput.measure import measure
from benchmarks.throughput.onnx_subjects import subject_of_plan
from benchmarks.throughput.subject import BURST
from benchmarks.throughput.timing import Turns
from runtime.errors import DetectorError
from runtime.onnx_file import graph_sha256, with_metadata
from runtime.tensorrt import plans
from runtime.tensorrt.builder import BuildOptions


def convolving_model() -> bytes:
    """A detector's graph with one convolution: the map is blue."""
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Cast", ["frames"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["pixels"], ["first"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["first", "w"], ["one"]),
        helper.make_node("Squeeze", ["one", "channel"], ["anomaly_map"]),
        helper.make_node("ReduceMax", ["anomaly_map", "axes"], ["anomaly_score"], keepdims=0),
    ]
    weights = {"w": np.array([1, 0, 0], np.float32).reshape(1, 3, 1, 1), "channel": [1], "axes": [1, 2]}
    graph = helper.make_graph(
        nodes,
        "convolving",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, ["N", *SIZE_HW, 3])],
        [
            helper.make_tensor_value_info("anomaly_map", TensorProto.FLOAT, ["N", *SIZE_HW]),
            helper.make_tensor_value_info("anomaly_score", TensorProto.FLOAT, ["N"]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


@pytest.fixture
def convolving_plan(tmp_path: Path, computer: Computer) -> Path:
    pytest.importorskip("onnx", reason="the detector of these tests is built with the onnx package")
    model, onnx = convolving_model(), tmp_path / "detector.onnx"
    frames = np.random.default_rng(0).integers(0, 255, (2, *SIZE_HW, 3), np.uint8)
    np.savez_compressed(onnx.with_suffix(".parity.npz"), frames=frames)
    frames_sha256 = hashlib.sha256(onnx.with_suffix(".parity.npz").read_bytes()).hexdigest()
    recipe = replace(make_recipe(), graph_sha256=graph_sha256(model), parity_sha256=frames_sha256)
    onnx.write_bytes(with_metadata(model, recipe.metadata))
    plans.build_plan_file(onnx, onnx.with_suffix(".plan"), BuildOptions(max_batch=2))
    return onnx.with_suffix(".plan")


def test_a_plan_is_timed_with_the_arithmetic_of_its_detector(convolving_plan: Path) -> None:
    subject = subject_of_plan("plan", convolving_plan, None)
    assert subject.burst(np.zeros((2, *SIZE_HW, 3), np.uint8)) == BURST
    result = measure([subject], None, (1, 2, 4), Turns(repeats=3, pause_s=0), threads=1)
    subject.close()
    (row,) = result.rows
    assert row.multiply_adds == SIZE_HW[0] * SIZE_HW[1] * 3
    assert (row.device, row.precision, row.limit) == ("cuda", "fp32", "fp32")
    assert [one.batch for one in row.throughput] == [1, 2]  # the plan takes no four
    assert row.engine.startswith("TensorRT 10.3.0, NVIDIA")


def test_a_plan_without_its_detector_has_times_alone(convolving_plan: Path) -> None:
    convolving_plan.with_suffix(".onnx").unlink()
    subject = subject_of_plan("plan", convolving_plan, None)
    result = measure([subject], None, (), Turns(repeats=3, pause_s=0), threads=1)
    subject.close()
    assert result.rows[0].multiply_adds is None
    assert result.limits == ()
    assert result.notes == ("plan: the detector.onnx of this plan is not beside it; no arithmetic",)


def test_a_stale_plan_is_not_rebuilt_to_be_timed(convolving_plan: Path, computer: Computer) -> None:
    computer.trt.__version__ = "10.4.0"
    with pytest.raises(DetectorError, match="Rebuilding was forbidden"):
        subject_of_plan("plan", convolving_plan, None)

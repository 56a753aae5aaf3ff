"""Any ONNX file of one image input, through the same engines as ours."""

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from small_graphs import Source, image_model, make_model

from benchmarks.throughput.onnx_subjects import image_input, subject_of_detector, subject_of_foreign
from runtime.default_detector import DEMO_DETECTOR
from runtime.errors import EngineError, InputError

FLOAT, HALF, UINT8 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.UINT8


def frames(n: int = 2) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (n, 6, 8, 3), np.uint8)


def written(source: Source, folder: Path) -> Path:
    (folder / "foreign.onnx").write_bytes(image_model(source))
    return folder / "foreign.onnx"


@pytest.mark.parametrize(
    ("source", "scale"),
    [
        ((FLOAT, ("n", 3, 6, 8)), 255),
        ((FLOAT, ("n", "h", "w", 3)), 255),
        ((HALF, ("n", 3, 6, 8)), 255),
        ((UINT8, ("n", 6, 8, 3)), 1),
        ((UINT8, ("n", 3, "h", "w")), 1),
    ],
)
@pytest.mark.parametrize("engine", ["onnxruntime-cpu", "openvino"])
def test_frames_reach_the_graph_as_it_takes_them(source: Source, scale: int, engine: str, tmp_path: Path) -> None:
    if engine == "openvino":
        pytest.importorskip("openvino", reason="OpenVINO is optional")
    subject = subject_of_foreign("foreign", written(source, tmp_path), engine, (6, 8), threads=1)
    # a float input takes RGB; an integer one the frame as it is, BGR
    weights = [3, 2, 1] if source[0] != UINT8 else [1, 2, 3]
    expected = (frames().astype(np.float64) * weights).sum(axis=3) / scale
    found = subject.infer(frames())
    assert isinstance(found, list)
    assert len(found) == 2  # the label is not fetched
    np.testing.assert_allclose(found[0][:, 0], expected, rtol=2e-3)
    np.testing.assert_allclose(found[1], expected.max(axis=(1, 2)), rtol=2e-3)
    assert subject.arithmetic is not None
    assert subject.arithmetic.multiply_adds == 6 * 8 * 3


def test_a_file_of_one_frame_a_batch_says_so(tmp_path: Path) -> None:
    path = written((FLOAT, (1, 3, 6, 8)), tmp_path)
    assert subject_of_foreign("one", path, "onnxruntime-cpu", (99, 99), 1).max_batch == 1


def test_a_size_counts_only_where_the_file_leaves_it_open() -> None:
    assert image_input(image_model((FLOAT, (1, 3, 6, 8))), (99, 99)).size_hw == (6, 8)
    assert image_input(image_model((FLOAT, (1, 3, "h", "w"))), (98, 99)).size_hw == (98, 99)


def test_our_detector_gives_the_same_by_both_ways_in() -> None:
    pytest.importorskip("openvino", reason="OpenVINO is optional")
    ours = subject_of_detector("ours", DEMO_DETECTOR, "onnxruntime-cpu", threads=1)
    other = subject_of_detector("other", DEMO_DETECTOR, "openvino", threads=1)
    frame = np.random.default_rng(0).integers(0, 256, (1, *ours.size_hw, 3), np.uint8)
    output, found = ours.infer(frame), other.infer(frame)
    ours.close()
    assert isinstance(found, list)
    expected = output.anomaly_map  # type: ignore[attr-defined]
    np.testing.assert_allclose(found[0], expected, atol=1e-3 * expected.std())
    assert (ours.precision, ours.limit, ours.device) == ("fp32", "fp32", "cpu")


def test_inputs_that_are_no_image_are_refused(tmp_path: Path) -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    with pytest.raises(InputError, match=r"takes float32 \[1, 5\]; expected uint8 or float \[N, 3, H, W\]"):
        image_input(make_model([node], (FLOAT, (1, 5)), {"y": FLOAT}), (6, 8))
    with pytest.raises(InputError, match=r"nowhere.onnx cannot be read"):
        subject_of_foreign("x", tmp_path / "nowhere.onnx", "onnxruntime-cpu", (6, 8), 1)


def test_cuda_is_refused_where_it_is_absent(tmp_path: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("ONNX Runtime has CUDA here")
    path = written((FLOAT, (1, 3, 6, 8)), tmp_path)
    with pytest.raises(EngineError, match=r"has no CUDAExecutionProvider; pip install onnxruntime-gpu"):
        subject_of_foreign("foreign", path, "onnxruntime-cuda", (6, 8), 1)


def test_openvino_is_refused_where_it_is_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)  # as Python has it for a package that is not there
    monkeypatch.delitem(sys.modules, "runtime.engines.openvino_engine", raising=False)
    path = written((FLOAT, (1, 3, 6, 8)), tmp_path)
    with pytest.raises(EngineError, match="OpenVINO is not installed; pip install openvino, or leave it out"):
        subject_of_foreign("foreign", path, "openvino", (6, 8), 1)

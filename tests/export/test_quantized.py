"""The INT8 graph from within: what each layer's numbers stand for."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from export.layers import Layer, Observed, find_layers, load_graph, observe
from export.quantized import quantized
from runtime.detector_file import read_detector
from runtime.engines.onnxruntime_engine import open_session
from train.data import PreparedImages, Split


class Case:
    """A detector's graph before and after, and good frames."""

    def __init__(self, detector: Path, split: Split) -> None:
        model, recipe = read_detector(detector)
        images = PreparedImages(split.training, recipe.size_hw, None)
        self.frames = np.stack([images[index] for index in range(len(images))])
        proto = load_graph(model)
        self.layers: list[Layer] = find_layers(proto)
        self.observed: dict[str, Observed] = observe(proto, self.layers, (f[None] for f in self.frames), "max")
        self.exact, self.model = proto.SerializeToString(), model
        self.pixels = str(self.layers[0].conv.input[0])
        self.int8 = quantized(proto, self.layers, self.observed)


@pytest.fixture(scope="module")
def case(fp32_file: Path, part_split: Split) -> Case:
    return Case(fp32_file, part_split)


def tensor(model: bytes, name: str, frames: np.ndarray) -> np.ndarray:
    proto = onnx.load_model_from_string(model)
    kind = TensorProto.INT8 if name.endswith(".q") else TensorProto.FLOAT
    proto.graph.output.append(helper.make_tensor_value_info(name, kind, None))
    session = open_session(proto.SerializeToString(), "cpu", 1)
    return np.asarray(session.run([name], {"frames": frames})[0])


def test_activations_behind_the_pools_change_nothing(case: Case) -> None:
    before, after = (tensor(model, "anomaly_map", case.frames) for model in (case.model, case.exact))
    np.testing.assert_allclose(before, after, atol=1e-5 * before.std())
    kinds = [node.op_type for node in onnx.load_model_from_string(case.exact).graph.node]
    assert kinds[kinds.index("Conv") + 1 :][:2] == ["MaxPool", "LeakyRelu"]


def test_the_pixels_are_exact(case: Case) -> None:
    found = tensor(case.int8, "pixels.1.q", case.frames)
    expected = tensor(case.exact, case.pixels, case.frames) - 128
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_convolutions_result_spans_int8_and_errs_to_neither_side(case: Case, index: int) -> None:
    layer = case.layers[index]
    step = case.observed[layer.name].ranges.step[:, None, None]
    expected = tensor(case.exact, layer.before_activation, case.frames) / step
    found = tensor(case.int8, f"{layer.name}.z", case.frames)
    assert np.abs(found - expected).mean() < (0.3, 1.0, 2.0)[index]  # rounding alone: 0.25; errors add up
    assert (
        np.abs((found - expected).mean(axis=(0, 2, 3))).max() < (0.1, 0.7, 0.9)[index]
    )  # behind it, with what was lost before
    whole = tensor(case.int8, f"{layer.name}.q", case.frames)
    assert whole.min() <= -120
    assert whole.max() >= 120


def test_zero_is_exact_for_the_next_convolution(case: Case) -> None:
    layer = case.layers[0]
    middle: Any = tensor(case.int8, f"{layer.name}.scaled", case.frames) - tensor(
        case.int8, f"{layer.name}.x", case.frames
    )
    np.testing.assert_allclose(middle, np.round(middle), atol=1e-3)

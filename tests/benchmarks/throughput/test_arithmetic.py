"""The counter of multiply-adds against graphs counted by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from small_graphs import make_model

from benchmarks.throughput.arithmetic import count
from runtime.detector_file import read_detector
from runtime.errors import DetectorError, InputError

STUDENTS = Path(__file__).parents[2] / "runtime" / "samples" / "schema1.onnx"  # one student of p = 33

FLOAT, HALF, UINT8, INT8, INT32 = (
    TensorProto.FLOAT,
    TensorProto.FLOAT16,
    TensorProto.UINT8,
    TensorProto.INT8,
    TensorProto.INT32,
)


def zeros(*shape: int, dtype: Any = np.float32) -> Any:
    return np.zeros(shape, dtype)


def one(operator: str, shape: tuple[int, ...], weight: Any, **attributes: Any) -> bytes:
    """A model of one node of two operands."""
    node = helper.make_node(operator, ["x", "w"], ["y"], **attributes)
    return make_model([node], (FLOAT, shape), {"y": FLOAT}, {"w": weight})


@pytest.mark.parametrize(
    ("model", "shape", "expected"),
    [
        # 10×12 pixels, kernel 3, stride 2, padding 1: 5×6 places, 8 filters of 4·3·3
        (one("Conv", (1, 4, 10, 12), zeros(8, 4, 3, 3), strides=[2, 2], pads=[1] * 4), (1, 4, 10, 12), 5 * 6 * 8 * 36),
        (one("Conv", (1, 4, 10, 12), zeros(8, 2, 3, 3), group=2), (1, 4, 10, 12), 8 * 10 * 8 * 18),
        (one("Conv", (1, 4, 10, 12), zeros(4, 1, 3, 3), group=4), (1, 4, 10, 12), 4 * 8 * 10 * 9),  # depthwise
        (one("Conv", (1, 4, 10, 12), zeros(8, 4, 3, 3), dilations=[2, 2]), (1, 4, 10, 12), 6 * 8 * 8 * 36),
        (one("ConvTranspose", (1, 4, 5, 6), zeros(4, 7, 2, 2), strides=[2, 2]), (1, 4, 5, 6), 5 * 6 * 4 * 7 * 4),
        (one("MatMul", (3, 5, 11), zeros(11, 13)), (3, 5, 11), 3 * 5 * 11 * 13),
        (one("Gemm", (11, 5), zeros(11, 13), transA=1), (11, 5), 5 * 11 * 13),
        (one("Gemm", (5, 11), zeros(13, 11), transB=1), (5, 11), 5 * 11 * 13),
        (one("Einsum", (2, 5, 7), zeros(7, 3), equation="bij,jk->bik"), (2, 5, 7), 2 * 5 * 7 * 3),
    ],
)
def test_one_layer_is_counted_as_by_hand(model: bytes, shape: tuple[int, ...], expected: int) -> None:
    counted = count(model, shape)
    assert counted.multiply_adds == expected
    assert counted.operations == 2 * expected
    assert counted.precision == "fp32"


def test_integer_layers_are_counted_and_called_int8() -> None:
    nodes = [
        helper.make_node("ConvInteger", ["x", "w"], ["a"]),
        helper.make_node("Cast", ["a"], ["b"], to=UINT8),
        helper.make_node("QLinearConv", ["b", "s", "z", "v", "s", "z8", "s", "z"], ["c"]),
        helper.make_node("MatMulInteger", ["c", "m"], ["y"]),
    ]
    weights = {
        "w": zeros(4, 3, 3, 3, dtype=np.int8),
        "v": zeros(2, 4, 1, 1, dtype=np.int8),
        "m": zeros(8, 5, dtype=np.int8),
        "s": np.float32(1),
        "z": np.uint8(0),
        "z8": np.int8(0),
    }
    counted = count(make_model(nodes, (UINT8, (1, 3, 10, 10)), {"y": INT32}, weights), (1, 3, 10, 10))
    assert [layer.multiply_adds for layer in counted.layers] == [64 * 4 * 27, 64 * 2 * 4, 2 * 8 * 8 * 5]
    assert counted.precision == "int8"


def test_a_convolution_between_quantizations_is_int8_and_moves_bytes() -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        helper.make_node("DequantizeLinear", ["wq", "s", "z"], ["wd"]),
        helper.make_node("Conv", ["xd", "wd"], ["a"]),
        helper.make_node("LeakyRelu", ["a"], ["b"]),
        helper.make_node("QuantizeLinear", ["b", "s", "z"], ["bq"]),
        helper.make_node("DequantizeLinear", ["bq", "s", "z"], ["y"]),
    ]
    weights = {"wq": zeros(4, 3, 3, 3, dtype=np.int8), "s": np.float32(1), "z": np.int8(0)}
    counted = count(make_model(nodes, (FLOAT, (1, 3, 10, 10)), {"y": FLOAT}, weights), (1, 3, 10, 10))
    assert counted.multiply_adds == 64 * 4 * 27
    assert counted.precision == "int8"
    assert counted.moved_bytes == 300 + 4 * 27 + 64 * 4  # one byte each


def test_float32_layers_move_four_bytes_and_half_ones_two() -> None:
    whole = count(one("Conv", (1, 3, 10, 10), zeros(4, 3, 3, 3)), (1, 3, 10, 10))
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    model = make_model([node], (HALF, (1, 3, 10, 10)), {"y": HALF}, {"w": zeros(4, 3, 3, 3, dtype=np.float16)})
    half = count(model, (1, 3, 10, 10))
    elements = 300 + 4 * 27 + 64 * 4
    assert (whole.moved_bytes, half.moved_bytes) == (4 * elements, 2 * elements)
    assert half.precision == "fp16"
    assert whole.intensity == pytest.approx(2 * 64 * 4 * 27 / (4 * elements))


def test_shifts_in_the_batch_axis_are_counted() -> None:
    nodes = [  # the four shifts of a 2×2 pool go into the batch axis, which then is 4 for one frame
        helper.make_node("Reshape", ["x", "split"], ["a"]),
        helper.make_node("Transpose", ["a"], ["b"], perm=[3, 5, 0, 1, 2, 4]),
        helper.make_node("Reshape", ["b", "joined"], ["c"]),
        helper.make_node("Conv", ["c", "w"], ["y"]),
    ]
    weights = {
        "split": np.array([-1, 3, 4, 2, 5, 2]),
        "joined": np.array([-1, 3, 4, 5]),
        "w": zeros(8, 3, 2, 2),
    }
    model = make_model(nodes, (FLOAT, ("n", 3, 8, 10)), {"y": FLOAT}, weights)
    assert count(model, (1, 3, 8, 10)).multiply_adds == 4 * (3 * 4) * 8 * 12
    assert count(model, (2, 3, 8, 10)).multiply_adds == 2 * 4 * (3 * 4) * 8 * 12


def test_a_shape_that_only_running_the_graph_tells_is_counted() -> None:
    nodes = [  # how many values are zero decides how many rows the product has: all twelve
        helper.make_node("Equal", ["x", "zero"], ["is_zero"]),
        helper.make_node("NonZero", ["is_zero"], ["places"]),
        helper.make_node("Transpose", ["places"], ["rows"], perm=[1, 0]),
        helper.make_node("Cast", ["rows"], ["values"], to=FLOAT),
        helper.make_node("MatMul", ["values", "w"], ["y"]),
    ]
    model = make_model(nodes, (FLOAT, (3, 4)), {"y": FLOAT}, {"zero": np.float32(0), "w": zeros(2, 7)})
    assert count(model, (3, 4)).multiply_adds == 12 * 2 * 7


def test_what_depends_on_weights_alone_is_left_out() -> None:
    nodes = [helper.make_node("MatMul", ["w", "w"], ["v"]), helper.make_node("MatMul", ["x", "v"], ["y"])]
    model = make_model(nodes, (FLOAT, (2, 5)), {"y": FLOAT}, {"w": zeros(5, 5)})
    assert count(model, (2, 5)).multiply_adds == 2 * 5 * 5


def test_a_detector_costs_what_its_layers_say() -> None:
    model, recipe = read_detector(STUDENTS)
    settings = recipe.method.settings
    assert recipe.size_hw == (192, 192)
    assert (settings["output_stride"], settings["students"], settings["patch_sizes"]) == (4, 1, [33])
    # p = 33 from its end: 48² positions, k4, k2, a pool, k5, a pool, k5
    teacher = 216**2 * 128 * 75 + 104**2 * 256 * 128 * 25 + 51**2 * 256 * 256 * 4 + 48**2 * 128 * 256 * 16
    assert count(model, (1, 192, 192, 3)).multiply_adds == 2 * teacher


def test_graphs_that_cannot_be_counted_are_refused(tmp_path: Path) -> None:
    relu = make_model([helper.make_node("Relu", ["x"], ["y"])], (FLOAT, (1, 3, 4, 4)), {"y": FLOAT})
    with pytest.raises(DetectorError, match="no convolution and no matrix product"):
        count(relu, (1, 3, 4, 4))
    with pytest.raises(DetectorError, match="not an ONNX file"):
        count(b"no model", (1,))
    conv = one("Conv", (1, 4, 10, 12), zeros(8, 4, 3, 3))
    with pytest.raises(InputError, match=r"an input of \[1, 4, 10, 12\], not of \[1, 4, 9, 12\]"):
        count(conv, (1, 4, 9, 12))
    with pytest.raises(InputError, match="not of"):
        count(conv, (1, 4))

"""Small graphs of known arithmetic."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

Source = tuple[int, Sequence[int | str]]


def make_model(
    nodes: Sequence[Any], source: Source, outputs: dict[str, int], weights: dict[str, Any] | None = None
) -> bytes:
    """A model of one input ``x`` of (type, shape) and outputs by name and type."""
    graph = helper.make_graph(
        list(nodes),
        "hand-made",
        [helper.make_tensor_value_info("x", *source)],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (weights or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return bytes(model.SerializeToString())


def image_model(source: Source) -> bytes:
    """A foreign detector: 1·R + 2·G + 3·B as its map, the maximum of that as score, and a label nobody wants."""
    first = source[1][1] == 3
    nodes = [
        helper.make_node("Cast", ["x"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["cast"], ["pixels"], perm=[0, 1, 2, 3] if first else [0, 3, 1, 2]),
        helper.make_node("Conv", ["pixels", "w"], ["map"]),
        helper.make_node("ReduceMax", ["map", "axes"], ["score"], keepdims=0),
        helper.make_node("Greater", ["score", "zero"], ["label"]),
    ]
    weights = {"w": np.array([1, 2, 3], np.float32).reshape(1, 3, 1, 1), "axes": [1, 2, 3], "zero": np.float32(0)}
    outputs = {"map": TensorProto.FLOAT, "score": TensorProto.FLOAT, "label": TensorProto.BOOL}
    return make_model(nodes, source, outputs, weights)

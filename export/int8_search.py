"""A memory bank's graph with its search in INT8, as QuantizeLinear and DequantizeLinear say it (Q/DQ).

What is quantized is the matrix product that finds the nearest member, half of a frame's time and more. The distance to
the member found is taken as before, in float32 from unrounded vectors: rounding can pick a member that is a little
farther, so that evidence is never below what it was, and grows by little.

The backbone's convolutions stay in float32: a bank lives on small differences of good descriptors, and INT8 blurs them.
Correlation of the maps of left-out good images (bottle) with the FP32 file's: 0.50 for ResNet-18 and 0.42 for
EfficientNet-Lite2 as `onnxruntime.quantization` makes them (static, symmetric, weights by channel, dense convolutions
but the first); for ResNet-18 simulated, without rounding of outputs, 0.90 to 0.91 with activations by channel, and 0.97
with its weights alone. The search alone gives 0.999. Lite0 gained no time from it on an x86 CPU, either: its depthwise
convolutions stay in float32, and values are brought from one layout to the other around each.

Symmetric, zero points 0: members by row, vectors by tensor over what good images show of them.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from calibration.ranges import RangeCollector
from export.graph import cleaned, weights_of
from runtime.engines.onnxruntime_engine import open_session
from runtime.errors import DetectorError
from runtime.machine import available_cores

LARGEST = 127  # symmetric: −128 is not used
PREFIX = "int8.search"
SMALLEST_STEP = 1e-12  # of a member that is the mean of all


def quantized_search(model: bytes, memory: str, frames: Iterable[NDArray[np.uint8]], ranges: str) -> bytes:
    """The ONNX file with its search in INT8, without metadata.

    `memory` is `export.graphs.memory_name`, `frames` are prepared good ones [1, H, W, 3], `ranges` is a method of
    `calibration.ranges`. Raises `DetectorError` for a graph without such a search.
    """
    proto = onnx.load_model_from_string(model)
    product = _product(proto, memory)
    largest = _largest(proto, product.input[0], frames, ranges)
    _replace(proto, product, largest / LARGEST)
    return cleaned(proto)


def _product(proto: Any, memory: str) -> Any:
    found = [node for node in proto.graph.node if node.op_type == "Gemm" and memory in node.input]
    if len(found) != 1:
        raise DetectorError(
            "the graph has no search over a memory bank; export the run anew with python -m export.onnx"
        )
    return found[0]


def _largest(proto: Any, name: str, frames: Iterable[NDArray[np.uint8]], ranges: str) -> float:
    """The largest magnitude of what is searched for, over good frames."""
    tapped = onnx.ModelProto()
    tapped.CopyFrom(proto)
    del tapped.graph.output[:]
    tapped.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    session = open_session(tapped.SerializeToString(), "cpu", available_cores())
    collector = RangeCollector(ranges)
    for frame in frames:
        (vectors,) = session.run([name], {"frames": frame})  # [n, D]
        collector.add(vectors[:, :, None, None])
    found = collector.ranges()
    return float(np.maximum(np.abs(found.low), np.abs(found.high)).max())


def _replace(proto: Any, product: Any, step: float) -> None:
    """INT8 in place of a product q·Bᵀ + squares, of vectors [n, D] and members [m, D].

    ONNX Runtime has an integer product for three dimensions; two it makes a Gemm of, in float32.
    """
    graph = proto.graph
    vectors, bank_name, squares = product.input
    bank = weights_of(graph, bank_name)
    steps = np.maximum(np.abs(bank).max(axis=1) / LARGEST, SMALLEST_STEP).astype(np.float32)
    whole = np.clip(np.round(bank / steps[:, None]), -LARGEST, LARGEST).astype(np.int8)
    constants = {
        "axis": np.array([0]),
        "zero": np.int8(0),
        "step": np.float32(step),
        "bank": np.ascontiguousarray(whole.T),  # [D, m]
        "bank_steps": steps,
        "bank_zeros": np.zeros(len(steps), np.int8),
    }
    graph.initializer.extend(numpy_helper.from_array(np.asarray(v), f"{PREFIX}.{k}") for k, v in constants.items())
    nodes = [
        _node("Unsqueeze", [vectors, "axis"], "vectors"),
        _node("QuantizeLinear", ["vectors", "step", "zero"], "q"),
        _node("DequantizeLinear", ["q", "step", "zero"], "dq"),
        _node("DequantizeLinear", ["bank", "bank_steps", "bank_zeros"], "members", axis=1),
        _node("MatMul", ["dq", "members"], "product"),
        _node("Add", ["product", squares], "distances"),
        _node("Squeeze", ["distances", "axis"], "found"),
    ]
    nodes[0].input[0], nodes[5].input[1], nodes[6].output[0] = vectors, squares, product.output[0]
    place = list(graph.node).index(product)
    graph.node.remove(product)
    for node in reversed(nodes):
        graph.node.insert(place, node)


def _node(kind: str, inputs: list[str], output: str, **attributes: Any) -> Any:
    return helper.make_node(
        kind, [f"{PREFIX}.{x}" for x in inputs], [f"{PREFIX}.{output}"], f"{PREFIX}.{output}.{kind}", **attributes
    )

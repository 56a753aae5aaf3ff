"""How much arithmetic one frame takes, counted from the ONNX graph itself.

Counted are the multiply-adds of convolutions and matrix products, in whatever precision they stand in the graph, from
the shapes that the graph has for a batch of one: the shifts that Bailer's form puts into the batch axis, the halo and
padded zeros included, since the machine computes them too. Everything else (activations, pools, sums, resizing) is left
out: it is memory traffic rather than arithmetic.

Bytes are those of each counted layer's input, weights and output, each moved once: as if what lies between two such
layers were fused into them, and nothing stayed in a cache from one to the next.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, shape_inference

from runtime.errors import DetectorError, InputError

Shape = tuple[int, ...]
# operator → positions of its data and its weights among the inputs
OPERANDS: dict[str, tuple[int, int]] = {
    "Conv": (0, 1),
    "ConvInteger": (0, 1),
    "ConvTranspose": (0, 1),
    "Einsum": (0, 1),
    "Gemm": (0, 1),
    "MatMul": (0, 1),
    "MatMulInteger": (0, 1),
    "QLinearConv": (0, 3),
    "QLinearMatMul": (0, 3),
}
PRECISIONS = {TensorProto.FLOAT: "fp32", TensorProto.FLOAT16: "fp16", TensorProto.BFLOAT16: "bf16"}
INTEGERS = (TensorProto.INT8, TensorProto.UINT8)
ACTIVATIONS = ("LeakyRelu", "Relu", "Clip")


@dataclass(frozen=True)
class Layer:
    """One convolution or matrix product, at a batch of one."""

    name: str
    operator: str
    multiply_adds: int
    moved_bytes: int
    precision: str  # fp32, fp16, bf16, int8, or the ONNX name of another type


@dataclass(frozen=True)
class Arithmetic:
    """All counted layers of a graph, at a batch of one."""

    layers: tuple[Layer, ...]

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds a frame."""
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def operations(self) -> int:
        """A multiplication and an addition are two operations."""
        return 2 * self.multiply_adds

    @property
    def moved_bytes(self) -> int:
        """Bytes a frame, as this module's text defines them."""
        return sum(layer.moved_bytes for layer in self.layers)

    @property
    def intensity(self) -> float:
        """Operations per byte moved."""
        return self.operations / max(1, self.moved_bytes)

    @property
    def precision(self) -> str:
        """That of most multiply-adds."""
        share: Counter[str] = Counter()
        for layer in self.layers:
            share[layer.precision] += layer.multiply_adds
        return share.most_common(1)[0][0]


def count(model: bytes, input_shape: Sequence[int]) -> Arithmetic:
    """The arithmetic of a model with one input, for that input's whole shape, batch included.

    Raises `DetectorError` for bytes that are no model, have several inputs or nothing to count, or hide layers in
    branches and loops, `InputError` for a shape that the graph does not take.
    """
    graph = _Graph(model, tuple(input_shape))
    nodes = [node for node in graph.nodes if node.op_type in OPERANDS and not graph.is_constant(node.output[0])]
    if not nodes:
        raise DetectorError("the graph has no convolution and no matrix product; there is no arithmetic to count")
    graph.require(name for node in nodes for name in (*_operands(node), node.output[0]))
    return Arithmetic(tuple(_layer(graph, node) for node in nodes))


def _operands(node: Any) -> tuple[str, ...]:
    data, weights = OPERANDS[node.op_type]
    return tuple(node.input[index] for index in (data, weights) if index < len(node.input))


def _layer(graph: "_Graph", node: Any) -> Layer:
    operands = [graph.shape(name) for name in _operands(node)]
    out = graph.shape(node.output[0])
    tensors = [*_operands(node), node.output[0]]
    moved = sum(prod(graph.shape(name)) * graph.stored_bytes(name) for name in tensors)
    multiply_adds = _multiply_adds(node, operands, out)
    return Layer(node.name or node.output[0], node.op_type, multiply_adds, moved, graph.precision(node))


def _multiply_adds(node: Any, operands: Sequence[Shape], out: Shape) -> int:
    data = operands[0]
    match node.op_type:
        case "Conv" | "ConvInteger" | "QLinearConv":
            return prod(out) * prod(operands[1][1:])
        case "ConvTranspose":  # each input element meets each weight of its channel once
            return prod(data) * prod(operands[1][1:])
        case "Gemm":
            transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
            return prod(out) * data[0 if transposed else 1]
        case "Einsum":
            return _einsum_multiply_adds(node, operands)
    return prod(out) * data[-1]


def _einsum_multiply_adds(node: Any, operands: Sequence[Shape]) -> int:
    """The product over all its letters of their lengths, as one loop nest; nothing for a mere transposition."""
    equation = next(helper.get_attribute_value(a) for a in node.attribute if a.name == "equation").decode()
    terms = equation.replace(" ", "").split("->")[0].split(",")
    if len(terms) != len(operands) or "." in equation:
        raise DetectorError(f"the graph has an Einsum of {equation!r}; only two operands without '...' can be counted")
    lengths = {letter: n for term, shape in zip(terms, operands, strict=True) for letter, n in zip(term, shape)}  # noqa: B905
    return prod(lengths.values()) if len(terms) > 1 else 0


class _Graph:
    """A graph with the shape and type of every value, as far as they are known."""

    def __init__(self, model: bytes, input_shape: Shape) -> None:
        try:
            proto = onnx.load_model_from_string(model)
        except Exception as error:  # protobuf's own exceptions have no common base
            raise DetectorError("not an ONNX file, or a damaged one") from error
        self.weights = {tensor.name: tensor for tensor in proto.graph.initializer}
        self.input = _only_input(proto, self.weights)
        self._fix(proto, input_shape)
        try:
            self.proto = shape_inference.infer_shapes(proto, data_prop=True)
        except Exception as error:  # InferenceError is not exported by every version
            raise InputError(f"the graph does not take an input of {list(input_shape)}: {error}") from error
        self.nodes = list(self.proto.graph.node)
        self.maker = {name: node for node in self.nodes for name in node.output}
        self.readers: dict[str, list[Any]] = {}
        for node in self.nodes:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
            if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
                raise DetectorError(f"the graph has a {node.op_type}; layers inside branches and loops are not counted")
        self.types = _types(self.proto, self.weights)
        self.input_shape = input_shape

    def _fix(self, proto: Any, input_shape: Shape) -> None:
        dims = self.input.type.tensor_type.shape.dim
        fits = len(dims) == len(input_shape) and all(
            not dim.HasField("dim_value") or dim.dim_value == n for dim, n in zip(dims, input_shape, strict=True)
        )
        if not fits:
            shape = [dim.dim_value or dim.dim_param or "?" for dim in dims]
            raise InputError(f"the graph takes an input of {shape}, not of {list(input_shape)}")
        for dim, length in zip(dims, input_shape, strict=True):
            dim.dim_value = length
        del proto.graph.value_info[:]  # symbolic shapes of the exporter, which concrete ones would not replace
        for output in proto.graph.output:
            output.type.tensor_type.ClearField("shape")

    def is_constant(self, name: str) -> bool:
        """Whether a value depends on weights alone: an engine computes it once, when it loads the graph."""
        if name in self.weights or not name:
            return True
        node = self.maker.get(name)
        return node is not None and all(self.is_constant(input_name) for input_name in node.input)

    def require(self, names: Any) -> None:
        """Make sure that all these shapes are known, by running the graph once where inference does not tell."""
        unknown = sorted({name for name in names if self.types.get(name, (0, None))[1] is None})
        if unknown:
            for name, value in _run(self.proto, self.input, self.input_shape, unknown).items():
                kind = helper.np_dtype_to_tensor_dtype(value.dtype)
                self.types[name] = (kind, tuple(value.shape))

    def shape(self, name: str) -> Shape:
        """The shape of a value that was required."""
        found = self.types[name][1]
        assert found is not None
        return found

    def precision(self, node: Any) -> str:
        """The precision of a layer: int8 where both operands are, or come straight from a DequantizeLinear."""
        if all(self._stored_type(name) in INTEGERS for name in _operands(node)):
            return "int8"
        kind = self.types[_operands(node)[0]][0]
        return PRECISIONS.get(kind) or str(TensorProto.DataType.Name(kind)).lower()

    def stored_bytes(self, name: str) -> int:
        """Bytes of one element as an engine that fuses what lies between two layers keeps it."""
        kind = self._stored_type(name)
        readers = self.readers.get(name, [])
        while len(readers) == 1 and readers[0].op_type in ACTIVATIONS:
            readers = self.readers.get(readers[0].output[0], [])
        if readers and all(reader.op_type == "QuantizeLinear" for reader in readers):
            return 1
        return int(np.dtype(helper.tensor_dtype_to_np_dtype(kind)).itemsize)

    def _stored_type(self, name: str) -> int:
        maker = self.maker.get(name)
        while maker is not None and maker.op_type in ("DequantizeLinear", "Transpose"):
            name = maker.input[0]
            maker = self.maker.get(name)
        return int(self.types[name][0])


def _only_input(proto: Any, weights: Mapping[str, Any]) -> Any:
    inputs = [value for value in proto.graph.input if value.name not in weights]
    if len(inputs) != 1:
        raise DetectorError(f"the graph has {len(inputs)} inputs; expected one, the frames")
    return inputs[0]


def _types(proto: Any, weights: Mapping[str, Any]) -> dict[str, tuple[int, Shape | None]]:
    """Element type and, where it is wholly known, shape of each value."""
    found: dict[str, tuple[int, Shape | None]] = {}
    for value in (*proto.graph.input, *proto.graph.value_info, *proto.graph.output):
        tensor = value.type.tensor_type
        dims = tensor.shape.dim
        known = tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in dims)
        found[value.name] = (tensor.elem_type, tuple(dim.dim_value for dim in dims) if known else None)
    found |= {name: (tensor.data_type, tuple(tensor.dims)) for name, tensor in weights.items()}
    return found


def _run(proto: Any, source: Any, shape: Shape, names: Sequence[str]) -> dict[str, Any]:
    """The values `names` of one run on zeros: for shapes that only running the graph tells."""
    import onnxruntime

    del proto.graph.output[:]
    proto.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    dtype = helper.tensor_dtype_to_np_dtype(source.type.tensor_type.elem_type)
    try:
        session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
        values = session.run(list(names), {source.name: np.zeros(shape, dtype)})
    except Exception as error:  # ONNX Runtime's own exceptions have no common base
        raise DetectorError(f"the shapes of the graph cannot be found, nor can it be run ({error})") from error
    return dict(zip(names, values, strict=True))

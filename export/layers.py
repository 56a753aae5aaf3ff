"""The convolutions of a detector's graph, each with what surrounds it, and what good images show of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from calibration.ranges import RangeCollector, Ranges
from runtime.engines.onnxruntime_engine import open_session
from runtime.errors import DetectorError
from runtime.machine import available_cores

PATCHES = 256  # of an image and a convolution: 32 images then give 8,192, more than a row has weights
SEED = 0
# what may lie between an activation and the next convolution: it moves values or takes their maximum, in one channel
PASSING = {"MaxPool", "Max", "Reshape", "Slice", "Transpose"}


@dataclass(frozen=True)
class Layer:
    """A convolution with its activation.

    `behind` names the layer whose activation it reads, None for pixels; `activation` is None for the last one, whose
    output are the descriptors. Between the two may lie a MaxPool, `pool`.
    """

    conv: Any
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    behind: str | None
    pool: Any | None
    activation: Any | None

    @property
    def name(self) -> str:
        """That of the convolution's output."""
        return str(self.conv.output[0])

    @property
    def before_activation(self) -> str:
        """The tensor that the activation reads."""
        assert self.activation is not None
        return str(self.activation.input[0])

    @property
    def slope(self) -> float:
        """Of the activation, for negative values."""
        return float(attributes(self.activation)["alpha"])


@dataclass(frozen=True)
class Observed:
    """What good images show of a layer: the range before its activation, and patches of its input [n, C·k·k]."""

    ranges: Ranges
    patches: NDArray[np.float32]


def attributes(node: Any) -> dict[str, Any]:
    """A node's attributes by name."""
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def load_graph(model: bytes) -> Any:
    """The model to work on: weights that are stored in FP16 as float32 again, activations behind the pools.

    A leaky ReLU commutes with a maximum. Behind it, it has a quarter of the work, and the pool reads the convolution.
    """
    proto = onnx.load_model_from_string(model)
    graph = proto.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    kept = []
    for node in graph.node:
        if node.op_type == "Cast" and node.input[0] in constants:
            values = numpy_helper.to_array(constants[node.input[0]])
            graph.initializer.remove(constants[node.input[0]])
            graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), node.output[0]))
        else:
            kept.append(node)
    del graph.node[:], graph.value_info[:]
    graph.node.extend(kept)
    for node in graph.node:
        readers = _readers(graph, node.output[0])
        if node.op_type == "LeakyRelu" and [reader.op_type for reader in readers] == ["MaxPool"]:
            _swap(node, readers[0])
    return proto


def find_layers(proto: Any) -> list[Layer]:
    """The convolutions of a graph of `load_graph`, in its order. Raises `DetectorError` for a graph not of ours."""
    graph = proto.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    producers = {output: node for node in graph.node for output in node.output}
    layers: list[Layer] = []
    owners: dict[str, str] = {}  # of each activation's output
    separable: set[str] = set()  # what depthwise convolutions give, and those of 1×1 behind them
    for node in graph.node:
        if node.op_type != "Conv":
            continue
        pool, activation = _followers(graph, node.output[0])
        if not all(name in constants for name in node.input[1:]):
            raise DetectorError(f"{node.name} has no constant weights; quantize a file that export.onnx wrote")
        weight = constants[node.input[1]]
        if weight.shape[1] == 1 or node.input[0] in separable:
            # the Gaussian over the finished map and separable convolutions: little arithmetic, that stays as it is
            separable.add(node.output[0] if activation is None else activation.output[0])
            continue
        behind = _owner(node.input[0], producers, owners)
        # the exporter leaves a bias of zeros out
        bias = constants[node.input[2]] if len(node.input) > 2 else np.zeros(len(weight), np.float32)
        layers.append(Layer(node, weight, bias, behind, pool if activation else None, activation))
        if activation is not None:
            owners[activation.output[0]] = node.output[0]
    if not any(layer.activation is not None for layer in layers):
        raise DetectorError("the graph has no convolution followed by a leaky ReLU; quantize a file of export.onnx")
    return layers


def observe(proto: Any, layers: list[Layer], frames: Iterable[NDArray[np.uint8]], method: str) -> dict[str, Observed]:
    """What prepared good frames [1, H, W, 3] show of each activated layer, by its name."""
    active = [layer for layer in layers if layer.activation is not None]
    wanted = list(dict.fromkeys(name for layer in active for name in (layer.before_activation, layer.conv.input[0])))
    tapped = onnx.ModelProto()
    tapped.CopyFrom(proto)
    del tapped.graph.output[:]
    tapped.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in wanted)
    session = open_session(tapped.SerializeToString(), "cpu", available_cores())
    collectors = {layer.name: RangeCollector(method, layer.slope) for layer in active}
    patches: dict[str, list[NDArray[np.float32]]] = {layer.name: [] for layer in active}
    random = np.random.default_rng(SEED)
    for frame in frames:
        found = dict(zip(wanted, session.run(wanted, {"frames": frame}), strict=True))
        for layer in active:
            collectors[layer.name].add(found[layer.before_activation])
            patches[layer.name].append(_patches(found[layer.conv.input[0]], layer, random))
    return {name: Observed(each.ranges(), np.concatenate(patches[name])) for name, each in collectors.items()}


def _patches(values: NDArray[np.float32], layer: Layer, random: np.random.Generator) -> NDArray[np.float32]:
    """Random receptive fields of a convolution in its input [N, C, h, w]: [n, C·k·k], as its weights are laid out."""
    rows, columns = layer.weight.shape[2:]
    dilation = attributes(layer.conv).get("dilations", [1, 1])
    span = (rows - 1) * dilation[0] + 1, (columns - 1) * dilation[1] + 1
    fields = np.lib.stride_tricks.sliding_window_view(values, span, axis=(2, 3))  # [N, C, h', w', span, span]
    image, top, left = (random.integers(0, fields.shape[axis], PATCHES) for axis in (0, 2, 3))
    chosen = fields[image, :, top, left, :: dilation[0], :: dilation[1]]  # [n, C, k, k]
    return np.ascontiguousarray(chosen.reshape(PATCHES, -1))


def _followers(graph: Any, name: str) -> tuple[Any | None, Any | None]:
    """The MaxPool and the LeakyRelu behind a convolution, if they are there."""
    pool, activation = None, None
    (reader, *others) = _readers(graph, name) or [None]
    if reader is not None and not others and reader.op_type == "MaxPool":
        pool, (reader, *others) = reader, _readers(graph, reader.output[0]) or [None]
    if reader is not None and not others and reader.op_type == "LeakyRelu":
        activation = reader
    return pool, activation


def _owner(name: str, producers: dict[str, Any], owners: dict[str, str]) -> str | None:
    """The layer whose activation a tensor comes from, None where it comes from the pixels."""
    while name not in owners:
        node = producers.get(name)
        if node is None or node.op_type in ("Cast", "Pad"):
            return None
        if node.op_type not in PASSING:
            raise DetectorError(f"{node.op_type} lies between two convolutions; quantize a file that export.onnx wrote")
        name = node.input[0]
    return owners[name]


def _readers(graph: Any, name: str) -> list[Any]:
    return [node for node in graph.node if name in node.input]


def _swap(activation: Any, pool: Any) -> None:
    """Let two nodes that follow each other change places; their names stay with what they compute."""
    first, middle, last = activation.input[0], activation.output[0], pool.output[0]
    one, other = type(activation)(), type(pool)()
    one.CopyFrom(pool)
    other.CopyFrom(activation)
    one.input[0], one.output[0] = first, middle
    other.input[0], other.output[0] = middle, last
    activation.CopyFrom(one)
    pool.CopyFrom(other)

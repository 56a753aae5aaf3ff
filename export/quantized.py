"""A detector's graph with its convolutions in INT8, as QuantizeLinear and DequantizeLinear say it (Q/DQ).

One form for ONNX Runtime and TensorRT: symmetric, zero points 0, weights by output channel, activations by tensor,
biases in float. Every convolution but the last of a network is quantized; that one, whose output are the descriptors,
and all behind it stay float32, since the score lives on small differences between descriptors. So do separable
convolutions, which have little arithmetic to save: the convolution before them gives what it means, by one more Mul.

Between two convolutions::

    Conv  →  Q DQ  →  MaxPool  →  Q DQ  →  Add  →  LeakyRelu  →  Mul  →  Sub  →  Q DQ  →  Conv

- the convolution's rows are scaled and its bias shifted so that each channel's range (`calibration.ranges`) becomes
  −128 … 127: all scales are 1, and yet each channel has a range of its own;
- so its result is rounded *before* the activation, where negative values have not been made 200 times smaller, and
  ONNX Runtime has its integer convolution, which it takes only where Q follows at once; the pool runs on integers;
- Add puts the channel's middle back, LeakyRelu is positively homogeneous and needs no scale, and Mul and Sub bring each
  channel to −127 … 127 for the next convolution, whose weights and bias undo it. Sub takes a whole number, so that 0,
  which an activation has more often than any other value, stays exact. The last convolution has float32 to read: its
  weights take the scale, and neither is needed.

The first convolution reads pixels − 128, which INT8 holds exactly. The networks use no padding of their own, so that
whatever is constant folds into a bias.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from calibration.ranges import LEVELS
from export.graph import cleaned, with_halved_weights
from export.layers import Layer, Observed
from export.rounding import rounded

PIXEL_MIDDLE = 128.0
HALF = LEVELS / 2  # of the levels, on either side of the middle
LARGEST = 127.0  # an activation's largest magnitude in INT8


def quantized(proto: Any, layers: Sequence[Layer], observed: Mapping[str, Observed]) -> bytes:
    """The ONNX file with its convolutions in INT8, without metadata; `proto` is changed."""
    graph = _Graph(proto)
    by_conv = {layer.name: layer for layer in layers}
    around = {node.output[0]: layer for layer in layers for node in (layer.pool, layer.activation) if node is not None}
    replaced: dict[str, str] = {}
    for node in [*proto.graph.node]:
        for index, name in enumerate(node.input):
            node.input[index] = replaced.get(name, name)
        output = node.output[0] if node.output else ""
        if output in by_conv:
            _convolution(graph, by_conv[output], by_conv, observed)
        elif output in around:
            layer = around[output]
            if layer.activation is not None and output == layer.activation.output[0]:
                replaced[output] = _activation(graph, layer, layers, observed)
        else:
            graph.nodes.append(node)
    return with_halved_weights(cleaned(graph.finished()))


class _Graph:
    """Nodes and constants of the graph to be."""

    def __init__(self, proto: Any) -> None:
        self.proto, self.pixels = proto, 0
        self.nodes: list[Any] = []
        self.constants = {tensor.name: tensor for tensor in proto.graph.initializer}

    def constant(self, name: str, values: NDArray[Any] | np.generic) -> str:
        self.constants[name] = numpy_helper.from_array(np.asarray(values), name)
        return name

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], f"{output}.{kind}", **attributes))
        return output

    def pair(self, name: str, scale: str | None = None) -> str:
        """A tensor through QuantizeLinear and DequantizeLinear."""
        scale = scale or self.constant("int8.scale", np.float32(1))
        zero = self.constant("int8.zero", np.int8(0))
        self.node("QuantizeLinear", [name, scale, zero], f"{name}.q")
        return self.node("DequantizeLinear", [f"{name}.q", scale, zero], f"{name}.dq")

    def finished(self) -> Any:
        graph = self.proto.graph
        used = {name for node in self.nodes for name in node.input}
        del graph.node[:], graph.initializer[:]
        graph.node.extend(self.nodes)
        graph.initializer.extend(tensor for name, tensor in self.constants.items() if name in used)
        return self.proto


def _convolution(graph: _Graph, layer: Layer, by_conv: Mapping[str, Layer], observed: Mapping[str, Observed]) -> None:
    node, name = layer.conv, layer.name
    unit, middle = _unit(layer, by_conv, observed)
    weight, bias = layer.weight.astype(np.float64) * unit[:, None, None], layer.bias.astype(np.float64)
    if layer.activation is None:
        node.input[1] = graph.constant(f"{name}.weight", weight.astype(np.float32))
        graph.nodes.append(node)
        return
    seen = observed[name]
    patches = seen.patches
    if layer.behind is None:
        node.input[0] = _pixels(graph, node.input[0])
    elif not node.input[0].endswith(".dq"):  # something moves the values in between: they stay what they are
        node.input[0] = graph.pair(node.input[0])
    bias = bias + (weight * middle[:, None, None]).sum(axis=(1, 2, 3))
    area = weight[0, 0].size
    scale, shift = (np.repeat(each, area).astype(np.float32) for each in (unit, middle))
    patches = np.asarray(patches / scale - shift, np.float32)
    step = seen.ranges.step
    whole = rounded(weight.reshape(len(weight), -1) / step[:, None], patches)
    # a range's middle is −½: 256 levels have no middle one
    shifted = (bias - seen.ranges.middle) / step + whole.bias - 0.5
    del node.input[1:]
    node.input.append(_weight(graph, name, whole.weight.reshape(weight.shape), whole.step))
    node.input.append(graph.constant(f"{name}.bias", shifted.astype(np.float32)))
    graph.nodes.append(node)


def _weight(graph: _Graph, name: str, weight: NDArray[np.int8], step: NDArray[np.float64]) -> str:
    inputs = [
        graph.constant(f"{name}.weight", weight),
        graph.constant(f"{name}.weight.scale", step.astype(np.float32)),
        graph.constant(f"{name}.weight.zero", np.zeros(len(step), np.int8)),
    ]
    return graph.node("DequantizeLinear", inputs, f"{name}.weight.dq", axis=0)


def _pixels(graph: _Graph, name: str) -> str:
    """Pixels as INT8, by a pair of their own for each network.

    ONNX Runtime merges equal pairs, and the x86 kernels then refuse INT8 that two convolutions read (1.32: the first
    convolutions run in float); scales that differ in their last bit keep the pairs apart and change no pixel.
    """
    graph.pixels += 1
    middle = graph.constant("int8.pixel_middle", np.float32(PIXEL_MIDDLE))
    scale = np.float32(1 + graph.pixels * np.finfo(np.float32).eps)
    centred = graph.node("Sub", [name, middle], f"pixels.{graph.pixels}")
    return graph.pair(centred, graph.constant(f"int8.pixel_scale.{graph.pixels}", scale))


def _activation(graph: _Graph, layer: Layer, layers: Sequence[Layer], observed: Mapping[str, Observed]) -> str:
    """From the convolution's output to what the next one reads, float32 but of INT8 values where that is quantized."""
    ranges = observed[layer.name].ranges
    name = graph.pair(layer.name)
    if layer.pool is not None:
        layer.pool.input[0] = name
        graph.nodes.append(layer.pool)
        name = graph.pair(layer.pool.output[0])
    middle = (ranges.middle / ranges.step + 0.5).astype(np.float32)
    name = graph.node("Add", [name, graph.constant(f"{layer.name}.middle", middle[:, None, None])], f"{layer.name}.z")
    name = graph.node("LeakyRelu", [name], f"{layer.name}.activated", alpha=layer.slope)
    readers = [each for each in layers if each.behind == layer.name]
    if any(each.activation is None for each in readers):
        return name  # its weights take the scale
    if not readers:
        step = graph.constant(f"{layer.name}.step", ranges.step.astype(np.float32)[:, None, None])
        return graph.node("Mul", [name, step], f"{layer.name}.x")
    unit, whole = _behind(layer, observed)
    factor = graph.constant(f"{layer.name}.factor", (ranges.step / unit).astype(np.float32)[:, None, None])
    name = graph.node("Mul", [name, factor], f"{layer.name}.scaled")
    shift = graph.constant(f"{layer.name}.shift", whole.astype(np.float32)[:, None, None])
    return graph.pair(graph.node("Sub", [name, shift], f"{layer.name}.x"))


def _unit(
    layer: Layer, by_conv: Mapping[str, Layer], observed: Mapping[str, Observed]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What a one in each input channel of a convolution stands for, and how many were taken off it; both [C]."""
    if layer.behind is None:
        channels = layer.weight.shape[1]
        return np.ones(channels), np.full(channels, PIXEL_MIDDLE)
    behind = by_conv[layer.behind]
    if layer.activation is None:
        step = observed[behind.name].ranges.step
        return step, np.zeros_like(step)
    return _behind(behind, observed)


def _behind(layer: Layer, observed: Mapping[str, Observed]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The step of each channel behind its activation, and its middle, a whole number of such steps; both [C]."""
    ranges = observed[layer.name].ranges
    low, high = (np.where(end < 0, layer.slope * end, end) for end in (ranges.low, ranges.high))
    step = (high - low) / (2 * LARGEST)
    return step, np.round((low + high) / 2 / step)

"""From the fused module to the bytes of one self-contained ONNX file."""

import logging
import warnings
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from export.fused import FusedDetector

OPSET = 18
SMALLEST_HALVED = 1024  # elements; below that halving saves nothing
KERNEL_RANK = 4  # dimensions of a convolution's weights; the statistics by position have two, and stay exact
MEMORY = "evidence.bank"  # descriptors, whose distances are far above what FP16 rounds off them
COLOURS = 3  # input channels, of the first convolutions alone


def export_graph(detector: FusedDetector, size_hw: tuple[int, int]) -> bytes:
    """The ONNX file of a fused detector for prepared frames of `size_hw`, number of frames dynamic, no metadata."""
    frames = torch.zeros(2, *size_hw, 3, dtype=torch.uint8)  # two: the exporter would take a one for a constant
    count = torch.export.Dim("frames_count", min=1, max=64)
    return exported(detector, frames, count, "frames", detector.output_names)


def exported(module: nn.Module, example: Tensor, count: torch.export.Dim, name: str, outputs: list[str]) -> bytes:
    """The ONNX file of a module of one input `name`, like `example` but for its first side, which is `count`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's notes to its own authors
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            module.eval(),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[name],
            output_names=outputs,
            dynamic_shapes=({0: count},),
            external_data=False,
            verbose=False,
        )
    assert program is not None
    return cleaned(program.model_proto)


def cleaned(model: Any) -> bytes:
    """The model's bytes without what the exporter notes on each node: source lines with paths of this machine."""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]
        value.doc_string = ""
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
    model.doc_string = model.graph.doc_string = ""
    model.producer_name, model.producer_version = "proctor", ""
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def with_halved_weights(model: bytes) -> bytes:
    """The same graph with its large float32 weights stored in FP16 and cast back: half the file, the same arithmetic.

    Engines fold the casts when they load it, so that inference is as fast as before. The first convolutions keep their
    float32: folded, their weights are 60 times smaller than the others and meet raw pixels, and halving them doubles
    the deviation of the maps (p = 33: 0.7 to 1.2 % of the map's, p = 65: 1.4 to 3.0 %) for 20 KB a network.
    """
    proto = onnx.load_model_from_string(model)
    casts, kept = [], []
    for weight in proto.graph.initializer:
        small, first = int(np.prod(weight.dims)) < SMALLEST_HALVED, list(weight.dims[1:2]) == [COLOURS]
        weights = len(weight.dims) == KERNEL_RANK or weight.name == MEMORY
        if weight.data_type != TensorProto.FLOAT or not weights or small or first:
            kept.append(weight)
            continue
        name = f"{weight.name}.half"
        kept.append(numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), name))
        casts.append(helper.make_node("Cast", [name], [weight.name], f"{weight.name}.cast", to=TensorProto.FLOAT))
    nodes = [*casts, *proto.graph.node]
    del proto.graph.initializer[:], proto.graph.node[:]
    proto.graph.initializer.extend(kept)
    proto.graph.node.extend(nodes)
    return cleaned(proto)


def has_halved_weights(graph: Any) -> bool:
    """Whether any weights of a GraphProto are stored as `with_halved_weights` stores them."""
    halves = {each.name for each in graph.initializer if each.data_type == TensorProto.FLOAT16}
    return any(node.op_type == "Cast" and node.input[0] in halves for node in graph.node)


def weights_of(graph: Any, name: str) -> NDArray[np.float32]:
    """The constant `name` of a GraphProto in float32, also where it is stored as `with_halved_weights` stores it."""
    stored = {each.output[0]: each.input[0] for each in graph.node if each.op_type == "Cast"}.get(name, name)
    found = next(numpy_helper.to_array(each) for each in graph.initializer if each.name == stored)
    return np.asarray(found, np.float32)

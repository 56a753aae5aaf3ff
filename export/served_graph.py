"""A detector's graph for a server: the same, with the recipe's hash as one output more (see `runtime.served`)."""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from runtime.engines.base import Output
from runtime.engines.onnxruntime_engine import open_session
from runtime.errors import DetectorError, ParityError
from runtime.machine import available_cores
from runtime.parity import Scored, agreement, rows_of_batches, tolerance_of
from runtime.recipe import Recipe
from runtime.served import IDENTITY, IDENTITY_SIZE, INPUT, identity_of

PREFIX = f"{IDENTITY}."  # of what is added


def served_graph(model: bytes, recipe: Recipe) -> bytes:
    """The ONNX file of a detector's served graph. It has no metadata: the recipe stands in the server's configuration.

    The hash is a constant that is repeated for each frame. Raises `DetectorError` for a graph that has it already.
    """
    proto = onnx.load_model_from_string(model)
    graph = proto.graph
    if any(output.name == IDENTITY for output in graph.output):
        raise DetectorError(f"the graph has an output {IDENTITY} already; give the detector that was exported")
    constants = {
        "hash": identity_of(recipe)[None],
        "first": np.zeros(1, np.int64),
        "size": np.array([IDENTITY_SIZE], np.int64),
    }
    graph.initializer.extend(numpy_helper.from_array(value, PREFIX + name) for name, value in constants.items())
    steps = [
        ("Shape", [INPUT], "shape", {}),
        ("Gather", ["shape", "first"], "count", {"axis": 0}),
        ("Concat", ["count", "size"], "target", {"axis": 0}),
        ("Expand", ["hash", "target"], IDENTITY, {}),
    ]
    for kind, given, made, attributes in steps:
        inputs = [each if each == INPUT else PREFIX + each for each in given]
        output = made if made == IDENTITY else PREFIX + made
        graph.node.append(helper.make_node(kind, inputs, [output], PREFIX + kind.lower(), **attributes))
    output = helper.make_tensor_value_info(IDENTITY, TensorProto.FLOAT, ["frames", IDENTITY_SIZE])
    output.type.tensor_type.shape.dim[0].CopyFrom(graph.input[0].type.tensor_type.shape.dim[0])
    graph.output.append(output)
    del proto.metadata_props[:]
    onnx.checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString(deterministic=True))


def fixed_count(model: bytes) -> int | None:
    """The number of frames that a graph is fixed to; None where it takes any."""
    first = onnx.load_model_from_string(model).graph.input[0].type.tensor_type.shape.dim[0]
    return int(first.dim_value) if first.HasField("dim_value") else None


def check_served(model: bytes, served: bytes, recipe: Recipe, frames: NDArray[np.uint8], batch: int) -> None:
    """Raise `ParityError` unless a served graph gives bit for bit what the detector's does, of prepared frames
    uint8 [n, H, W, 3], `batch` at once, and for each frame the recipe's hash; and unless the detector gives of each
    frame in that batch what it gives of the frame alone."""
    names, rows = list(recipe.outputs), rows_of_batches(len(frames), batch)[:batch]
    detector, server = (open_session(each, "cpu", available_cores()) for each in (model, served))
    expected = detector.run(names, {INPUT: frames[rows]})
    *found, identity = server.run([*names, IDENTITY], {INPUT: frames[rows]})
    for name, one, other in zip(names, found, expected, strict=True):
        if not np.array_equal(one, other, equal_nan=True):
            raise ParityError(f"the served graph computes another {name} than the detector; nothing was written")
    if not np.array_equal(identity, np.tile(identity_of(recipe), (batch, 1))):
        raise ParityError("the served graph does not say which recipe it is of; nothing was written")
    alone = Scored.of(
        [Output(**dict(zip(names, detector.run(names, {INPUT: each[None]}), strict=True))) for each in frames]
    )
    together = Scored.of([Output(**dict(zip(names, expected, strict=True)))])
    inspected = recipe.scoring.inspected(recipe.size_hw)
    agrees = agreement(alone, together, recipe.threshold.value, tolerance_of(recipe), inspected, rows)
    problem = agrees.problem(f"the detector with {batch} frames at once", "itself with one")
    if problem:
        raise ParityError(f"{problem}; nothing was written. Give --batch 1, or export the detector again")

"""Scores of a detector's own good images by its exported file, with each image left out in turn.

The file is asked itself, in its own precision: an input is added to its graph that takes members of its memory out of
reach. Nothing else of the graph changes. Evidence of the whole frame without an image follows from the evidence with it
(`calibration.image_evidence.left_out`).
"""

from collections.abc import Mapping

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper

from calibration.calibrate import progress
from calibration.image_evidence import left_out
from runtime.engines.onnxruntime_engine import open_session
from runtime.machine import available_cores
from runtime.recipe import Recipe
from train.data import PreparedImages, Split

INPUT = "out_of_reach"
FAR = 1e30  # a squared distance beyond all others, and its sum with one still a float32


def left_out_scores(
    graph: bytes,
    recipe: Recipe,
    memory: str,
    members: Mapping[str, NDArray[np.bool_]],
    split: Split,
    images: PreparedImages,
) -> NDArray[np.float64]:
    """Scores [n] of `images`, each by the detector of all others.

    `memory` is `export.graphs.memory_name`, and `members`, by the picture, what of it is that picture's.
    """
    session = open_session(with_out_of_reach(graph, memory), "cpu", available_cores())
    names = [output.name for output in session.get_outputs()]
    found = []
    for path, frame in zip(images.paths, progress(images, "left out"), strict=True):
        reach = np.where(members[split.picture(path)], np.float32(FAR), np.float32(0))
        outputs = dict(zip(names, session.run(names, {"frames": frame, INPUT: reach}), strict=True))
        found.append(_score(outputs, recipe))
    return np.array(found)


def with_out_of_reach(graph: bytes, memory: str) -> bytes:
    """A graph with one input more, float32 [m], that is added to its constant `memory`."""
    proto = onnx.load_model_from_string(graph)
    (constant,) = (tensor for tensor in proto.graph.initializer if tensor.name == memory)
    for node in proto.graph.node:
        for index, name in enumerate(node.input):
            if name == memory:
                node.input[index] = f"{memory}.reached"
    proto.graph.node.insert(0, helper.make_node("Add", [memory, INPUT], [f"{memory}.reached"]))
    proto.graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, list(constant.dims)))
    return bytes(proto.SerializeToString())


def _score(outputs: Mapping[str, NDArray[np.float32]], recipe: Recipe) -> float:
    if "evidence_scores" not in outputs:
        return float(outputs["anomaly_score"][0])
    scores = outputs["evidence_scores"][0].astype(np.float64)
    for index, kind in enumerate(recipe.method.image_evidence, start=1):
        raw = torch.tensor(scores[index] * kind.deviation + kind.mean)
        scores[index] = (float(left_out(raw.square())) - kind.mean) / kind.deviation
    return float(scores.max())

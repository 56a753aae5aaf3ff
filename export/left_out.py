"""Scores of a detector's own good images by its exported file, with each image left out in turn.

The file is asked itself, in its own precision: an input is added to its graph that takes members of its memory out of
reach. Nothing else of the graph changes. Evidence of the whole frame without an image follows from the evidence with it
(`calibration.image_evidence.left_out`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper

from calibration.calibrate import progress
from calibration.image_evidence import left_out as evidence_left_out
from export.graphs import members, memory_name
from runtime.engines.onnxruntime_engine import open_session
from runtime.machine import available_cores
from runtime.recipe import Recipe
from train.data import PreparedImages, Split
from train.method import TrainedRun

INPUT = "out_of_reach"
FAR = 1e30  # a squared distance beyond all others, and its sum with one still a float32


@dataclass(frozen=True)
class Memory:
    """What of a graph is whose: `name` is `export.graphs.memory_name`, `members` are rows of it by the picture."""

    name: str
    members: Mapping[str, NDArray[np.bool_]]
    split: Split


def memory_of(trained: TrainedRun) -> Memory:
    """The memory of a run that leaves out images in turn."""
    return Memory(memory_name(trained), members(trained), trained.split)


def left_out_scores(graph: bytes, recipe: Recipe, memory: Memory, images: PreparedImages) -> NDArray[np.float64]:
    """Scores [n] of `images`, each by the detector of all others."""
    return np.array([score for score, _ in left_out(graph, recipe, memory, images)])


def left_out(
    graph: bytes, recipe: Recipe, memory: Memory, images: PreparedImages
) -> Iterator[tuple[float, NDArray[np.float32]]]:
    """Score and map [H, W], the one that scores are of, of each of `images` by the detector of all others."""
    session = open_session(with_out_of_reach(graph, memory.name), "cpu", available_cores())
    names = [output.name for output in session.get_outputs()]
    scored_map = "deviation_map" if recipe.scoring.by_position else "anomaly_map"
    for path, frame in zip(images.paths, progress(images, "left out"), strict=True):
        reach = np.where(memory.members[memory.split.picture(path)], np.float32(FAR), np.float32(0))
        outputs = dict(zip(names, session.run(names, {"frames": frame, INPUT: reach}), strict=True))
        yield _score(outputs, recipe), outputs[scored_map][0]


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
        scores[index] = (float(evidence_left_out(raw.square())) - kind.mean) / kind.deviation
    return float(scores.max())

"""Scores and maps of a detector's own good images by its exported file, with each image left out in turn.

The file is asked itself, in its own precision: an input is added to its graph that takes members of its memory out of
reach, and the whitened features of the whole frame are an output. Nothing else of the graph changes. Evidence of the
whole frame without an image follows from these (`calibration.image_evidence.left_out_as_seen`).
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper

from calibration.calibrated import CalibratedRun
from calibration.file_scores import progress
from calibration.image_evidence import left_out_as_seen
from export.graphs import FAR
from runtime.engines.onnxruntime_engine import open_session
from runtime.machine import available_cores
from runtime.recipe import CONSTANTS, Recipe
from train.data import PreparedImages, Split

INPUT, WHITENED = "out_of_reach", "whitened"


def left_out_scores(
    graph: bytes,
    recipe: Recipe,
    memory: str,
    members: Mapping[str, NDArray[np.bool_]],
    split: Split,
    images: PreparedImages,
    known: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Scores [n] of `images`, each by the detector of all others.

    `memory` is `export.graphs.memory_name`, and `members`, by the picture, what of it is that picture's. Where there is
    image evidence, `known` [n, P + 1] are the images' `whitened` features as it was fitted to them; None for those that
    the file has, which are the same in FP32 alone.
    """
    given = progress(images, "left out")
    found = left_out_outputs(graph, memory, members, split, zip(images.paths, given, strict=True))
    knowns = [None] * len(images) if known is None else known
    return np.array([_score(outputs, recipe, each) for outputs, each in zip(found, knowns, strict=True)])


def left_out_maps(
    graph: bytes,
    name: str,
    memory: str,
    members: Mapping[str, NDArray[np.bool_]],
    split: Split,
    images: PreparedImages,
) -> NDArray[np.float32]:
    """The output `name` [n, H, W] for `images`, each by the detector of all others; the rest as `left_out_scores`."""
    given = ((path, images[index][None]) for index, path in enumerate(images.paths))
    return np.stack([outputs[name][0] for outputs in left_out_outputs(graph, memory, members, split, given)])


def left_out_outputs(
    graph: bytes,
    memory: str,
    members: Mapping[str, NDArray[np.bool_]],
    split: Split,
    images: Iterable[tuple[Path, NDArray[np.uint8]]],
) -> Iterator[dict[str, NDArray[np.float32]]]:
    """All outputs of a graph by name, for images by their files, [1, H, W, 3], each by the detector of all others."""
    session = open_session(with_out_of_reach(graph, memory), "cpu", available_cores())
    names = [output.name for output in session.get_outputs()]
    for path, frame in images:
        reach = np.where(members[split.picture(path)], np.float32(FAR), np.float32(0))
        yield dict(zip(names, session.run(names, {"frames": frame, INPUT: reach}), strict=True))


def whitened(run: CalibratedRun, images: PreparedImages) -> NDArray[np.float64] | None:
    """The whitened features of the whole frame, [n, P + 1], of images by the plain formulas; None where there are none.

    See `calibration.image_evidence`.
    """
    if run.image is None:
        return None
    frames = progress(images, "whole frames")
    return torch.cat([run.image.whitened(run.trained.pooled_features(frame).cpu()) for frame in frames]).numpy()


def with_out_of_reach(graph: bytes, memory: str) -> bytes:
    """A graph with one input more, float32 [m], that is added to its constant `memory`.

    And, where there is image evidence, one output more, float32 [N, P + 1]: the whitened features.
    """
    proto = onnx.load_model_from_string(graph)
    (constant,) = (tensor for tensor in proto.graph.initializer if tensor.name == memory)
    for node in proto.graph.node:
        for index, name in enumerate(node.input):
            if name == memory:
                node.input[index] = f"{memory}.reached"
    proto.graph.node.insert(0, helper.make_node("Add", [memory, INPUT], [f"{memory}.reached"]))
    proto.graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, list(constant.dims)))
    for node in [each for each in proto.graph.node if f"{CONSTANTS}image_bias" in each.input]:
        proto.graph.node.append(helper.make_node("Identity", node.output, [WHITENED]))
        proto.graph.output.append(helper.make_tensor_value_info(WHITENED, TensorProto.FLOAT, None))
    return bytes(proto.SerializeToString())


def _score(outputs: Mapping[str, NDArray[np.float32]], recipe: Recipe, known: NDArray[np.float64] | None) -> float:
    if "evidence_scores" not in outputs:
        return float(outputs["anomaly_score"][0])
    (kind,) = recipe.method.image_evidence
    seen = torch.from_numpy(outputs[WHITENED]).double()
    of_frame = float(left_out_as_seen(seen if known is None else torch.from_numpy(known[None]), seen))
    return max(float(outputs["evidence_scores"][0, 0]), (of_frame - kind.mean) / kind.deviation)

"""What the runtime's tests share: a recipe, detectors over fake engines, frames, a list as a source, a tiny graph, a
handshake's parts inspected."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.cameras import open_source
from runtime.cameras.base import FreeRun
from runtime.detector import Detector
from runtime.engines.base import Output
from runtime.engines.fake import FakeEngine, MapFunction, deviation_from_grey
from runtime.engines.threaded import ThreadedEngine
from runtime.errors import ProctorError
from runtime.frames import Frame
from runtime.line.handshake import Handshake
from runtime.line.results import Outcome
from runtime.onnx_file import graph_sha256, with_metadata
from runtime.pipeline import Pipeline
from runtime.recipe import Evidence, HealthLimits, ImageEvidence, Method, Provenance, Recipe
from runtime.scoring import Scoring
from runtime.summary import Summary
from runtime.threshold import Threshold
from runtime.verdict import Decision, Verdict

SIZE_HW = (16, 24)
METHOD = Method(
    "students",
    "patches of 17×17, 33×33 pixels, one every 4 pixels, with 3 students for each size",
    tuple(
        Evidence(f"{name}, p = {size}", 0.5, mean, deviation)
        for name, size, mean, deviation in (
            ("regression error", 17, 1.0, 0.5),
            ("predictive variance", 17, 0.1, 0.05),
            ("regression error", 33, 2.0, 0.5),
            ("predictive variance", 33, 0.25, 0.125),
        )
    ),
    {"patch_sizes": [17, 33], "students": 3, "output_stride": 4, "form": "bailer"},
)


def make_recipe() -> Recipe:
    """A detector of 24×16 pixels whose score is within 0 and 1 and whose threshold is 0.5."""
    return Recipe(
        size_hw=SIZE_HW,
        interpolation="area",
        aspect="stretch",
        scoring=Scoring(),
        method=METHOD,
        score_quantiles={"0.5": 0.2, "0.99": 0.4},
        threshold=Threshold(0.5, 0.001, 0.95, 80, "gumbel", False, 0.0367),
        health=HealthLimits(20.0, 235.0, 0.2, 1.0, 2.0),
        precision="fp32",
        explain=False,
        largest_activation=12.5,
        parity_sha256="c" * 64,
        graph_sha256="d" * 64,
        provenance=Provenance({"training": 240, "threshold": 30}, "e" * 64, {"torch": "2.5"}, "unknown", "2026-01-01"),
    )


def recipe_with_image_evidence() -> Recipe:
    """The same with one kind of evidence of the whole frame, and scores by position."""
    recipe = make_recipe()
    kind = ImageEvidence("whole frame", "mean and deviation of the features of EfficientNet over the frame", 5.0, 0.5)
    method = replace(recipe.method, image_evidence=(kind,))
    return replace(recipe, method=method, scoring=Scoring(by_position=True))


def whole_frame_detector(whole: float, **settings: Any) -> Detector:
    """A detector over a fake engine that says `whole` of each frame as a whole; `settings` are of its `Scoring`."""
    recipe = recipe_with_image_evidence()
    recipe = replace(recipe, scoring=replace(recipe.scoring, **settings))

    def infer(frames: NDArray[np.uint8]) -> Output:
        maps = deviation_from_grey(frames)
        scores = np.stack([maps.max(axis=(1, 2)), np.full(len(maps), whole, np.float32)], axis=1)
        return Output(maps, scores.max(axis=1), maps.copy(), scores)

    return Detector(recipe, ThreadedEngine(infer, SIZE_HW, 8, 2, "fake engine"))


def fake_detector(maps: MapFunction = deviation_from_grey, slots: int = 2) -> Detector:
    """A detector over a fake engine whose maps are a function of the frames."""
    return Detector(make_recipe(), FakeEngine(SIZE_HW, maps, slots=slots))


SHARES = (0.5, 0.25, 0.2, 0.05)  # of `explaining_detector`'s kinds in each value of its map


def explaining_detector(size_hw: tuple[int, int] = SIZE_HW) -> Detector:
    """A detector over a fake engine whose file explains itself: four kinds of evidence with fixed shares in the map."""
    recipe = replace(make_recipe(), explain=True, size_hw=size_hw)
    kinds = recipe.method.evidence

    def infer(frames: NDArray[np.uint8]) -> Output:
        maps = deviation_from_grey(frames)
        terms = zip(SHARES, kinds, strict=True)
        raw = [kind.mean + kind.deviation * share / kind.weight * maps for share, kind in terms]
        return Output(maps, maps.max(axis=(1, 2)), evidence=np.stack(raw, axis=1).astype(np.float32))

    return Detector(recipe, ThreadedEngine(infer, size_hw, 8, 2, "fake engine"))


def grey_frame(frame_id: int = 0, grey: int = 128, spot: int | None = None, **fields: Any) -> Frame:
    """A flat grey frame of the detector's size; `spot` is the grey of 2×2 pixels at x 10, y 4."""
    image: NDArray[np.uint8] = np.full((*SIZE_HW, 3), grey, np.uint8)
    if spot is not None:
        image[4:6, 10:12] = spot
    return Frame(image, frame_id, **fields)


class ListSource(FreeRun):
    """A source of given items: frames are returned, errors raised; then the stream ends."""

    drops, lost, reconnects = 0, 0, 0

    def __init__(self, items: Iterable[Frame | ProctorError], live: bool = False) -> None:
        self.live = live
        self._items = iter(items)

    def read(self, timeout_s: float = 5.0) -> Frame | None:
        item = next(self._items, None)
        if isinstance(item, Exception):
            raise item
        return item

    def close(self) -> None:
        self._items = iter(())


def lose_twice(
    url: str, kill: Callable[[], None], hang: Callable[[], None], resume: Callable[[], None], **options: Any
) -> Summary:
    """Run a camera that is killed, comes back, hangs, is resumed after its loss was noticed, and comes back again."""
    steps = iter((kill, hang))
    ok_in_a_row = losses = 0

    def sink(frame: Frame, verdict: Verdict) -> None:
        nonlocal ok_in_a_row, losses
        ok_in_a_row = ok_in_a_row + 1 if verdict.decision is Decision.OK else 0
        if verdict.reason.startswith("camera lost"):
            losses += 1
            resume()
        if ok_in_a_row == 3:
            next(steps, pipeline.stop)()

    with fake_detector() as detector, open_source(url, **options) as source:
        pipeline = Pipeline(source, detector, sink)
        summary = pipeline.run()
    assert losses == 2
    return summary


def write_detector(path: Path) -> Path:
    """Write a real detector.onnx, made by the onnx package: its map is how far blue is from 128, over 128."""
    model = tiny_model()
    recipe = replace(make_recipe(), graph_sha256=graph_sha256(model))
    path.write_bytes(with_metadata(model, {**recipe.metadata, "author": "somebody"}))
    return path


def tiny_model() -> bytes:
    """An ONNX graph with a detector's inputs and outputs."""
    from onnx import TensorProto, helper, numpy_helper

    def constant(name: str, value: Any) -> Any:
        return numpy_helper.from_array(np.asarray(value), name)

    height, width = SIZE_HW
    nodes = [
        helper.make_node("Cast", ["frames"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Gather", ["pixels", "blue"], ["channel"], axis=3),
        helper.make_node("Sub", ["channel", "middle"], ["signed"]),
        helper.make_node("Abs", ["signed"], ["distance"]),
        helper.make_node("Div", ["distance", "middle"], ["anomaly_map"]),
        helper.make_node("ReduceMax", ["anomaly_map", "axes"], ["anomaly_score"], keepdims=0),
    ]
    constants = [
        constant("blue", np.int64(0)),
        constant("middle", np.float32(128)),
        constant("axes", np.array([1, 2], np.int64)),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, ["N", height, width, 3])],
        [
            helper.make_tensor_value_info("anomaly_map", TensorProto.FLOAT, ["N", height, width]),
            helper.make_tensor_value_info("anomaly_score", TensorProto.FLOAT, ["N"]),
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


@contextmanager
def inspecting(handshake: Handshake, verdict_of: Callable[[int], Outcome]) -> Iterator[None]:
    """Parts of that handshake get their verdict at once, by their ids."""
    ended = threading.Event()

    def inspect() -> None:
        while not ended.is_set():
            handshake.beat()
            if (one := handshake.take(0.02)) is not None:
                handshake.acquired(one.acquisition_id)
                handshake.finish(one.acquisition_id, verdict_of(one.part.part_id))

    thread = threading.Thread(target=inspect)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()

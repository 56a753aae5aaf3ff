"""Parts that no recalibration saw, scored by many files that differ in nothing but what good images decide.

Their networks and their memory are the same, so that each part goes through these once. What they give, raw evidence
and pooled features, goes through the rest of each file's graph, cut out of it: the scores are the whole file's, bit by
bit.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from runtime.demo import DemoLine
from runtime.demo.defects import DEFECTS
from runtime.demo.line import FADING_PARTS
from runtime.detector_file import read_detector
from runtime.engines.onnxruntime_engine import open_session
from runtime.onnx_file import operand_beside, read_constants, with_constants, with_outputs
from runtime.preparation import prepare
from runtime.recipe import CONSTANTS
from train.progress import Progress

SIZE_HW = (256, 256)
FRESH_SEED = 200_000  # of lines that nothing was trained on, one for each part
SCORE = "anomaly_score"

Array = NDArray[np.float64]
Raw = dict[str, NDArray[np.float32]]


def line_under(light: float, seed: int) -> tuple[DemoLine, int]:
    """A demo line, and the number of its part under this share of the lamp's light."""
    return DemoLine(seed, SIZE_HW, 0.0, 1 - light), FADING_PARTS


@dataclass(frozen=True)
class Fresh:
    """Good and defective parts under one light, as far as networks and memory take them."""

    graph_sha256: str  # of the file that they were seen by
    own: Array  # its scores, [n]
    tail: bytes  # its graph from `raw` on
    raw: tuple[Raw, ...]  # of each part
    good: int  # that come first; the others are defective

    def scores(self, detector: Path) -> tuple[Array, Array]:
        """Of the good and of the defective parts, by a file that differs in its constants of calibration alone."""
        model, recipe = read_detector(detector)
        found = self.own if recipe.graph_sha256 == self.graph_sha256 else self.by_tail(model)
        return found[: self.good], found[self.good :]

    def by_tail(self, model: bytes) -> Array:
        """Scores [n] by the tail, with the constants of a whole graph."""
        tail = open_session(with_constants(self.tail, read_constants(model, CONSTANTS)), "cpu", 1)
        return np.array([tail.run([SCORE], raw)[0].item() for raw in self.raw], np.float64)


def seen(detector: Path, light: float, good: int, defective: int) -> Fresh:
    """So many parts under this share of the light; the kinds of defect take turns.

    Raises `AssertionError` where networks and tail give another score than the whole file does.
    """
    model, recipe = read_detector(detector)
    names = [operand_beside(model, f"{CONSTANTS}{constant}") for constant in ("scale", "image_centre")]
    whole = open_session(with_outputs(model, names), "cpu", 1)
    extractor = onnx.utils.Extractor(onnx.load_model_from_string(model))
    tail = extractor.extract_model(names, [SCORE]).SerializeToString()
    raws, scores, kinds = list[Raw](), list[float](), list(DEFECTS)
    for number in Progress(range(good + defective), f"fresh parts, {100 * light:.0f} %", good + defective, unit="part"):
        line, index = line_under(light, FRESH_SEED + number)
        part = line.good(index) if number < good else line.defective(index, kinds[number % len(kinds)])
        frame = prepare(part.image, recipe.size_hw, recipe.alignment).frame[None]
        score, *raw = whole.run([SCORE, *names], {"frames": frame})
        scores.append(score.item())
        raws.append(dict(zip(names, raw, strict=True)))
    found = Fresh(recipe.graph_sha256, np.array(scores), tail, tuple(raws), good)
    assert np.array_equal(found.by_tail(model), found.own), "the tail is not the whole file's"
    return found

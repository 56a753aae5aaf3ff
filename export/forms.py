"""Which form of dense extraction is faster on this machine: both are made, both pass the gate, and both are timed.

The answer is remembered in the run folder, ``form.choice.json``: it depends on the shapes of the networks and on the
machine, not on what they learned.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from export.fused import FusedDetector
from export.graphs import different_forms
from export.parity import Parity
from runtime.choice.memory import Choice, Circumstances, recall, remember
from runtime.choice.turns import BUDGET_S, fastest, one_inference, ratios, seconds_in_turns
from runtime.engines.onnxruntime_engine import OnnxRuntimeEngine
from runtime.machine import Machine
from runtime.recipe import Recipe
from runtime.scoring import RUNTIME
from train.dense import FORMS
from train.method import TrainedRun

MEMORY = "form.choice.json"


@dataclass(frozen=True)
class Exported:
    """A graph that passed the parity gate."""

    graph: bytes
    recipe: Recipe
    parity: Parity
    scores: NDArray[np.float64]  # of the held-out images that the threshold was fitted to
    concerns: tuple[str, ...] = ()  # see `calibration.concerns`


def faster_form(
    trained: TrainedRun,
    precision: str,
    made: Callable[[str], Exported],
    shape: FusedDetector,
    frames: NDArray[np.uint8],
    budget_s: float = BUDGET_S,
) -> Exported:
    """The faster form's graph; `made` makes one by name, `frames` are prepared, [n, H, W, 3], `shape` is one of both.

    The first form unless the other takes 5 % less time through ONNX Runtime on this machine's CPU. Not measured where
    the two are one computation, nor where the run folder remembers. Raises what `made` raises, for either form.
    """
    if len(different_forms(trained)) < 2:
        return _noted(made(FORMS[0]), f"{FORMS[0]}; at output stride {trained.stride} both are the same computation")
    memory = trained.folder.path / MEMORY
    now = Circumstances(shapes_sha256(trained, shape, precision), dict.fromkeys(FORMS, ""), Machine.here())
    remembered, stale = recall(memory, now)
    if remembered is not None:
        return _noted(made(remembered.chosen), remembered.words())
    both = [made(form) for form in FORMS]
    found = ratios(_seconds(both, frames[:1], budget_s))
    taken = fastest(found)
    choice = Choice(now, FORMS[taken], dict(zip(FORMS, found, strict=True)), {})
    notes = [choice.words(), *filter(None, (stale, remember(memory, choice)))]
    return _noted(both[taken], "; ".join(notes))


def shapes_sha256(trained: TrainedRun, fused: FusedDetector, precision: str) -> str:
    """Hash of all that decides how long a graph of this run takes, its form apart; `precision` in words."""
    shapes = [[list(weight.shape) for weight in fused.parameters()], list(fused.output_names)]
    in_graph = {name: value for name, value in asdict(trained.scoring).items() if name not in RUNTIME}
    document = [trained.size_hw, trained.stride, shapes, in_graph, precision]
    return hashlib.sha256(json.dumps(document).encode()).hexdigest()


def _seconds(both: list[Exported], frame: NDArray[np.uint8], budget_s: float) -> NDArray[np.float64]:
    engines = [OnnxRuntimeEngine(exported.graph, exported.recipe) for exported in both]
    try:
        return seconds_in_turns([one_inference(engine, frame) for engine in engines], budget_s)
    finally:
        for engine in engines:
            engine.close()


def _noted(exported: Exported, form: str) -> Exported:
    return replace(exported, parity=replace(exported.parity, form=form))

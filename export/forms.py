"""Which form of dense extraction is faster on this machine: both are made, both pass the gate, and both are timed.

The answer is remembered in the run folder, ``form.choice.json``: it depends on the shapes of the networks and on the
machine, not on what they learned.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibration.model import TrainedRun
from export.parity import Parity
from runtime.choice.memory import Choice, Circumstances, recall, remember
from runtime.choice.turns import BUDGET_S, fastest, one_inference, ratios, seconds_in_turns
from runtime.machine import Machine
from runtime.recipe import Recipe
from train.dense import FORMS, forms_differ

MEMORY = "form.choice.json"


@dataclass(frozen=True)
class Exported:
    """A graph that passed the parity gate."""

    graph: bytes
    recipe: Recipe
    parity: Parity


def faster_form(
    trained: TrainedRun,
    precision: str,
    weights: str,
    explain: bool,
    made: Callable[[str], Exported],
    frames: NDArray[np.uint8],
    budget_s: float = BUDGET_S,
) -> Exported:
    """The faster form's graph; `made` makes one by name, `frames` are prepared, [n, H, W, 3].

    The first form unless the other takes 5 % less time through ONNX Runtime on this machine's CPU. Not measured where
    the two are one computation, nor where the run folder remembers. Raises what `made` raises, for either form.
    """
    stride = trained.config.output_stride
    if not any(forms_differ(scale.teacher.network.layers, stride) for scale in trained.scales):
        return _noted(made(FORMS[0]), f"{FORMS[0]}; at output stride {stride} both are the same computation")
    memory = trained.folder.path / MEMORY
    now = Circumstances(shapes_sha256(trained, precision, weights, explain), dict.fromkeys(FORMS, ""), Machine.here())
    remembered, stale = recall(memory, now)
    if remembered is not None:
        return _noted(made(remembered.chosen), remembered.words())
    both = [made(form) for form in FORMS]
    found = ratios(_seconds(both, frames[:1], budget_s))
    taken = fastest(found)
    choice = Choice(now, FORMS[taken], dict(zip(FORMS, found, strict=True)), {})
    notes = [choice.words(), *filter(None, (stale, remember(memory, choice)))]
    return _noted(both[taken], "; ".join(notes))


def shapes_sha256(trained: TrainedRun, precision: str, weights: str, explain: bool) -> str:
    """Hash of all that decides how long a graph of this run takes, its form apart."""
    config = trained.config
    networks = [network for scale in trained.scales for network in (scale.teacher.network, *scale.students)]
    shapes = [[list(weight.shape) for weight in network.parameters()] for network in networks]
    scoring = [config.relative, config.smoothing, config.by_position, config.score_pixels]
    document = [config.size_hw, config.output_stride, shapes, *scoring, precision, weights, explain]
    return hashlib.sha256(json.dumps(document).encode()).hexdigest()


def _seconds(both: list[Exported], frame: NDArray[np.uint8], budget_s: float) -> NDArray[np.float64]:
    from runtime.engines.onnxruntime_engine import OnnxRuntimeEngine

    engines = [OnnxRuntimeEngine(exported.graph, exported.recipe) for exported in both]
    try:
        return seconds_in_turns([one_inference(engine, frame) for engine in engines], budget_s)
    finally:
        for engine in engines:
            engine.close()


def _noted(exported: Exported, form: str) -> Exported:
    return replace(exported, parity=replace(exported.parity, form=form))

"""The engine that is fastest here: what this machine has is compared with ONNX Runtime on its CPU, then timed."""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.choice.memory import Choice, Circumstances, recall, remember
from runtime.choice.turns import BUDGET_S, fastest, one_inference, ratios, seconds_in_turns
from runtime.detector_file import frames_to_compare, read_detector
from runtime.engines.base import Engine
from runtime.errors import DetectorError, ProctorError
from runtime.machine import Machine, available_cores, physical_cores
from runtime.opening import AutoOptions
from runtime.parity import Scored, agreement_of
from runtime.recipe import Recipe

MOST_COMPARED = 4  # frames: each costs every engine one inference


@dataclass(frozen=True)
class Alternative:
    """One way to run a detector."""

    name: str
    identity: str  # what a memory of it depends on, beyond the machine
    open: Callable[[], Engine]


def open_fastest(path: Path, options: AutoOptions) -> tuple[Recipe, Engine, str]:
    """The recipe of the detector.onnx that `path` is or lies beside, the fastest engine for it, and why it is.

    Measured once, a few seconds, and remembered in ``detector.choice.json`` beside it. An engine whose maps, scores or
    decisions deviate from ONNX Runtime's on the CPU by more than the precision's tolerance cannot be chosen. Raises
    `DetectorError` without a detector.onnx, and what opening the engine raises; nothing is tried in its place.
    """
    path = path.with_suffix(".onnx")
    if not os.path.isfile(path):  # Path.is_file raises where a folder may not be entered
        raise DetectorError(
            f"{path} is not there, or cannot be reached; --engine auto compares all engines with what it computes"
        )
    model, recipe = read_detector(path)
    found = alternatives(path, model, recipe, options)
    if len(found) == 1:
        return recipe, found[0].open(), f"auto: {found[0].name} alone can run it here"
    memory = path.with_suffix(".choice.json")
    now = Circumstances(recipe.graph_sha256, {one.name: one.identity for one in found}, Machine.here())
    remembered, stale = recall(memory, now)
    if remembered is not None:
        engine = next(one for one in found if one.name == remembered.chosen).open()
        return recipe, engine, f"auto: {remembered.words()}"
    choice, engine = measured(found, now, recipe, frames_to_compare(path, recipe, MOST_COMPARED))
    notes = [choice.words(), *filter(None, (stale, remember(memory, choice)))]
    return recipe, engine, f"auto: {'; '.join(notes)}"


def alternatives(path: Path, model: bytes, recipe: Recipe, options: AutoOptions) -> list[Alternative]:
    """What this machine has for a detector; the first is what the others are compared with, and always there."""
    import onnxruntime

    from runtime.engines.onnxruntime_engine import PROVIDERS, OnnxRuntimeEngine

    def onnx(provider: str, count: int | None) -> Callable[[], Engine]:
        return lambda: OnnxRuntimeEngine(model, recipe, provider, count)

    count = available_cores() if options.threads is None else options.threads
    found = [Alternative(f"onnxruntime on {count} CPU threads", "", onnx("cpu", count))]
    if options.threads is None and (cores := physical_cores()) < count:
        found.append(Alternative(f"onnxruntime on {cores} CPU threads", "", onnx("cpu", cores)))
    if PROVIDERS["cuda"] in onnxruntime.get_available_providers():
        found.append(Alternative("onnxruntime on CUDA", "", onnx("cuda", None)))
    plan_path = path.with_suffix(".plan")
    if plan_path.is_file():
        found.append(Alternative("tensorrt", _sha256(plan_path), lambda: _open_plan(plan_path, options)))
    return found


def measured(
    found: Sequence[Alternative],
    now: Circumstances,
    recipe: Recipe,
    frames: NDArray[np.uint8],
    budget_s: float = BUDGET_S,
) -> tuple[Choice, Engine]:
    """Compare and time the alternatives; the choice, and its engine, open. Raises what opening the first raises."""
    engines: dict[str, Engine] = {found[0].name: found[0].open()}
    left_out: dict[str, str] = {}
    chosen = ""
    try:
        expected = Scored.by(engines[found[0].name], frames)
        for one in found[1:]:
            try:
                engines[one.name] = one.open()
                problem = agreement_of(engines[one.name], recipe, frames, expected).problem("it", found[0].name)
            except ProctorError as error:
                problem = str(error)
            if problem:
                left_out[one.name] = problem
        names = [name for name in engines if name not in left_out]
        works = [one_inference(engines[name], frames[:1]) for name in names]
        found_ratios = ratios(seconds_in_turns(works, budget_s))
        chosen = names[fastest(found_ratios)]
    finally:
        for name, engine in engines.items():
            if name != chosen:
                engine.close()
    return Choice(now, chosen, dict(zip(names, found_ratios, strict=True)), left_out), engines[chosen]


def _open_plan(path: Path, options: AutoOptions) -> Engine:
    from runtime.tensorrt.plans import open_plan

    return open_plan(path, options.cuda, options.rebuild)[1]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

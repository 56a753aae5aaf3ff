"""Plan files: made and checked, vouched for, opened, and rebuilt when they have gone stale.

Beside ``detector.plan`` lie ``detector.plan.json``, its sidecar, and ``detector.timing``, TensorRT's timing cache,
which makes the next build faster. The detector.onnx it was built from and its ``detector.parity.npz`` are needed to
build, not to run.
"""

import hashlib
import logging
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.atomic import write_atomically
from runtime.detector_file import read_detector, read_parity_frames, write_recipe
from runtime.engines.base import Engine
from runtime.engines.onnxruntime_engine import OnnxRuntimeEngine
from runtime.errors import DetectorError, InputError, ParityError
from runtime.lock import LOCK, in_turn, only_one_writes
from runtime.opening import TensorRtOptions
from runtime.parity import FRAME_TIMEOUT_S, Agreement, Scored, agreement_of
from runtime.recipe import Recipe
from runtime.served import identity_of, served_outputs
from runtime.signing import read_key
from runtime.tensorrt import library
from runtime.tensorrt.builder import BuildOptions, Built, build_plan
from runtime.tensorrt.cuda import Cuda, open_cuda
from runtime.tensorrt.engine import TensorRtEngine
from runtime.tensorrt.library import AGAIN
from runtime.tensorrt.permissions import read_only_ours
from runtime.tensorrt.sidecar import Checked, Machine, Sidecar, is_signed, sidecar_from_json
from runtime.versions import now

log = logging.getLogger("proctor.tensorrt")

PLAN = ".plan"
BUILD_S = 3600.0  # that one process waits for another that builds the same plan


class Apart(DetectorError):
    """Plan and sidecar do not belong together: one was exchanged, or is being written."""


@dataclass(frozen=True)
class Vouched:
    """A plan's bytes with the sidecar that vouches for them."""

    plan: bytes
    sidecar: Sidecar
    signed: bool  # whether the sidecar carries an HMAC; it was checked only where a key was given


@dataclass(frozen=True)
class BuiltPlan:
    """A plan, what is known of it, and how it agrees with ONNX Runtime."""

    built: Built
    sidecar: Sidecar
    found: Agreement


def sidecar_path(plan: Path) -> Path:
    """``detector.plan.json`` of ``detector.plan``."""
    return plan.with_name(f"{plan.name}.json")


def build_plan_file(
    onnx: Path,
    plan: Path,
    options: BuildOptions | None = None,
    binding: str = "auto",
    key_file: Path | None = None,
) -> tuple[Sidecar, Agreement]:
    """Build a plan from a detector file on this machine's GPU, check it against ONNX Runtime, and write it.

    `binding` is one of ``auto``, ``cuda-bindings``, ``pycuda``; with `key_file` the sidecar is signed. Nothing is
    written unless the plan agrees. Raises `InputError`, also while another process writes the plan, `DetectorError`,
    `EngineError` and `ParityError`.
    """
    if plan.suffix != PLAN:
        raise InputError(f"the plan is to be {plan}; expected a name ending in {PLAN}")
    options = options or BuildOptions()
    options.check()
    key = read_key(key_file)
    with only_one_writes(plan):
        done = _built(onnx, plan, options, binding, key)
    return done.sidecar, done.found


def _built(onnx: Path, plan: Path, options: BuildOptions, binding: str, key: bytes | None) -> BuiltPlan:
    """A plan built, checked and written by the only process that writes it."""
    model, recipe = read_detector(onnx)
    frames = read_parity_frames(onnx, recipe)  # before the minutes that a build takes
    cache = plan.with_suffix(".timing")
    done = build_checked(model, recipe, frames, options, binding, _timing_cache(cache))
    write_atomically(cache, done.built.timing_cache, only_ours=True)
    write_plan(plan, Vouched(done.built.plan, done.sidecar, key is not None), key)
    return done


def build_checked(
    model: bytes,
    recipe: Recipe,
    frames: NDArray[np.uint8],
    options: BuildOptions,
    binding: str = "auto",
    timing_cache: bytes = b"",
    served: bytes | None = None,
) -> BuiltPlan:
    """Build a plan of a detector's ONNX file on this machine's GPU, and check it against ONNX Runtime on prepared
    `frames` [n, H, W, 3]. Nothing is written. With `served` the plan is of that graph: see `runtime.served`.

    Raises `InputError`, `EngineError`, and `ParityError` for a plan that does not agree.
    """
    options.check()
    cuda, trt, machine = _opened(binding)
    try:
        with cuda.current():
            built = build_plan(trt, model if served is None else served, recipe.size_hw, options, timing_cache)
    except BaseException:
        cuda.close()
        raise
    device, outputs = cuda.device, recipe.outputs if served is None else served_outputs(recipe)
    engine = TensorRtEngine(trt, cuda, built.plan, recipe, outputs)  # closes `cuda`, also when it fails
    try:
        found = checked_against_onnxruntime(engine, model, recipe, frames)
        if served is not None:
            check_identity(engine, recipe)
    finally:
        engine.close()
    sidecar = Sidecar(
        recipe=recipe,
        plan_sha256=_sha256(built.plan),
        onnx_sha256=_sha256(model),
        machine=machine,
        cuda=device.driver,
        options=options,
        tensors=engine.tensors,
        checked=Checked(found.frames, found.map_deviation, found.score_deviation, found.tolerance),
        created=now(),
    )
    return BuiltPlan(built, sidecar, found)


def _opened(binding: str) -> tuple[Cuda, Any, Machine]:
    """The GPU, which the caller closes, TensorRT, and what a plan of theirs is bound to."""
    cuda = open_cuda(binding)
    try:
        trt = library.load()
        return cuda, trt, Machine.of(cuda.device, library.version(trt))
    except BaseException:
        cuda.close()
        raise


def check_identity(engine: Engine, recipe: Recipe) -> None:
    """Raise `ParityError` unless each answer of an engine over a served graph says that it is of `recipe`."""
    frames = np.zeros((engine.max_batch, *recipe.size_hw, 3), np.uint8)
    found = engine.result(engine.submit(frames), FRAME_TIMEOUT_S).recipe_sha256
    if found is None or not np.array_equal(found, np.tile(identity_of(recipe), (len(frames), 1))):
        raise ParityError(f"the plan does not say that it is of the recipe {recipe.sha256[:12]}; no plan was written")


def write_plan(path: Path, vouched: Vouched, key: bytes | None = None) -> None:
    """Write a plan, then its sidecar: a plan without one, or with an older one, is refused."""
    write_atomically(path, vouched.plan, only_ours=True)
    write_atomically(sidecar_path(path), vouched.sidecar.to_json(key).encode(), only_ours=True)


def checked_against_onnxruntime(
    engine: TensorRtEngine, model: bytes, recipe: Recipe, frames: NDArray[np.uint8]
) -> Agreement:
    """Compare a plan with ONNX Runtime on the CPU over prepared frames [n, H, W, 3]: one by one, and in batches of the
    largest size that it takes. Raises `ParityError`."""
    reference = OnnxRuntimeEngine(model, recipe)
    try:
        expected = Scored.by(reference, frames)
    finally:
        reference.close()
    found = agreement_of(engine, recipe, frames, expected, engine.max_batch)
    problem = found.problem("the plan", "ONNX Runtime")
    if problem:
        raise ParityError(
            f"{problem}; no plan was written. Build with another --optimization-level or --max-batch 1, export with "
            "--precision fp32, or run the detector.onnx with ONNX Runtime"
        )
    return found


def read_plan(path: Path, key_file: Path | None = None) -> Vouched:
    """A plan and its sidecar, checked against each other and for who may write them; nothing is deserialized.

    Raises `DetectorError` for a file that is missing, writable by others, swapped, or (with `key_file`) not signed by
    that key, `InputError` for a key file that cannot be used.
    """
    return _vouched(path, read_key(key_file))


def _vouched(path: Path, key: bytes | None) -> Vouched:
    sidecar, signed = _read_sidecar(path, key)
    plan = read_only_ours(path)
    if _sha256(plan) != sidecar.plan_sha256:
        raise Apart(
            f"{path} is not the plan that {sidecar_path(path).name} vouches for: one of them was changed or exchanged. "
            f"Nothing of it was run; {AGAIN}"
        )
    return Vouched(plan, sidecar, signed)


def _read_sidecar(plan: Path, key: bytes | None) -> tuple[Sidecar, bool]:
    """A plan's sidecar, checked for who may write it and, with `key`, for its HMAC; and whether it carries one.

    Raises `DetectorError`.
    """
    path = sidecar_path(plan)
    if not os.path.isfile(path):  # Path.is_file raises where a folder may not be entered
        raise Apart(f"{plan} has no {path.name} beside it to vouch for it; {AGAIN}")
    data = read_only_ours(path)
    try:
        text = data.decode()
        return sidecar_from_json(text, key), is_signed(text)
    except DetectorError as error:
        raise DetectorError(f"{path}: {error}") from error
    except UnicodeDecodeError as error:
        raise DetectorError(f"{path} cannot be read ({error}); {AGAIN}") from error


def open_tensorrt(path: Path, options: TensorRtOptions) -> tuple[Recipe, TensorRtEngine, str]:
    """The opener of `runtime.opening`: a plan, or the one beside a detector.onnx."""
    return *open_plan(path.with_suffix(PLAN), options.cuda, options.rebuild, options.key_file), ""


def open_plan(
    path: Path, binding: str = "auto", rebuild: bool = True, key_file: Path | None = None
) -> tuple[Recipe, TensorRtEngine]:
    """Open a plan: recipe and engine.

    One that does not fit this machine, or the detector.onnx beside it, is rebuilt, which the log says, by one process
    at a time: whoever comes meanwhile waits, and takes what was built. Without that file or `rebuild`, and where a
    signed one would lose its signature, it is refused with the reason. Raises `DetectorError`, `EngineError` and what
    building raises.
    """
    key, onnx = read_key(key_file), path.with_suffix(".onnx")
    vouched = _settled(path, key)
    recipe = current_recipe(vouched.sidecar, onnx, signed=key is not None)
    cuda, trt, machine = _opened(binding)
    reason = stale(vouched.sidecar, recipe, machine)
    if reason is None:
        return recipe, TensorRtEngine(trt, cuda, vouched.plan, recipe)
    cuda.close()
    _check_rebuilt(path, onnx, reason, rebuild, vouched.signed, key)
    log.warning("%s is stale: %s. It is being rebuilt from %s, which takes minutes", path, reason, onnx)
    with _turn(path):
        recipe, plan = _rebuilt(path, onnx, machine, binding, key)
    cuda, trt, _ = _opened(binding)
    return recipe, TensorRtEngine(trt, cuda, plan, recipe)


def _check_rebuilt(path: Path, onnx: Path, reason: str, allowed: bool, signed: bool, key: bytes | None) -> None:
    """Raise `DetectorError` where a stale plan cannot be rebuilt."""
    if not onnx.is_file():
        raise DetectorError(f"{path} is stale: {reason}. {onnx} is not there to rebuild it from; copy it here")
    if not allowed:
        raise DetectorError(f"{path} is stale: {reason}. Rebuilding was forbidden; {AGAIN} {onnx}")
    if signed and key is None:  # it would lose its signature, and be refused wherever the key is used
        raise DetectorError(
            f"{path} is stale: {reason}. It is signed, and rebuilding it takes the key: give --key-file FILE"
        )


def _rebuilt(path: Path, onnx: Path, machine: Machine, binding: str, key: bytes | None) -> tuple[Recipe, bytes]:
    """The recipe and the plan of a stale file for `machine`, in this process's turn: it may have been built by now."""
    vouched = _vouched(path, key)
    recipe = current_recipe(vouched.sidecar, onnx, signed=key is not None)
    reason = stale(vouched.sidecar, recipe, machine)
    if reason is None:
        log.warning("%s was rebuilt meanwhile by another process", path)
        return recipe, vouched.plan
    _check_rebuilt(path, onnx, reason, True, vouched.signed, key)
    done = _built(onnx, path, vouched.sidecar.options, binding, key)
    log.warning("%s was rebuilt: %s", path, done.found.describe())
    return done.sidecar.recipe, done.built.plan


def _settled(path: Path, key: bytes | None) -> Vouched:
    """As `_vouched`, read again once nobody writes the plan where the two files do not belong together: whoever
    rebuilds it writes one after the other."""
    try:
        return _vouched(path, key)
    except Apart:
        if not _lock_of(path).exists():
            return _vouched(path, key)
        log.warning("%s is being written by another process, which is waited for", path)
        with _turn(path):
            return _vouched(path, key)


def _turn(path: Path) -> AbstractContextManager[None]:
    """One process after the other on a plan; the lock is that of `only_one_writes`."""
    return in_turn(_lock_of(path), path, BUILD_S)


def _lock_of(path: Path) -> Path:
    real = Path(os.path.realpath(path))
    return real.with_name(f".{real.name}{LOCK}")


def stale(sidecar: Sidecar, recipe: Recipe, machine: Machine) -> str | None:
    """Why a plan cannot be run on `machine` for the detector of `recipe`, or None."""
    if recipe.graph_sha256 != sidecar.recipe.graph_sha256:
        return "the detector.onnx beside it is another detector"
    return sidecar.machine.difference(machine)


def current_recipe(sidecar: Sidecar, onnx: Path, signed: bool) -> Recipe:
    """The recipe in force: that of the detector.onnx where it is at hand, since that file is the product.

    So a threshold changed there holds for the plan too. A signed sidecar's own recipe holds, and a detector.onnx that
    says otherwise is refused: nobody signed it, and a rebuild would. Raises `DetectorError`.
    """
    if not onnx.is_file():
        return sidecar.recipe
    recipe = read_detector(onnx)[1]
    if recipe == sidecar.recipe:
        return sidecar.recipe if signed else recipe  # a signature vouches for a threshold that no hash does
    if signed:
        raise DetectorError(
            f"{onnx} has another recipe than the signed sidecar ({_limits(recipe)}, signed {_limits(sidecar.recipe)}); "
            f"set it in the plan with --key-file, or {AGAIN}"
        )
    if recipe.graph_sha256 == sidecar.recipe.graph_sha256:
        log.warning("the recipe of %s is in force (%s)", onnx, _limits(recipe))
    return recipe


def _limits(recipe: Recipe) -> str:
    """What can be changed in a file, in a few words."""
    threshold, scoring = f"threshold {recipe.threshold.value:g}", recipe.scoring
    if not scoring.smallest_area:
        return threshold
    return f"{threshold}, smallest area {scoring.area_in_words(scoring.smallest_pixels)}"


def change_plan_recipe(
    path: Path, change: Callable[[Recipe], Recipe], key_file: Path | None = None
) -> tuple[Recipe, Recipe]:
    """Write what `change` makes of the recipe into a plan's sidecar: what was in force, and what is. The plan stays.

    A detector.onnx of the same graph beside it is changed too, since its recipe is the one in force. Raises
    `DetectorError` for a plan that nothing vouches for, and for a signed one without its key, and what `change` raises.
    """
    key = read_key(key_file)
    vouched = _vouched(path, key)  # read once: what is checked is what is changed
    if key is None and vouched.signed:
        raise DetectorError(f"{path} is signed; changing its recipe takes the key: --key-file FILE")
    old = in_force = vouched.sidecar.recipe
    changed = now_in_force = change(old)
    onnx = path.with_suffix(".onnx")
    if onnx.is_file():
        model, recipe = read_detector(onnx)
        if recipe.graph_sha256 == old.graph_sha256:
            beside = change(recipe)
            write_recipe(onnx, model, beside)
            if key is None:  # see `current_recipe`
                in_force, now_in_force = recipe, beside
    sidecar = replace(vouched.sidecar, recipe=changed)
    write_atomically(sidecar_path(path), sidecar.to_json(key).encode(), only_ours=True)
    return in_force, now_in_force


def _timing_cache(path: Path) -> bytes:
    if not path.is_file():
        return b""
    try:
        return read_only_ours(path)
    except DetectorError as error:
        log.warning("the timing cache is not used: %s", error)
        return b""


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

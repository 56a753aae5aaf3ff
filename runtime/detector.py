"""The detector: a file opened, frames in, verdicts out. What a line controller embeds."""

import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from runtime.engines.base import Engine, Output
from runtime.errors import DetectorError, EngineError, ImageError, InputError, ResultTimeout
from runtime.frames import Frame
from runtime.health import HealthCheck
from runtime.onnx_file import COPY_AGAIN, graph_sha256, read_metadata
from runtime.preparation import as_bgr, prepare
from runtime.recipe import Recipe, recipe_from_metadata
from runtime.regions import find_regions
from runtime.verdict import Decision, Region, Verdict

log = logging.getLogger("proctor.detector")

ENGINES = ("auto", "onnxruntime", "tensorrt")


@dataclass(frozen=True)
class Pending:
    """An inspection under way: a frame at an engine, or a frame that was not fit to be scored."""

    frame: Frame
    ticket: int | None
    problem: str | None


class Detector:
    """Turns frames into verdicts.

    `inspect` may be called from any thread, one frame at a time is worked on. `submit` and `result`, which overlap
    frames, are for one thread alone. Use it as a context manager, or call `close`.
    """

    def __init__(self, recipe: Recipe, engine: Engine, why: str = "as given") -> None:
        """A detector over an engine that is open already; it closes the engine. `why` it is this engine, for people."""
        self.recipe = recipe
        self.engine = engine
        self.why = why
        self._recipe_sha256 = recipe.sha256
        self._health = HealthCheck(recipe.health)
        self._prepared = np.empty((*recipe.size_hw, 3), np.uint8)  # the engine copies it before the next frame comes
        self._lock = threading.Lock()
        self._frames = 0
        self._late: list[int] = []  # tickets whose time ran out; each holds a slot until its batch is done

    @classmethod
    def open(
        cls,
        path: Path | str,
        provider: str | None = None,
        threads: int | None = None,
        *,
        engine: str | None = None,
        cuda: str | None = None,
        rebuild: bool = True,
        key_file: Path | None = None,
    ) -> "Detector":
        """Open a ``detector.onnx`` with ONNX Runtime, or a ``detector.plan`` with TensorRT.

        That is `engine` None. ``onnxruntime`` takes a detector.onnx alone, ``tensorrt`` the plan or, given its
        detector.onnx, the plan beside that; ``auto`` whichever is fastest here (see `runtime.choice.engines`), which is
        measured for a few seconds the first time and remembered in ``detector.choice.json``.

        For ONNX Runtime, `provider` is ``cpu`` (None) or ``cuda``, `threads` the CPU threads of one inference (None:
        all cores). For TensorRT, `cuda` is the binding: ``auto`` (None), ``cuda-bindings`` or ``pycuda``; a stale plan
        is rebuilt unless `rebuild` is false; with `key_file` its sidecar must be signed by that key.

        Raises `DetectorError` for a file that is missing, damaged, not vouched for or of an unknown schema,
        `EngineError` when the engine cannot run it, `InputError` for options of the other engine. Nothing is tried in
        its place.
        """
        path = Path(path)
        why = "by default" if engine is None else "as asked"
        _check_engine(engine, path, provider, key_file)
        if engine == "auto":
            from runtime.choice.engines import PlanOptions, choose_engine

            return cls(*choose_engine(path, threads, PlanOptions(cuda or "auto", rebuild)))
        if engine == "tensorrt":
            path = path.with_suffix(".plan")
        if path.suffix == ".plan":
            _refuse(path, "ONNX Runtime", provider=provider, threads=threads)
            from runtime.tensorrt.plans import open_plan

            return cls(*open_plan(path, cuda or "auto", rebuild, key_file), why)
        _refuse(path, "TensorRT plans", cuda=cuda, no_rebuild=not rebuild or None, key_file=key_file)
        from runtime.engines.onnxruntime_engine import OnnxRuntimeEngine

        model, recipe = read_detector(path)
        return cls(recipe, OnnxRuntimeEngine(model, recipe, provider or "cpu", threads), why)

    def inspect(self, frame: Frame | NDArray[np.uint8], timeout_s: float = 30.0) -> Verdict:
        """The verdict on one frame: a `Frame`, or pixels uint8 [H, W, 3], BGR, of any size.

        Never raises for what a frame shows or an engine does: those are NO_DECISION with the reason, and what is no
        `EngineError` is logged with its traceback. Raises `ImageError` for an array that is no picture (wrong type or
        shape).
        """
        with self._lock:
            if not isinstance(frame, Frame):
                frame = Frame(as_bgr(frame), frame_id=self._frames)
            self._frames += 1
            try:
                return self.result(self.submit(frame), timeout_s)
            except Exception as error:  # no bug or lack of memory may let a part pass or stop the line
                log.exception("frame %s was not scored", frame.frame_id)
                return self.no_decision(frame, f"engine error: {type(error).__name__}: {error}")

    def submit(self, frame: Frame) -> Pending:
        """Prepare and check a frame and hand it to the engine. At most `engine.slots` may be pending."""
        if frame.problem is not None:
            return Pending(frame, None, frame.problem)
        try:
            self._late = [ticket for ticket in self._late if not self._is_done(ticket)]
            prepared = prepare(frame.image, self.recipe.size_hw, self._prepared)
            problem = self._health.problem(frame, prepared)
            if problem is None:
                return Pending(frame, self.engine.submit(prepared[None]), None)
        except ImageError as error:
            problem = str(error)
        except EngineError as error:
            problem = f"engine error: {error}"
        return Pending(frame, None, problem)

    def result(self, pending: Pending, timeout_s: float = 30.0) -> Verdict:
        """Wait for the verdict on a submitted frame."""
        if pending.ticket is None:
            return self.no_decision(pending.frame, pending.problem or "")
        try:
            output = self.engine.result(pending.ticket, timeout_s)
        except ResultTimeout as error:
            self._late.append(pending.ticket)
            return self.no_decision(pending.frame, f"engine error: {error}")
        except EngineError as error:
            return self.no_decision(pending.frame, f"engine error: {error}")
        return self._judged(pending.frame, output)

    def no_decision(self, frame: Frame, reason: str) -> Verdict:
        """The verdict on a frame that was not scored."""
        return self._verdict(frame, Decision.NO_DECISION, reason)

    def close(self) -> None:
        """Free the engine, once an `inspect` in another thread is done."""
        with self._lock:
            self.engine.close()

    def __enter__(self) -> "Detector":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _is_done(self, ticket: int) -> bool:
        """Whether a late batch has ended at last, which frees its slot; its result came too late to be used."""
        try:
            self.engine.result(ticket, timeout_s=0.0)
        except ResultTimeout:
            return False
        except EngineError:
            return True
        return True

    def _judged(self, frame: Frame, output: Output) -> Verdict:
        threshold, score = self.recipe.threshold.value, float(output.anomaly_score[0])
        if not np.isfinite(score):
            return self.no_decision(frame, f"engine error: the score is {score}")
        scored_map = output.scored_map[0]
        # a maximum may have skipped a NaN; both ends are seen without an array for what is finite
        if not (np.isfinite(scored_map.min()) and np.isfinite(scored_map.max())):
            return self.no_decision(frame, "engine error: the map holds values that are not finite")
        if score <= threshold:
            return self._verdict(frame, Decision.OK, f"score {score:.3f} within {threshold:.3f}", output)
        frame_hw = frame.image.shape[0], frame.image.shape[1]
        regions = find_regions(scored_map, threshold, frame_hw, self.recipe.region_of_interest)
        return self._verdict(frame, Decision.NG, f"score {score:.3f} above {threshold:.3f}", output, regions)

    def _verdict(
        self,
        frame: Frame,
        decision: Decision,
        reason: str,
        output: Output | None = None,
        regions: tuple[Region, ...] = (),
    ) -> Verdict:
        return Verdict(
            decision=decision,
            reason=reason,
            frame_id=frame.frame_id,
            part_id=frame.part_id,
            captured_s=frame.captured_s,
            decided_s=time.monotonic(),
            captured_at=frame.captured_at,
            decided_at=time.time(),
            score=None if output is None else float(output.anomaly_score[0]),
            threshold=self.recipe.threshold.value,
            regions=regions,
            recipe_sha256=self._recipe_sha256,
            name=frame.name,
            anomaly_map=None if output is None else output.anomaly_map[0],
            deviation_map=None if output is None or output.deviation_map is None else output.deviation_map[0],
        )


def _check_engine(engine: str | None, path: Path, provider: str | None, key_file: Path | None) -> None:
    """Raise `InputError` for an engine that is not known, or that contradicts the file or the options."""
    if engine not in (None, *ENGINES):
        raise InputError(f"engine is {engine!r}; expected one of {', '.join(ENGINES)}")
    if not path.name:
        raise InputError(f"the detector is {str(path)!r}; expected a file, such as detector.onnx")
    if engine == "auto" and provider is not None:
        raise InputError("--engine auto chooses the provider itself; leave out --provider")
    if engine == "auto" and key_file is not None:
        raise InputError("--engine auto may take the detector.onnx, which no key signs; give --engine tensorrt instead")
    if engine == "onnxruntime" and path.suffix == ".plan":
        raise InputError(f"ONNX Runtime does not run {path}; give the detector.onnx that it was built from")


def _refuse(path: Path, engine: str, **options: object) -> None:
    """Raise `InputError` when an option was given that means nothing for this file: it would be ignored unseen."""
    given = [f"--{name.replace('_', '-')}" for name, value in options.items() if value is not None]
    if given:
        verb = "is an option" if len(given) == 1 else "are options"
        raise InputError(
            f"{' and '.join(given)} {verb} of {engine}, which do not run {path}; leave out, or give another file"
        )


def read_detector(path: Path) -> tuple[bytes, Recipe]:
    """A detector file's bytes and its recipe, checked against each other. Raises `DetectorError`."""
    if path.suffix == ".plan":
        raise DetectorError(f"{path} is a TensorRT plan; give the detector.onnx that it was built from")
    try:
        model = path.read_bytes()
    except OSError as error:
        raise DetectorError(f"{path} cannot be read ({error.strerror}); check the path") from error
    if not model:
        raise DetectorError(f"{path} is empty; {COPY_AGAIN}")
    try:
        recipe = recipe_from_metadata(read_metadata(model))
        if graph_sha256(model) != recipe.graph_sha256:
            raise DetectorError(f"its graph is not the one its recipe describes; {COPY_AGAIN}")
    except DetectorError as error:
        raise DetectorError(f"{path}: {error}") from error
    return model, recipe

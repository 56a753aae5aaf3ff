"""The detector: a file opened, frames in, verdicts out. What a line controller embeds."""

import logging
import os
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from runtime.alignment import hidden_part
from runtime.arguments import as_seconds, described, given_options
from runtime.closing import Closing
from runtime.engines.base import Engine, Output
from runtime.errors import EngineError, ImageError, InputError, ResultTimeout
from runtime.explain import explained
from runtime.frames import Frame
from runtime.health import HealthCheck, Measured, seen_by_health
from runtime.judgement import Judgement, by_evidence, decide
from runtime.location import as_location
from runtime.opening import open_engine
from runtime.placement import Placement
from runtime.preparation import Prepared, as_bgr, check_array, prepare
from runtime.recipe import Recipe
from runtime.verdict import Decision, Verdict

log = logging.getLogger("proctor.detector")


@dataclass(frozen=True, eq=False)
class Pending:
    """An inspection under way: a frame at an engine, or a frame that was not fit to be scored."""

    frame: Frame
    ticket: int | None
    problem: str | None
    placed: Placement | None = None  # how the part lies, where the recipe has an alignment
    since_s: float = field(default_factory=time.monotonic)  # monotonic clock
    measured: Measured | None = None  # of the frame, where it is healthy
    unanswered: bool = False  # there is no ticket since the engine takes none


class Detector(Closing):
    """Turns frames into verdicts.

    `inspect` may be called from any thread, one frame at a time is worked on. `submit` and `result`, which overlap
    frames, are for one thread alone. Use it as a context manager, or call `close`. It belongs to the process that
    opened it: a child made by fork has none of the engine's threads, so there every call but `close` raises
    `EngineError`, and pickling or copying raises `TypeError`.
    """

    def __init__(self, recipe: Recipe, engine: Engine, why: str = "as given") -> None:
        """A detector over an engine that is open already; it closes the engine. `why` it is this engine, for people."""
        self.recipe = recipe
        self.engine = engine
        self.why = why
        self._recipe_sha256 = recipe.sha256
        self._health = HealthCheck(recipe.health, seen_by_health(recipe.scoring, recipe.alignment, recipe.size_hw))
        self._prepared = np.empty((*recipe.size_hw, 3), np.uint8)  # the engine copies it before the next frame comes
        self._lock = threading.Lock()
        self._frames = 0
        self._late: list[Pending] = []  # whose time ran out; each holds a slot until its batch is done
        self._process = os.getpid()

    @classmethod
    def open(cls, path: Path | str, *, engine: str | None = None, **options: Any) -> "Detector":
        """Open a ``detector.onnx`` with ONNX Runtime, a ``detector.plan`` with TensorRT, or a served detector by its
        address, as text: ``triton://HOST:PORT/MODEL`` (see ``export/TRITON.md``).

        That is `engine` None. ``onnxruntime`` and ``openvino`` take a detector.onnx, ``tensorrt`` the plan or, given
        its detector.onnx, the plan beside that; ``auto`` whichever is fastest here (see `runtime.choice.engines`),
        which is measured for a few seconds the first time and remembered in ``detector.choice.json``.

        `options` are the engine's own (`runtime.opening` has them all): ``provider`` ``cpu`` or ``cuda`` and
        ``threads`` of one inference; for a plan ``cuda``, the binding, ``rebuild`` and ``key_file``.

        Raises `DetectorError` for a file that is missing, damaged, not vouched for or of an unknown schema,
        `EngineError` when the engine cannot run it, `InputError` for options of another engine and for values that are
        none. Nothing is tried in its place.
        """
        return cls(*open_engine(as_location("the detector", path), engine, given_options(options)))

    def inspect(self, frame: Frame | NDArray[np.uint8], timeout_s: float = 30.0) -> Verdict:
        """The verdict on one frame: a `Frame`, or pixels uint8 [H, W, 3], BGR, of any size.

        Never raises for what a frame shows or an engine does: those are NO_DECISION with the reason, and what is no
        `EngineError` is logged with its traceback. Raises `ImageError` for what is no picture: an array of the wrong
        type or shape, and anything but an array, alone or in a `Frame`; `InputError` for a time that is none.
        """
        self._check_process()  # before the lock, which a thread may have held that a fork left behind
        timeout_s = as_seconds("timeout_s", timeout_s)
        with self._lock:
            frame = self._framed(frame)
            try:
                return self.result(self.submit(frame), timeout_s)
            except Exception as error:  # no bug or lack of memory may let a part pass or stop the line
                log.exception("frame %s was not scored", frame.frame_id)
                return self.no_decision(frame, f"engine error: {type(error).__name__}: {error}")

    @property
    def room(self) -> int:
        """How many frames may be pending: the engine's slots, but those of frames that were given up and are worked on
        still. Where these have all of them it is one, and who submits it is told at once."""
        self._forget_done()
        return max(1, self.engine.slots - len(self._late))

    def submit(self, frame: Frame | NDArray[np.uint8]) -> Pending:
        """Prepare and check a frame and hand it to the engine. At most `room` may be pending.

        It takes and raises what `inspect` does.
        """
        self._check_process()
        frame = self._framed(frame)
        self._frames += 1
        if frame.problem is not None:
            return Pending(frame, None, frame.problem)
        try:
            self._forget_done()
            prepared = prepare(frame.image, self.recipe.size_hw, self.recipe.alignment, self._prepared)
            problem = self._health.problem(frame, prepared.scaled) or self._not_in_place(prepared)
            if problem is not None:
                return Pending(frame, None, problem)
            if (stalled := self._stalled(frame)) is not None:
                return Pending(frame, None, stalled, unanswered=True)
            ticket = self.engine.submit(prepared.frame[None])
            return Pending(frame, ticket, None, prepared.placed, measured=self._health.measured)
        except ImageError as error:
            return Pending(frame, None, str(error))
        except EngineError as error:
            return Pending(frame, None, f"engine error: {error}", unanswered=True)

    def result(self, pending: Pending, timeout_s: float = 30.0) -> Verdict:
        """Wait for the verdict on a submitted frame, once for each. Raises `InputError` for what `submit` did not
        return, and for a time that is none."""
        self._check_process()
        timeout_s = as_seconds("timeout_s", timeout_s)
        if not isinstance(pending, Pending):
            raise InputError(f"result got {described(pending)}; expected what submit returned")
        if pending.ticket is None:
            return replace(self.no_decision(pending.frame, pending.problem or ""), unanswered=pending.unanswered)
        try:
            output = self.engine.result(pending.ticket, timeout_s)
        except ResultTimeout as error:
            reason = f"engine error: {error}{self._behind(pending)}"
            if pending not in self._late:  # asked again
                self._late.append(pending)
            return replace(self.no_decision(pending.frame, reason), unanswered=True)
        except EngineError as error:
            return replace(self.no_decision(pending.frame, f"engine error: {error}"), unanswered=True)
        return self._judged(pending, output)

    def no_decision(self, frame: Frame, reason: str) -> Verdict:
        """The verdict on a frame that was not scored."""
        return self._verdict(frame, Judgement(Decision.NO_DECISION, reason))

    def close(self) -> None:
        """Free the engine, once an `inspect` in another thread is done. In a child made by fork nothing is freed."""
        if os.getpid() != self._process:
            return
        with self._lock:
            self.engine.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Detector cannot be pickled or copied; open the detector file in the process that uses it")

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            raise EngineError(
                f"this detector was opened in process {self._process}, of which this one is a fork without the "
                "engine's threads; open the detector file in the process that uses it"
            )

    def _framed(self, frame: Frame | NDArray[np.uint8]) -> Frame:
        """A frame as a `Frame`, with the next number where it is an array. Raises `ImageError` for what is neither."""
        if not isinstance(frame, Frame):
            frame = Frame(as_bgr(frame), frame_id=self._frames)
        elif frame.problem is None:
            check_array(frame.image)
        return frame

    def _forget_done(self) -> None:
        self._late = [late for late in self._late if not self._is_done(late)]

    def _is_done(self, late: Pending) -> bool:
        """Whether a late batch has ended at last, which frees its slot; its result came too late to be used."""
        assert late.ticket is not None
        try:
            self.engine.result(late.ticket, timeout_s=0.0)
        except ResultTimeout:
            return False
        except EngineError:
            return True
        return True

    def _stalled(self, frame: Frame) -> str | None:
        """Why no frame can be taken: all slots belong to frames that were given up and are worked on still."""
        if len(self._late) < self.engine.slots:
            return None
        kind = "engine error" if frame.triggered_s is None else "overrun"
        return f"{kind}: {self._late_in_words()}; frames are taken again when it is done"

    def _behind(self, pending: Pending) -> str:
        """What a frame had to wait for, where that was a frame given up before."""
        return f": {self._late_in_words()}" if self._late and pending is not self._late[0] else ""

    def _late_in_words(self) -> str:
        since_s = time.monotonic() - self._late[0].since_s
        number = self._late[0].frame.frame_id
        return f"the engine still works on frame {number}, given up before, for {since_s:.1f} s now"

    def _not_in_place(self, prepared: Prepared) -> str | None:
        """Why a part is not inspected that was not found, lies outside the limits or not all in the picture."""
        placed, chosen = prepared.placed, self.recipe.scoring.inspected(self.recipe.size_hw)
        if placed is None or prepared.problem is not None or chosen is None:
            return prepared.problem
        return hidden_part(placed, chosen.mask)

    def _judged(self, pending: Pending, output: Output) -> Verdict:
        frame, placed = pending.frame, pending.placed
        judgement = decide(output, self.recipe, (frame.image.shape[0], frame.image.shape[1]), placed)
        if judgement.decision is Decision.NO_DECISION:
            return self._verdict(frame, judgement)
        explanation = explained(self.recipe, output, placed)
        if placed is not None:
            judgement, output = _in_picture(judgement, output, placed)
        verdict = self._verdict(frame, judgement, output, placed)
        return replace(verdict, measured=pending.measured, explanation=explanation)

    def _verdict(
        self, frame: Frame, judgement: Judgement, output: Output | None = None, placed: Placement | None = None
    ) -> Verdict:
        return Verdict(
            decision=judgement.decision,
            reason=judgement.reason,
            frame_id=frame.frame_id,
            part_id=frame.part_id,
            captured_s=frame.captured_s,
            decided_s=time.monotonic(),
            captured_at=frame.captured_at,
            decided_at=time.time(),
            score=None if output is None else float(output.anomaly_score[0]),
            threshold=self.recipe.threshold.value,
            regions=judgement.regions,
            recipe_sha256=self._recipe_sha256,
            name=frame.name,
            counter=frame.counter,
            camera_ns=frame.camera_ns,
            triggered_s=frame.triggered_s,
            anomaly_map=None if output is None else output.anomaly_map[0],
            deviation_map=None if output is None or output.deviation_map is None else output.deviation_map[0],
            ignored=judgement.ignored,
            evidence_scores={} if output is None else by_evidence(output, self.recipe),
            rejected_by=judgement.rejected_by,
            rejected_in=judgement.rejected_in,
            inspected=self.recipe.scoring.inspected(self.recipe.size_hw),
            aligned=self.recipe.alignment is not None,
            placed=placed,
        )


def _in_picture(judgement: Judgement, output: Output, placed: Placement) -> tuple[Judgement, Output]:
    """What was found of an aligned frame, over the picture as it came; regions are in its pixels already."""
    deviation_map, ignored = output.deviation_map, judgement.ignored
    return (
        replace(judgement, ignored=None if ignored is None else placed.mask_in_picture(ignored)),
        replace(
            output,
            anomaly_map=placed.in_picture(output.anomaly_map[0])[None],
            deviation_map=None if deviation_map is None else placed.in_picture(deviation_map[0])[None],
        ),
    )

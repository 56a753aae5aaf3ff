"""The inference loop of a line: accepted triggers in, outcomes out, whatever protocol the controller speaks.

A binding gives it the picture of an acquisition: one that a controller sent, or one that a triggered camera took. Each
pass beats the handshake's heart, idle passes included; a loop that hangs in an engine beats no more.
"""

import logging
import time
from collections.abc import Callable

from runtime.errors import ImageError, ProctorError
from runtime.frames import Frame, missing_frame
from runtime.line.handshake import Acquisition, Handshake
from runtime.line.results import CODES, Cause, Outcome
from runtime.line.self_check import Inspector, SelfCheck
from runtime.verdict import Decision, Verdict

log = logging.getLogger("proctor.line")

PictureOf = Callable[[Acquisition], Frame]
PASS_S = 0.1  # an idle pass
GRACE_S = 0.02  # beyond a part's deadline, so that it is over when the engine is given up
ENGINE_ERROR = "engine error"  # what the reason of a verdict begins with where the engine failed


class InspectionLoop:
    """Takes acquisitions, inspects their pictures and finishes them. `run` is for one thread, `stop` for any."""

    def __init__(
        self,
        handshake: Handshake,
        inspector: Inspector,
        picture_of: PictureOf,
        self_check: SelfCheck | None = None,
        take: Callable[[float], Acquisition | None] | None = None,
        inspected: Callable[[int, Frame, Verdict], None] | None = None,
    ) -> None:
        """`picture_of` is called once for each acquisition and returns its frame, or one with a `problem`, before the
        acquisition's deadline or shortly after it. `take` stands for the handshake's, where somebody takes acquisitions
        from that first; `inspected` is told of each verdict before the handshake is."""
        self._handshake, self._inspector, self._picture_of = handshake, inspector, picture_of
        self._self_check, self._inspected = self_check, inspected
        self._take = take or handshake.take
        self._wrong: str | None = None  # what the self-check found
        self._stopping = False

    def run(self) -> None:
        """Work until `stop`. What is raised here is a fault of ours; the line is held before."""
        try:
            while not self._stopping:
                self._pass()
            if self._wrong is not None and self._self_check is not None and not self._self_check.stays:
                self._handshake.release()  # it was of this engine, and the next one may be another
        except BaseException as error:
            self._handshake.hold(Cause.ENGINE, f"the inference loop ended: {_in_words(error)}")
            raise

    def stop(self) -> None:
        """End `run` after this pass."""
        self._stopping = True

    def _pass(self) -> None:
        if self._wrong is not None:  # again in each pass: somebody may have released the line
            self._handshake.hold(Cause.HELD, self._wrong)
        self._handshake.beat()
        acquisition = self._take(PASS_S)
        if acquisition is not None:
            self._inspect(acquisition)
        elif self._self_check is not None:
            self._check(self._self_check)

    def _inspect(self, acquisition: Acquisition) -> None:
        number = acquisition.acquisition_id
        frame = self._picture(acquisition)
        self._handshake.acquired(number)
        if frame.problem is not None:
            self._handshake.finish(number, Outcome(CODES[Decision.NO_DECISION], Cause.NO_FRAME, frame.problem))
            return
        left_s = acquisition.deadline_s - time.monotonic()
        try:
            verdict = self._inspector.inspect(frame, max(0.0, left_s) + GRACE_S)
        except Exception as error:  # no picture at all, or a fault of ours: no part passes by it, and the line goes on
            log.exception("acquisition %d was not inspected", number)
            cause, reason = Cause.NO_FRAME if isinstance(error, ImageError) else Cause.ENGINE, _in_words(error)
            self._handshake.finish(number, Outcome(CODES[Decision.NO_DECISION], cause, reason))
            return
        if self._inspected is not None:
            self._inspected(number, frame, verdict)
        self._handshake.finish(number, outcome_of(verdict))
        if self._self_check is not None:
            self._self_check.saw(frame, verdict)

    def _picture(self, acquisition: Acquisition) -> Frame:
        try:
            return self._picture_of(acquisition)
        except Exception as error:  # a camera's; this part has no picture, and the line goes on
            log.exception("acquisition %d has no picture", acquisition.acquisition_id)
            return missing_frame(acquisition.acquisition_id, _in_words(error))

    def _check(self, self_check: SelfCheck) -> None:
        before, self._wrong = self._wrong, self_check.problem()
        if self._wrong is not None and before is None:
            log.error("the line is held: %s; see to the detector", self._wrong)
            self._handshake.hold(Cause.HELD, self._wrong)
        elif self._wrong is None and before is not None:
            log.warning("the line goes on: the self-check's good frame is what it was")
            self._handshake.release()


def _in_words(error: BaseException) -> str:
    return str(error) if isinstance(error, ProctorError) else f"{type(error).__name__}: {error}"


def outcome_of(verdict: Verdict) -> Outcome:
    """A detector's verdict as the handshake takes it."""
    if verdict.decision is Decision.OK:
        cause = Cause.NONE
    elif verdict.reason.startswith(ENGINE_ERROR):
        cause = Cause.ENGINE
    else:
        cause = Cause.JUDGED
    threshold = None if verdict.score is None else verdict.threshold
    return Outcome(CODES[verdict.decision], cause, verdict.reason, verdict.score, threshold)

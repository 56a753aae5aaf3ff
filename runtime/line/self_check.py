"""The self-check of an idle line: a good picture that is inspected over and over has to stay good.

A detector that is broken in a way that raises nothing (memory of the accelerator, a library, a file) would say OK or NG
of parts at random. A kept good frame finds it out before a part comes; from then on the line is held for good. With an
engine that says nothing, such as a server that is away, it is held until the right answer is there again.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from runtime.bounds import check_above_zero
from runtime.errors import InputError
from runtime.frames import Frame
from runtime.verdict import Decision, Verdict

log = logging.getLogger("proctor.line")

PERIOD_S = 10.0
INSPECTION_S = 10.0  # within which an engine that works has a verdict


class Inspector(Protocol):
    """What gives verdicts: a `runtime.detector.Detector`, or what stands for one."""

    def inspect(self, frame: Frame, timeout_s: float = 30.0) -> Verdict:
        """See `Detector.inspect`."""


@dataclass(frozen=True)
class _Kept:
    """A good frame, and what was said of it first."""

    frame: Frame
    score: float
    allowed: float  # deviation of the score


class SelfCheck:
    """Inspects a kept good frame while the line is idle. For one thread, the inference loop's."""

    def __init__(
        self,
        inspector: Inspector,
        tolerance: float,
        period_s: float = PERIOD_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """It keeps the first frame that is OK, or the one that `keep` is given.

        `tolerance` is the score's, as a share of the deviation of the frame's map (`runtime.parity.tolerance_of`);
        `period_s` is from the last part, or the last check, to the next check. Raises `InputError` for a period that is
        none.
        """
        check_above_zero("the period of the self-check", period_s)
        self._inspector, self._tolerance, self._period_s, self._clock = inspector, tolerance, period_s, clock
        self._kept: _Kept | None = None
        self._found: str | None = None
        self.stays = False  # what is wrong, whatever the engine says next
        self._since_s = clock()
        self.checks = 0

    def keep(self, frame: Frame) -> None:
        """Inspect this frame now and keep it. Raises `InputError` where it is not OK: nothing could be told by it."""
        verdict = self._inspector.inspect(replace(frame, live=False), INSPECTION_S)
        if verdict.decision is not Decision.OK:
            raise InputError(f"the good frame is {verdict.decision.value}: {verdict.reason}; give one that is OK")
        self._keep(frame, verdict)

    def saw(self, frame: Frame, verdict: Verdict) -> None:
        """A part was inspected."""
        self._since_s = self._clock()
        if self._kept is None and verdict.decision is Decision.OK:
            self._keep(frame, verdict)

    def problem(self) -> str | None:
        """Inspect the kept frame if it is time; what was wrong the last time, in words, or None. Where the engine said
        nothing it is asked again; a wrong answer `stays`."""
        if self._kept is None or self.stays or self._clock() - self._since_s < self._period_s:
            return self._found
        verdict = self._inspector.inspect(self._kept.frame, INSPECTION_S)
        self._since_s = self._clock()
        self.checks += 1
        self._found = _wrong(verdict, self._kept)
        self.stays = self._found is not None and not verdict.unanswered
        return self._found

    def _keep(self, frame: Frame, verdict: Verdict) -> None:
        if verdict.score is None:
            return
        deviation = 0.0 if verdict.scored_map is None else float(verdict.scored_map.std())
        # the rounding of a score as float32 remains where a map has no deviation
        allowed = self._tolerance * max(deviation, 1e-3 * abs(verdict.score))
        self._kept = _Kept(replace(frame, live=False), verdict.score, allowed)


def _wrong(verdict: Verdict, kept: _Kept) -> str | None:
    if verdict.decision is not Decision.OK or verdict.score is None:
        return f"the self-check's good frame is {verdict.decision.value}: {verdict.reason}"
    if not abs(verdict.score - kept.score) <= kept.allowed:
        return (
            f"the self-check's good frame has the score {verdict.score:.6g}; "
            f"it had {kept.score:.6g}, and {kept.allowed:.2g} is allowed"
        )
    return None

"""Verdicts as lines on stdout, for a person or a program."""

import sys
import time
from collections import Counter
from contextlib import suppress
from typing import TextIO

from runtime.frames import Frame
from runtime.outputs import delivering
from runtime.printable import printable
from runtime.verdict import Decision, Verdict

COUNTER_PERIOD_S = 0.2


class JsonLines:
    """Every verdict as one line of JSON. Essential: a program that reads verdicts must not go on without them."""

    name, essential = "lines of JSON", True

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, frame: Frame, verdict: Verdict) -> None:
        """See `Sink.write`. Raises `OutputLost` when nobody reads any more."""
        self.say(verdict.to_json())

    def say(self, text: str) -> None:
        """Print a line among the verdicts. Raises as `write`."""
        with delivering():
            print(text, file=self._out, flush=True)

    def close(self) -> None:
        """Nothing is left to write."""


class Headlines:
    """A line for each part that is rejected, and on a terminal a running count below. Essential, as `JsonLines`."""

    name, essential = "headlines", True

    def __init__(self, out: TextIO | None = None, terminal: TextIO | None = None) -> None:
        """Into `out` (stdout), counting on `terminal` (stderr)."""
        self._out, self._terminal = out or sys.stdout, terminal or sys.stderr
        self._counts: Counter[Decision] = Counter()
        self._shows_count = self._terminal.isatty()
        self._shown_s = 0.0

    def write(self, frame: Frame, verdict: Verdict) -> None:
        """See `Sink.write`. Raises `OutputLost` when nobody reads any more."""
        self._counts[verdict.decision] += 1
        if verdict.decision is not Decision.OK:
            self.say(headline(verdict))
        if self._shows_count and time.monotonic() - self._shown_s >= COUNTER_PERIOD_S:
            self._shown_s = time.monotonic()
            counts = ", ".join(f"{self._counts[decision]} {decision.value}" for decision in Decision)
            self._show(f"\r\033[K{self._counts.total()} frames: {counts}")

    def say(self, text: str) -> None:
        """Print a line among the verdicts. Raises as `write`."""
        self._wipe()
        with delivering():
            print(text, file=self._out, flush=True)

    def close(self) -> None:
        """Wipe the count, so that the summary starts on a clean line."""
        self._wipe()

    def _wipe(self) -> None:
        if self._shows_count:
            self._show("\r\033[K")
            self._shown_s = 0.0

    def _show(self, text: str) -> None:
        with suppress(OSError):  # a terminal that has hung up
            print(text, end="", file=self._terminal, flush=True)


def headline(verdict: Verdict) -> str:
    """A verdict in one line, whatever the file is called: decision, camera where there are several, frame, the part of
    a trigger, reason, and where the worst region is."""
    part = "" if verdict.triggered_s is None else f" of part {verdict.part_id}"
    name = f" ({verdict.name})" if verdict.name else part
    camera = f"{verdict.camera} " if verdict.camera else ""
    text = f"{verdict.decision.value:11} {camera}frame {verdict.frame_id}{name}: {verdict.reason}"
    if verdict.regions:
        x, y = verdict.regions[0].peak_xy
        count = len(verdict.regions)
        text += f"; {count} region{'s' if count > 1 else ''}, peak at x {round(x)}, y {round(y)}"
    return printable(text)

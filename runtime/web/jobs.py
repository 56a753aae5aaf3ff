"""Work that takes minutes, by commands in processes of their own: at the lowest priority, with a log file.

A job's commands run one after the other. It ends with the page's process, and what it had not finished is begun again
by hand: every command of ours writes its file whole or not at all.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.lifeline import Tied
from runtime.printable import printable

NICE = 19  # the inspection comes first, and the page itself before this
LINES = 40  # the last ones, that are shown
LONGEST_LINE = 400


@dataclass(frozen=True)
class Step:
    """One command of a job."""

    name: str
    module: str
    words: tuple[str, ...]
    holds: bool = False  # whether no part may pass meanwhile


class Job:
    """Commands under way. From any thread."""

    def __init__(
        self, kind: str, by: str, steps: Sequence[Step], log: Path, hold: Callable[[bool], None] = lambda on: None
    ) -> None:
        """Starts them. `hold` is told to let no part pass before a step that holds, and to let them again after it.
        What they print goes to the end of `log`, too."""
        self.kind, self.by = kind, by
        self._steps, self._log, self._hold = tuple(steps), log, hold
        self._lock = threading.Lock()
        self._lines: deque[str] = deque(maxlen=LINES)
        self._began_s = time.monotonic()
        self._ended_s: float | None = None
        self._step, self._is_cancelled = "", False
        self._problem: str | None = None
        self._tied: Tied | None = None
        self._took_s: dict[str, float] = {}
        self._thread = threading.Thread(target=self._work, name=f"job {kind}", daemon=True)
        self._thread.start()

    @property
    def is_done(self) -> bool:
        """Whether it has ended, well or not."""
        with self._lock:
            return self._ended_s is not None

    @property
    def problem(self) -> str | None:
        """Why it ended before its end; None while it works, and where it did all."""
        with self._lock:
            return self._problem

    @property
    def document(self) -> dict[str, Any]:
        """For a page."""
        with self._lock:
            return {
                "kind": self.kind,
                "by": self.by,
                "step": self._step,
                "seconds": round((self._ended_s or time.monotonic()) - self._began_s, 1),
                "took_s": dict(self._took_s),
                "done": self._ended_s is not None,
                "problem": self._problem,
                "lines": list(self._lines),
            }

    def cancel(self, by: str) -> None:
        """End it at once."""
        with self._lock:
            if self._ended_s is not None:
                return
            self._is_cancelled, self._problem = True, f"cancelled by {by}"
            tied = self._tied
        if tied is not None:
            tied.end()

    def join(self, timeout_s: float) -> None:
        """Wait for its end."""
        self._thread.join(timeout_s)

    def _work(self) -> None:
        problem = None
        try:
            for step in self._steps:
                problem = self._run(step)
                if problem is not None:
                    break
        except Exception as error:  # a disk that is full, no more processes
            problem = f"{type(error).__name__}: {error}"
        finally:
            with self._lock:
                self._problem = self._problem or problem
                self._ended_s = time.monotonic()

    def _run(self, step: Step) -> str | None:
        """Why a step failed, by the last line that it printed."""
        began_s = time.monotonic()
        if step.holds:
            self._hold(True)
        try:
            with self._lock:
                self._step = step.name
                if self._is_cancelled:
                    return self._problem
                tied = self._tied = Tied(step.module, step.words, NICE)
            try:
                last = self._read(tied)
            except BaseException:
                tied.end()
                raise
            finally:
                status = tied.wait()
        finally:
            with self._lock:
                self._tied = None
                self._took_s[step.name] = round(time.monotonic() - began_s, 1)
            if step.holds:
                self._hold(False)
        if status == 0:
            return None
        return last.removeprefix("error: ") or f"{step.name} ended with status {status}"

    def _read(self, tied: Tied) -> str:
        last = ""
        with open(self._log, "a", encoding="utf-8") as log:
            for line in tied.output:
                last = printable(line.strip())[:LONGEST_LINE] or last
                log.write(line)
                log.flush()
                with self._lock:
                    self._lines.append(last)
        return last

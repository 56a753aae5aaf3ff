"""The progress of a build, as a line on the terminal; Ctrl-C ends the build there."""

import sys
import time
from typing import Any, TextIO

SHORTEST_PERIOD_S = 0.2  # between two lines on a terminal
LOG_PERIOD_S = 30.0  # between two lines elsewhere: a sign of life in a log


def progress_monitor(trt: Any, out: TextIO = sys.stderr) -> Any:
    """A monitor for ``config.progress_monitor``. Call its `close` once the build has ended.

    TensorRT calls it from threads of its own; phases nest.
    """

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._phases: dict[str, tuple[int, int]] = {}  # steps done and in all, the outermost phase first
            self._is_terminal = out.isatty()
            self._began_s = self._shown_s = time.monotonic()
            self._interrupted = False

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._phases[phase_name] = (0, num_steps)
            self._show()

        def step_complete(self, phase_name: str, step: int) -> bool:
            """Whether to go on. No exception may leave a callback of TensorRT's, so a Ctrl-C is kept for `close`."""
            try:
                if phase_name in self._phases:
                    self._phases[phase_name] = (step + 1, self._phases[phase_name][1])
                self._show()
            except KeyboardInterrupt:
                self._interrupted = True
            return not self._interrupted

        def phase_finish(self, phase_name: str) -> None:
            self._phases.pop(phase_name, None)

        def close(self) -> None:
            if self._is_terminal:
                print("\r\033[K", end="", file=out, flush=True)
            if self._interrupted:
                raise KeyboardInterrupt

        def _show(self) -> None:
            now = time.monotonic()
            if now - self._shown_s < (SHORTEST_PERIOD_S if self._is_terminal else LOG_PERIOD_S):
                return
            self._shown_s = now
            phases = " > ".join(f"{name} {done}/{of}" for name, (done, of) in self._phases.items())
            line = f"building the plan, {now - self._began_s:.0f} s: {phases}"
            start, end = ("\r\033[K", "") if self._is_terminal else ("", "\n")
            print(start + line, end=end, file=out, flush=True)

    return Monitor()

"""The progress of a build, as a line on the terminal; Ctrl-C ends the build with the step that it is at."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

SHORTEST_PERIOD_S = 0.2  # between two lines on a terminal
LOG_PERIOD_S = 30.0  # between two lines elsewhere: a sign of life in a log


def _never() -> bool:
    return False


@contextmanager
def noting_interrupts() -> Iterator[Callable[[], bool]]:
    """A function that tells whether Ctrl-C was pressed since; the block goes on, and ends in a KeyboardInterrupt.

    As an exception it would be raised in the first Python function that TensorRT calls, its logger perhaps, and be lost
    there. Outside the main thread, and where Ctrl-C is ignored, signals are left alone.
    """
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, None):
        yield _never
        return
    noted: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: noted.append(number))
    try:
        yield lambda: bool(noted)
    finally:
        signal.signal(signal.SIGINT, before)
    if noted:
        raise KeyboardInterrupt


def progress_monitor(trt: Any, out: TextIO = sys.stderr, interrupted: Callable[[], bool] = _never) -> Any:
    """A monitor for ``config.progress_monitor``, which ends the build once `interrupted` says so. Call its `close` once
    the build has ended.

    Phases nest. No exception may leave what TensorRT calls: it would be lost there.
    """

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._phases: dict[str, tuple[int, int]] = {}  # steps done and in all, the outermost phase first
            self._is_terminal = out.isatty()
            self._began_s = self._shown_s = time.monotonic()

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._phases[phase_name] = (0, num_steps)
            self._show()

        def step_complete(self, phase_name: str, step: int) -> bool:
            """Whether to go on."""
            if phase_name in self._phases:
                self._phases[phase_name] = (step + 1, self._phases[phase_name][1])
            self._show()
            return not interrupted()

        def phase_finish(self, phase_name: str) -> None:
            self._phases.pop(phase_name, None)

        def close(self) -> None:
            if self._is_terminal:
                self._print("\r\033[K", "")

        def _show(self) -> None:
            now = time.monotonic()
            if now - self._shown_s < (SHORTEST_PERIOD_S if self._is_terminal else LOG_PERIOD_S):
                return
            self._shown_s = now
            phases = " > ".join(f"{name} {done}/{of}" for name, (done, of) in self._phases.items())
            line = f"building the plan, {now - self._began_s:.0f} s: {phases}"
            start, end = ("\r\033[K", "") if self._is_terminal else ("", "\n")
            self._print(start + line, end)

        def _print(self, text: str, end: str) -> None:
            with suppress(OSError, ValueError):  # a terminal that has gone away
                print(text, end=end, file=out, flush=True)

    return Monitor()

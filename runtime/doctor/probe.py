"""Questions to vendors' libraries, each in a process of its own: one that crashes or hangs is an answer too."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

TIMEOUT_S = 60.0  # a first import on an SD card may take half a minute
_KILLED_WITHIN_S = 2.0  # a process that waits inside a driver cannot even be killed


@dataclass(frozen=True)
class Answer:
    """What a question brought back: values, or what went wrong in words."""

    values: dict[str, Any] = field(default_factory=dict)
    problem: str | None = None


def ask(module: str, *arguments: str, timeout_s: float = TIMEOUT_S) -> Answer:
    """Run ``python -m module arguments`` and take the last line it prints, a JSON object, as the answer.

    The process finds the same packages as this one. Never raises: an exit, a signal, silence beyond `timeout_s` and
    anything that is no answer become `Answer.problem`.
    """
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=_environment(),
        )
    except OSError as error:
        return Answer(problem=f"no process could be started ({error.strerror})")
    try:
        out, complaint = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        _kill(process)
        return Answer(problem=f"no answer within {timeout_s:g} s")
    except BaseException:  # Ctrl-C: nobody waits for it any more
        _kill(process)
        raise
    return _answer(process.returncode, out, complaint)


def last_line(text: str) -> str:
    """The last line of a text that says anything: of a traceback, the error."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def _environment() -> dict[str, str]:
    # as this process may have been started from a folder or with a path that the other would not look in
    paths = os.pathsep.join(path or os.curdir for path in sys.path)
    return {**os.environ, "PYTHONPATH": paths, "PYTHONUTF8": "1", "PYTHONWARNINGS": "ignore"}


def _answer(status: int, out: str, complaint: str) -> Answer:
    if status < 0:
        return Answer(problem=f"crashed ({_signal_name(-status)}){_said(complaint)}")
    if status > 0:
        return Answer(problem=f"failed{_said(complaint)}")
    try:
        values = json.loads(last_line(out))
    except ValueError:
        values = None
    if not isinstance(values, dict):
        return Answer(problem=f"ended without an answer{_said(complaint)}")
    return Answer(values)


def _kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    try:
        process.communicate(timeout=_KILLED_WITHIN_S)
    except subprocess.TimeoutExpired:
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _said(complaint: str) -> str:
    line = last_line(complaint)
    return f": {line[:300]}" if line else ""

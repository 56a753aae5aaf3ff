"""Processes that are waited for and watched."""

import subprocess
import sys

import pytest

from benchmarks.line import processes
from benchmarks.line.processes import held, holds_more, once_ready, settled
from runtime.errors import InputError


def test_what_becomes_ready_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([ConnectionError(), None, "here"])

    def ask() -> str | None:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(processes, "LOOK_S", 0.0)
    assert once_ready(ask, (ConnectionError,), "it") == "here"
    monkeypatch.setattr(processes, "START_S", 0.05)
    with pytest.raises(InputError, match=r"it did not start within 0\.05 s"):
        once_ready(lambda: False, (), "it")
    with pytest.raises(ValueError, match="another"):
        once_ready(lambda: int("another"), (KeyError,), "it")


def test_a_process_that_ends_is_not_waited_for() -> None:
    with (
        subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"]) as child,
        pytest.raises(InputError, match="the line ended with status 3 before it was ready"),
    ):
        once_ready(lambda: False, (), "the line", child)


LEAKS = """
import os, sys, threading, time
for line in sys.stdin:
    threading.Thread(target=time.sleep, args=(float(line),), daemon=True).start()
    print("there", flush=True)
"""


def test_a_thread_that_stays_is_seen_and_one_that_ends_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "QUIET_S", 0.0)
    with subprocess.Popen([sys.executable, "-c", LEAKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None

        def begin(seconds: float) -> None:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(f"{seconds}\n".encode())
            child.stdin.flush()
            assert child.stdout.readline() == b"there\n"

        begin(0.0)
        before = settled(child, None)
        before["threads"] = 1
        begin(1.0)
        assert holds_more(held(child), before)
        assert not holds_more(settled(child, before), before)
        monkeypatch.setattr(processes, "SETTLE_S", 0.2)
        begin(60.0)
        assert holds_more(settled(child, before), before)
        child.kill()

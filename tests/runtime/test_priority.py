"""Training gives way to an inspection on the same machine, and to nothing else."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from waiting import until

from runtime.priority import TABLE, inspecting, inspections

pytestmark = pytest.mark.skipif(not TABLE.exists(), reason="the kernel's part is Linux'")

ROOT = Path(__file__).parents[2]
INSPECTS = """
import sys
from runtime.priority import inspecting
with inspecting():
    print(1, flush=True)
    sys.stdin.read()
"""
GIVES_WAY = """
import os
from runtime.priority import give_way
give_way("training")
print(os.getpriority(os.PRIO_PROCESS, 0))
"""


@contextmanager
def another_inspects() -> Iterator["subprocess.Popen[str]"]:
    """A process that inspects."""
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", INSPECTS], cwd=ROOT, text=True, **streams) as other:  # type: ignore[call-overload]
        try:
            assert other.stdout.readline() == "1\n"
            yield other
        finally:
            other.kill()


def trained(**environment: str) -> tuple[int, str]:
    """The priority of a process that would train, and what it said."""
    kept = {name: value for name, value in os.environ.items() if name != "PROCTOR_PRIORITY"}
    command = [sys.executable, "-c", GIVES_WAY]
    done = subprocess.run(command, cwd=ROOT, env=kept | environment, capture_output=True, text=True, check=True)
    return int(done.stdout), done.stderr


def test_training_goes_on_at_the_lowest_priority_while_another_process_inspects() -> None:
    with another_inspects() as other:
        assert other.pid in inspections()
        nice, said = trained()
        assert nice == 19
        assert f"{other.pid}" in said
        assert "training goes on at the lowest priority" in said
    until(lambda: other.pid not in inspections())


def test_who_says_so_keeps_its_priority() -> None:
    with another_inspects():
        assert trained(PROCTOR_PRIORITY="keep") == (os.getpriority(os.PRIO_PROCESS, 0), "")


def test_a_process_does_not_give_way_to_itself() -> None:
    with inspecting():
        names = TABLE.read_text()
        assert f"@proctor-inspects-{os.getpid()}" in names
        assert os.getpid() not in inspections()
    assert f"@proctor-inspects-{os.getpid()}" not in TABLE.read_text()

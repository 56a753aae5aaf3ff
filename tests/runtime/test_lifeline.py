"""A child process ends with its owner, with all that it started, and by nothing else."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import until

from runtime.lifeline import Tied

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's part is Linux'")

ROOT = Path(__file__).parents[2]
SESSION = Path("/proc/self/autogroup")  # where nice values count in a session alone
STARTS_ANOTHER = """
import subprocess, sys, time
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("pid", other.pid, flush=True)
time.sleep({seconds})
"""
WORDS = f"""
import os, sys
session = {str(SESSION)!r}
nice = open(session).read().split()[-1] if os.path.exists(session) else os.nice(0)
print(sys.argv[1:], os.nice(0), nice)
sys.exit(7)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module that starts another process and sleeps."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), str(ROOT))))
    (tmp_path / "sleeper.py").write_text(STARTS_ANOTHER.format(seconds=600))
    (tmp_path / "short.py").write_text(STARTS_ANOTHER.format(seconds=0))
    (tmp_path / "words.py").write_text(WORDS)
    return "sleeper"


def alive(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def pid_of_another(tied: Tied) -> int:
    return int(tied.output.readline().split()[1])


def test_it_is_the_module_with_its_words_at_its_priority_and_its_status_is_told(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROCTOR_PRIORITY")
    tied = Tied("words", ["a b", "ü"], 3)
    nice = min(19, os.nice(0) + 3)
    assert tied.output.read() == f"['a b', 'ü'] {nice} {nice}\n"
    assert tied.wait() == 7


def test_end_kills_it_with_what_it_started(module: str) -> None:
    tied = Tied(module, [], 0)
    other = pid_of_another(tied)
    tied.end()
    assert tied.wait() == -signal.SIGKILL
    until(lambda: not alive(other))
    tied.end()


def test_what_it_leaves_behind_ends_too(module: str) -> None:
    tied = Tied("short", [], 0)
    other = pid_of_another(tied)
    assert tied.wait() == 0
    until(lambda: not alive(other))


def test_it_dies_with_an_owner_that_was_killed(module: str, tmp_path: Path) -> None:
    owner = (
        "import time\nfrom runtime.lifeline import Tied\n"
        "tied = Tied('sleeper', [], 0)\nother = tied.output.readline().split()[1]\n"  # it prints no more
        "print(tied._process.pid, other, flush=True)\ntime.sleep(600)"
    )
    started = subprocess.Popen([sys.executable, "-c", owner], stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    child, other = map(int, started.stdout.readline().split())
    try:
        assert alive(child)
        started.kill()
        started.wait()
        started.stdout.close()
        until(lambda: not alive(child))
    finally:
        os.kill(other, signal.SIGKILL)  # of what the child itself started nobody takes care then

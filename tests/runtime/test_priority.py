"""Training gives way to an inspection on the same machine, and to nothing else."""

import os
import shutil
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
IN_TURN = """
import os, sys, time
from pathlib import Path
from threading import Thread
from runtime.priority import give_way, inspecting
Thread(target=time.sleep, args=(600,), daemon=True).start()  # as those of a library that were there before
print("began", flush=True)
for line in iter(sys.stdin.readline, ""):
    exec(line)
    nice = {os.getpriority(os.PRIO_PROCESS, int(each)) for each in os.listdir("/proc/self/task")}
    session = Path("/proc/self/autogroup")
    print(nice, session.read_text().split()[-1] if session.exists() else None, flush=True)
"""


ALONE = ("unshare", "--net")  # an inspection is seen in its network namespace, and other tests inspect meanwhile
BEGINS_ANOTHER = f"""
import subprocess
pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
other = subprocess.Popen([sys.executable, "-c", {INSPECTS!r}], start_new_session=True, **pipes)
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


def as_users() -> dict[str, str]:
    """The environment without what keeps the priority of all other tests' commands."""
    return {name: value for name, value in os.environ.items() if name != "PROCTOR_PRIORITY"}


def trained(**environment: str) -> tuple[int, str]:
    """The priority of a process that would train, and what it said."""
    command = [sys.executable, "-c", GIVES_WAY]
    done = subprocess.run(command, cwd=ROOT, env=as_users() | environment, capture_output=True, text=True, check=True)
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


@contextmanager
def in_a_session_of_its_own(*prefix: str) -> Iterator["subprocess.Popen[str]"]:
    """A process that does what it is told, line by line, and says the nice values of its threads and its session's."""
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [*prefix, sys.executable, "-c", IN_TURN]
    with subprocess.Popen(command, cwd=ROOT, env=as_users(), text=True, start_new_session=True, **streams) as process:  # type: ignore[call-overload]
        try:
            assert process.stdout.readline() == "began\n"
            yield process
        finally:
            process.kill()


def told(process: "subprocess.Popen[str]", line: str) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


needs_sessions = pytest.mark.skipif(
    not Path("/proc/self/autogroup").exists(), reason="THIS KERNEL shares the processor between processes alone"
)


@needs_sessions
def test_so_does_its_session_where_the_kernel_shares_between_sessions() -> None:
    with another_inspects(), in_a_session_of_its_own() as trains:
        assert told(trains, "pass") == "{0} 0"
        assert told(trains, "give_way('training')") == "{19} 19"


@needs_sessions
def test_an_inspection_that_begins_later_is_given_way_to_as_well() -> None:
    if shutil.which(ALONE[0]) is None or subprocess.run([*ALONE, "true"], capture_output=True).returncode != 0:
        pytest.skip("NOT TESTED here: unshare --net takes util-linux and root")
    with in_a_session_of_its_own(*ALONE) as trains:
        assert told(trains, "give_way('training')") == "{0} 0"
        assert told(trains, f"exec({BEGINS_ANOTHER!r})") == "{0} 0"
        until(lambda: told(trains, "pass") == "{19} 19")


@needs_sessions
def test_the_session_of_an_inspection_keeps_its_priority() -> None:
    begins = "inspection = inspecting(); inspection.__enter__()"
    gives_way = f"import subprocess; subprocess.run([sys.executable, '-c', {GIVES_WAY!r}], check=True, stdout=2)"
    with in_a_session_of_its_own() as line:
        assert told(line, begins) == "{0} 0"
        assert told(line, gives_way) == "{0} 0"
        line.kill()
        said = line.communicate()[1]
    assert "19\n" in said
    assert "training goes on at the lowest priority" in said


@needs_sessions
def test_a_terminal_has_its_priority_again_when_training_is_done() -> None:
    gives_way = f"import subprocess; subprocess.run([sys.executable, '-c', {GIVES_WAY!r}], check=True, stdout=2)"
    with another_inspects(), in_a_session_of_its_own() as terminal:
        assert told(terminal, gives_way) == "{0} 0"


@needs_sessions
def test_work_in_the_same_terminal_that_ends_first_takes_the_low_priority_from_nobody() -> None:
    with another_inspects(), in_a_session_of_its_own() as terminal:
        assert told(terminal, "give_way('training')") == "{19} 19"
        assert told(terminal, "Path('/proc/self/autogroup').write_text('0')") == "{19} 0"  # as the other one does
        until(lambda: told(terminal, "pass") == "{19} 19")


@needs_sessions
def test_an_inspection_takes_the_priority_back_that_work_in_its_terminal_lowered_and_was_killed() -> None:
    lowers = "Path('/proc/self/autogroup').write_text('19')"
    with in_a_session_of_its_own() as terminal:
        assert told(terminal, lowers) == "{0} 19"
        assert told(terminal, "inspection = inspecting(); inspection.__enter__()") == "{0} 0"

"""What comes first on a machine: an inspection, and then what takes minutes, such as training.

Whoever inspects has a name in the kernel's abstract namespace, which is gone with the process, however that ends.
Whoever would take the processor for long looks for such names. Between containers with networks of their own nobody is
seen.
With ``PROCTOR_PRIORITY=keep`` in its environment a command keeps the priority that it was given.

Where Linux shares the processor between sessions first (sched(7), autogroup), a process's nice value counts among those
of its own session alone: training at nice 19 in another terminal takes as much as the line does. So the session's own
value is lowered, too.
"""

import atexit
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runtime.outputs import say

NAME = "proctor-inspects-"  # and the process's number
TABLE = Path("/proc/net/unix")
SESSION = "/proc/{}/autogroup"  # such as "/autogroup-20 nice 0"; absent where there is no such sharing
LOWEST = 19
LOOK_S = 2.0  # between two looks at whether an inspection has begun
KEEPS = ("PROCTOR_PRIORITY", "keep")


@contextmanager
def inspecting() -> Iterator[None]:
    """Let other commands on this machine know, while a camera is inspected or a line served. On Linux; elsewhere nobody
    is told."""
    if not TABLE.exists():
        yield
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as mark:
        with suppress(OSError):  # the name is a courtesy
            mark.bind(f"\0{NAME}{os.getpid()}")
        session, nice = _session(), os.getpriority(os.PRIO_PROCESS, 0)
        if session is not None and session[1] > nice and not _keeps():  # by work in this terminal that was killed
            _set_session(max(0, nice))
        yield


def inspections() -> list[int]:
    """The processes on this machine that inspect, but this one."""
    try:
        names = [line.rsplit(None, 1)[-1] for line in TABLE.read_text(errors="replace").splitlines() if line]
    except OSError:
        return []
    found = [name.removeprefix(f"@{NAME}") for name in names if name.startswith(f"@{NAME}")]
    return sorted({int(pid) for pid in found if pid.isdecimal()} - {os.getpid()})


def lower(by: int) -> None:
    """Lower the priority of this process, and of its session where no process of that inspects: its nice value by so
    much, to 19 at most. Where there are no nice values, or it is to keep its own, nothing is done."""
    if _keeps():
        return
    nice = min(LOWEST, os.getpriority(os.PRIO_PROCESS, 0) + by)
    for thread in _threads():
        with suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, thread, nice)  # Linux has a value for each thread
    session = _session()
    if session is None or session[1] >= nice or session[0] in {(_session(pid) or ("",))[0] for pid in inspections()}:
        return
    _set_session(nice)
    atexit.register(_set_session, session[1])  # the terminal outlives this process


def give_way(what: str) -> None:
    """Go on at the lowest priority as soon as an inspection runs on this machine, and say so; `what` goes on, in
    words."""
    if _keeps():
        return
    has_given = _gave_way(what)
    threading.Thread(target=_look, args=(what, has_given), name="priority", daemon=True).start()


def _keeps() -> bool:
    return os.environ.get(KEEPS[0]) == KEEPS[1] or not hasattr(os, "setpriority")


def _look(what: str, has_given: bool) -> None:
    while True:
        time.sleep(LOOK_S)
        if has_given:
            lower(LOWEST)  # others of this terminal, when they end, leave its session as they found it
        else:
            has_given = _gave_way(what)


def _gave_way(what: str) -> bool:
    found = inspections()
    if not found:
        return False
    lower(LOWEST)
    who = ", ".join(map(str, found))
    say(f"an inspection runs on this machine (process {who}): {what} goes on at the lowest priority")
    return True


def _threads() -> list[int]:
    """Those of this process; 0, the calling one, where the system does not tell."""
    try:
        return [int(name) for name in os.listdir("/proc/self/task")]
    except OSError:
        return [0]


def _session(pid: int | str = "self") -> tuple[str, int] | None:
    """The name and the nice value of the session that a process shares the processor in; None where there is none."""
    with suppress(OSError):
        if found := re.fullmatch(r"(\S+) nice (-?\d+)\s*", Path(SESSION.format(pid)).read_text()):
            return found[1], int(found[2])
    return None


def _set_session(nice: int) -> None:
    with suppress(OSError):
        Path(SESSION.format("self")).write_text(str(nice))

"""What comes first on a machine: an inspection, and then what takes minutes, such as training.

Whoever inspects has a name in the kernel's abstract namespace, which is gone with the process, however that ends.
Whoever would take the processor for long looks for such names. Between containers with networks of their own nobody is
seen.
With ``PROCTOR_PRIORITY=keep`` in its environment a command keeps the priority that it was given.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runtime.outputs import say

NAME = "proctor-inspects-"  # and the process's number
TABLE = Path("/proc/net/unix")
LOWEST = 19
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
        yield


def inspections() -> list[int]:
    """The processes on this machine that inspect, but this one."""
    try:
        names = [line.rsplit(None, 1)[-1] for line in TABLE.read_text(errors="replace").splitlines() if line]
    except OSError:
        return []
    found = [name.removeprefix(f"@{NAME}") for name in names if name.startswith(f"@{NAME}")]
    return sorted({int(pid) for pid in found if pid.isdecimal()} - {os.getpid()})


def give_way(what: str) -> None:
    """Go on at the lowest priority where an inspection runs on this machine, and say so; `what` goes on, in words."""
    if os.environ.get(KEEPS[0]) == KEEPS[1] or not hasattr(os, "setpriority"):
        return
    found = inspections()
    if found and os.getpriority(os.PRIO_PROCESS, 0) < LOWEST:
        os.setpriority(os.PRIO_PROCESS, 0, LOWEST)
        who = ", ".join(map(str, found))
        say(f"an inspection runs on this machine (process {who}): {what} goes on at the lowest priority")

"""A server as a process that is measured or attacked: when it is ready, and what it holds."""

import os
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from runtime.errors import InputError

START_S = 60.0  # for a process to be ready, on a machine with much else to do
LOOK_S = 0.1
QUIET_S = 1.0  # after a controller has gone, for its threads to end
SETTLE_S = 10.0  # after the last, who may have said nothing at all

T = TypeVar("T")


def free_port() -> int:
    """A port that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(found: Callable[[], T], what: str = "it", patience_s: float = START_S) -> T:
    """What `found` returns once that is true, looked for often. Raises `InputError` where it never is."""
    until_s = time.monotonic() + patience_s
    while not (value := found()):
        if time.monotonic() > until_s:
            raise InputError(f"{what} did not come within {patience_s:g} s")
        time.sleep(0.005)
    return value


def once_ready(
    ask: Callable[[], T],
    not_yet: tuple[type[Exception], ...],
    what: str,
    child: "subprocess.Popen[bytes] | None" = None,
) -> T:
    """What `ask` returns as soon as it is true; an error of `not_yet` is the same as false.

    Raises `InputError`, which names `what` does not start, after `START_S`, and when the process `child` has ended.
    """
    until_s = time.monotonic() + START_S
    while time.monotonic() < until_s:
        if child is not None and child.poll() is not None:
            raise InputError(f"{what} ended with status {child.returncode} before it was ready")
        with suppress(*not_yet):
            if found := ask():
                return found
        time.sleep(LOOK_S)
    raise InputError(f"{what} did not start within {START_S:g} s")


def held(child: "subprocess.Popen[bytes]") -> dict[str, int]:
    """Threads, descriptors and resident memory (kB) of a process, from Linux's /proc."""
    status = Path(f"/proc/{child.pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return {
        "threads": int(fields["Threads"]),
        "descriptors": len(os.listdir(f"/proc/{child.pid}/fd")),
        "memory_kb": int(fields["VmRSS"].split()[0]),
    }


def holds_more(after: dict[str, int], before: dict[str, int]) -> bool:
    """Whether there are more threads or descriptors than before. Memory is told of, and may grow."""
    return any(after[name] > before[name] for name in ("threads", "descriptors"))


def settled(child: "subprocess.Popen[bytes]", before: dict[str, int] | None = None) -> dict[str, int]:
    """What a process holds when all is quiet, and no more than `before` or as little as it comes to in `SETTLE_S`."""
    time.sleep(QUIET_S)
    until_s = time.monotonic() + SETTLE_S
    while before is not None and holds_more(held(child), before) and time.monotonic() < until_s:
        time.sleep(LOOK_S)
    return held(child)

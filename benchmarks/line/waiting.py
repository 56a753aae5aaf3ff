"""What benchmarks and tests wait for, and a port for what they wait on."""

import socket
import time
from collections.abc import Callable
from typing import TypeVar

from runtime.errors import InputError

T = TypeVar("T")

PATIENCE_S = 60.0  # for what takes a moment, on a machine with much else to do


def until(found: Callable[[], T], what: str = "it", patience_s: float = PATIENCE_S) -> T:
    """What `found` returns once that is true. Raises `InputError` where it never is."""
    until_s = time.monotonic() + patience_s
    while not (value := found()):
        if time.monotonic() > until_s:
            raise InputError(f"{what} did not come within {patience_s:g} s")
        time.sleep(0.005)
    return value


def free_port() -> int:
    """A TCP port of this machine that nobody has right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

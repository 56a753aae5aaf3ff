"""Faults of an engine, a picture and a controller, over the runtime's parts and an engine that does as it is told."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.line.__main__ import server
from benchmarks.line.controllers import PATIENCE_S, ready_client
from benchmarks.line.seen import Seen
from benchmarks.line.servers import FAILS, HANGS
from runtime.errors import InputError
from runtime.line.python_client import Accepted, LineClient, PartResult
from runtime.line.results import Part

SIZE_HW = (32, 48)
GREY = 128


def picture(grey: int) -> NDArray[np.uint8]:
    """A flat one, which tells the engine of ``servers faulty`` what to do."""
    return np.full((*SIZE_HW, 3), grey, np.uint8)


def told(result: PartResult | None) -> str:
    """A result in two words."""
    return "no result" if result is None else f"{result.code.name} {result.cause.name}"


def inspected(client: LineClient, image: NDArray[np.uint8], part_id: int, recorded: bool = True) -> PartResult:
    """A part's result. Raises `InputError` where it is refused."""
    answer = client.trigger(image, Part(part_id), recorded, PATIENCE_S)
    result = client.result(PATIENCE_S) if isinstance(answer, Accepted) else None
    if result is None:
        raise InputError(f"part {part_id} has no result: {answer}")
    return result


def until_well(
    client: LineClient, image: NDArray[np.uint8], first_part: int, patience_s: float = PATIENCE_S
) -> tuple[float, int]:
    """When the first of these parts passed, monotonic clock, and its number. Raises `InputError` where none does."""
    until_s, part_id = time.monotonic() + patience_s, first_part
    while time.monotonic() < until_s:
        answer = client.trigger(image, Part(part_id), True, PATIENCE_S)
        if isinstance(answer, Accepted):
            result = client.result(PATIENCE_S)
            if result is not None and result.passes:
                return time.monotonic(), part_id
        part_id += 1
        time.sleep(0.005)
    raise InputError(f"no part passed within {patience_s:g} s")


@contextmanager
def faulty(folder: Path) -> Iterator[LineClient]:
    """A controller of a runtime whose engine fails or hangs when it is told to; it has had a pass."""
    path = folder / "line.sock"
    with server("faulty", path, (SIZE_HW[1], SIZE_HW[0])), ready_client(path, SIZE_HW) as client:
        until_well(client, picture(GREY), 1)
        yield client


def counted(client: LineClient, *names: str) -> dict[str, int]:
    """Some of the runtime's registers."""
    status = client.status(PATIENCE_S)
    return {name: status[name] for name in names}


def engine_error(folder: Path) -> Seen:
    """See `benchmarks.line.faults.FAULTS`."""
    with faulty(folder) as client:
        result, begun_s = inspected(client, picture(FAILS), 2), time.monotonic()
        well_s, _ = until_well(client, picture(GREY), 3)
        return Seen((told(result),), counted(client, "missed", "too_late"), well_s - begun_s)


def deadline_missed(folder: Path) -> Seen:
    """See `benchmarks.line.faults.FAULTS`."""
    with faulty(folder) as client:
        result, begun_s = inspected(client, picture(HANGS), 2), time.monotonic()
        well_s, _ = until_well(client, picture(GREY), 3)
        return Seen((told(result),), counted(client, "too_late"), well_s - begun_s)


def frozen_frame(folder: Path) -> Seen:
    """See `benchmarks.line.faults.FAULTS`."""
    with faulty(folder) as client:
        first = inspected(client, picture(GREY + 1), 2, recorded=False)
        again, begun_s = inspected(client, picture(GREY + 1), 3, recorded=False), time.monotonic()
        if not again.reason.startswith("frozen"):
            raise InputError(f"the same picture again is {again.reason!r}; expected frozen")
        moved = inspected(client, picture(GREY + 2), 4, recorded=False)
        return Seen((told(first), told(again), told(moved)), counted(client, "missed"), time.monotonic() - begun_s)


_CONTROLLER = f"""
import sys, time, numpy as np
from runtime.line.python_client import LineClient
from runtime.line.results import Part
line = LineClient(sys.argv[1], {SIZE_HW}, timeout_s=20)
line.trigger(np.full({(*SIZE_HW, 3)}, int(sys.argv[2]), np.uint8), Part(77), timeout_s=20)
print("triggered", flush=True)
time.sleep(60)
"""


def client_dead(folder: Path) -> Seen:
    """See `benchmarks.line.faults.FAULTS`."""
    path = folder / "line.sock"
    with server("faulty", path, (SIZE_HW[1], SIZE_HW[0])):
        ready_client(path, SIZE_HW).close()
        command = [sys.executable, "-c", _CONTROLLER, str(path), str(GREY)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE)
        try:
            assert child.stdout is not None
            if child.stdout.readline().strip() != b"triggered":
                raise InputError("the controller's program did not trigger")
        finally:
            child.kill()
            child.communicate()
        begun_s = time.monotonic()
        with ready_client(path, SIZE_HW) as client:
            left = client.result(0.0)
            well_s, first = until_well(client, picture(GREY), 78)
            if first != 78:
                raise InputError(f"the first part of the next controller to pass is {first}")
            return Seen((told(left),), counted(client, "acquisition_id", "missed"), well_s - begun_s)

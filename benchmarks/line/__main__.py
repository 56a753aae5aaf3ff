"""What a controller's round trip costs without the inference, beside the least that Python can do.

::

    python -m benchmarks.line [--parts 10000] [--size 768x576] [--json FILE]

A C client sends one picture after another in shared memory and waits for each result, in turns to three servers, each a
process of its own (`benchmarks.line.servers`): a plain Python echo of the same messages, which reads the same picture;
the runtime's server, handshake and inference loop over an inspector that says OK at once; and the same over a detector
whose engine computes nothing. The first parts of a turn warm up and do not count. Needs gcc.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.documents import write_document
from benchmarks.environment import describe_environment, one_line
from benchmarks.options import add_json_option
from runtime import cli
from runtime.errors import InputError

SERVERS = ("echo", "instant", "prepared")
TURN = 500  # parts of one server before the next one's turn: a busy moment of the machine meets all
WARM_UP = 20  # of each turn
TARGET_RATIO = 3.0
START_S = 60.0
CLIENT = Path(__file__).parents[2] / "runtime" / "line" / "client"
SOURCE = Path(__file__).parent / "round_trip.c"


@dataclass(frozen=True)
class RoundTrip:
    """Of one server: microseconds from sending a trigger to its result."""

    parts: int
    p50_us: float
    p99_us: float
    largest_us: float


def build(folder: Path) -> Path:
    """The client, compiled. Raises `InputError` where it cannot be."""
    compiler = shutil.which("gcc")
    if compiler is None:
        raise InputError("there is no C compiler; apt install gcc libc6-dev")
    program = folder / "round_trip"
    sources = [str(CLIENT / "proctor.c"), str(SOURCE)]
    command = [compiler, "-std=c99", "-O2", f"-I{CLIENT}", *sources, "-o", str(program)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise InputError(f"the client cannot be compiled: {done.stderr.strip()}")
    return program


@contextmanager
def server(kind: str, path: Path, size_wh: tuple[int, int]) -> Iterator[subprocess.Popen[bytes]]:
    """A server of that kind at `path`, while it is needed."""
    words = [sys.executable, "-m", "benchmarks.line.servers", kind, str(path), str(size_wh[1]), str(size_wh[0])]
    child = subprocess.Popen(words, stdin=subprocess.PIPE)
    try:
        yield child
    finally:
        child.communicate(timeout=START_S)


def turn(program: Path, path: Path, parts: int, size_wh: tuple[int, int]) -> NDArray[np.float64]:
    """Microseconds [parts]. Raises `InputError` where a part had no result."""
    command = [str(program), str(path), str(parts), str(size_wh[0]), str(size_wh[1])]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise InputError(f"the client failed: {done.stderr.strip()}")
    return np.array(done.stdout.split(), np.float64) / 1e3


def measure(parts: int, size_wh: tuple[int, int]) -> dict[str, RoundTrip]:
    """The round trips by server, of `parts` each."""
    found: dict[str, list[NDArray[np.float64]]] = {kind: [] for kind in SERVERS}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        program = build(Path(folder))
        paths = {kind: Path(folder) / kind for kind in SERVERS}
        for kind, path in paths.items():
            stack.enter_context(server(kind, path, size_wh))
        for path in paths.values():
            _wait_for(program, path, size_wh)
        left = parts
        while left > 0:
            now = min(TURN, left)
            for kind, path in paths.items():
                found[kind].append(turn(program, path, WARM_UP + now, size_wh)[WARM_UP:])
            left -= now
    return {kind: _round_trip(np.concatenate(each)) for kind, each in found.items()}


def _wait_for(program: Path, path: Path, size_wh: tuple[int, int]) -> None:
    until_s = time.monotonic() + START_S
    while time.monotonic() < until_s:
        try:
            turn(program, path, 1, size_wh)
            return
        except InputError:
            time.sleep(0.1)
    raise InputError(f"the server at {path} did not start")


def _round_trip(us: NDArray[np.float64]) -> RoundTrip:
    return RoundTrip(len(us), float(np.quantile(us, 0.5)), float(np.quantile(us, 0.99)), float(us.max()))


def lines(found: dict[str, RoundTrip]) -> list[str]:
    """The figures as a table, with the ratios to the echo."""
    echo = found["echo"]
    rows = [
        f"{kind:<10}{each.p50_us:>10.0f}{each.p99_us:>10.0f}{each.largest_us:>10.0f}"
        f"{each.p50_us / echo.p50_us:>12.2f}{each.p99_us / echo.p99_us:>12.2f}"
        for kind, each in found.items()
    ]
    head = f"{'server':<10}{'p50 µs':>10}{'p99 µs':>10}{'max µs':>10}{'p50 ratio':>12}{'p99 ratio':>12}"
    ratio = found["instant"].p50_us / echo.p50_us, found["instant"].p99_us / echo.p99_us
    judged = "within" if max(ratio) < TARGET_RATIO else "over"
    return [head, *rows, f"instant: {judged} the target of {TARGET_RATIO:g} times the echo, at p50 and p99"]


def _size(text: str) -> tuple[int, int]:
    width, x, height = text.partition("x")
    if not x or not width.isdecimal() or not height.isdecimal() or not int(width) or not int(height):
        raise argparse.ArgumentTypeError(f"{text!r} is no WIDTHxHEIGHT")
    return int(width), int(height)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog=cli.program("benchmarks.line"), description="Time a controller's round trip.")
    parser.add_argument("--parts", type=cli.positive, default=10_000, metavar="N", help="of each server (10,000)")
    parser.add_argument(
        "--size", type=_size, default=(768, 576), metavar="WxH", help="of pictures, in colour (768x576)"
    )
    add_json_option(parser)
    options = parser.parse_args(arguments)
    load = os.getloadavg()[0]
    found = measure(options.parts, options.size)
    environment = describe_environment()
    print("\n".join([*lines(found), f"{one_line(environment)}; load {load:.1f} at the start"]))
    if options.json:
        document = {
            "picture": f"{options.size[0]}×{options.size[1]} BGR8",
            "round_trips": {kind: asdict(each) for kind, each in found.items()},
            "target_ratio": TARGET_RATIO,
            "load_at_the_start": round(load, 1),
            "environment": environment,
        }
        write_document(options.json, document)


if __name__ == "__main__":
    cli.run(main)

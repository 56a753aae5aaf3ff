"""Garbage against the server, for as long as asked: ``python -m benchmarks.line.fuzz [--seconds 60] [--seed 0]``.

Connections that send hellos with memory that is none, messages with changed bytes, cut messages and random ones, some
after a greeting that is right, and that leave at any moment. Every hundredth connection is a good controller's, whose
part has to pass. At the end the server must have the threads and descriptors that it began with; its memory is told.
"""

import argparse
import fcntl
import os
import random
import socket
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np

from benchmarks.documents import tell
from benchmarks.line.__main__ import server
from benchmarks.line.processes import START_S, holds_more, once_ready, settled
from benchmarks.options import add_json_option
from runtime import cli
from runtime.errors import InputError, LineError, WireError
from runtime.line.python_client import Accepted, LineClient
from runtime.line.results import Part
from runtime.line.wire import CLOSED, HELLO, MESSAGES, MOST_BYTES, Closing, pack, unpack

SIZE_HW = (32, 48)
SLOT_BYTES = 32 * 48 * 3
GOOD_EVERY = 100


def rubbish(rng: random.Random) -> bytes:
    """What may be a message, or not."""
    if rng.random() < 0.1:
        return rng.randbytes(rng.randrange(1, 5_000))
    data = bytearray(pack(rng.choice(MESSAGES), {}, rng.randrange(3)))
    for _ in range(rng.randrange(4)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    if rng.random() < 0.2:
        del data[rng.randrange(1, len(data)) :]
    return bytes(data)


def attack(path: Path, rng: random.Random) -> str:
    """One connection; how the server ended it, or "left" where we did."""
    memory = os.memfd_create("fuzz", os.MFD_ALLOW_SEALING)
    try:
        os.truncate(memory, rng.choice([0, 2 * SLOT_BYTES, 2 * SLOT_BYTES]))
        if rng.random() < 0.8:
            fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line, suppress(OSError):
            line.settimeout(rng.choice([0.001, 0.05, 1.5]))
            line.connect(os.fspath(path))
            if rng.random() < 0.8:
                hello = pack(HELLO, {"slots": rng.choice([2, 2, 2, 3]), "slot_bytes": SLOT_BYTES})
                socket.send_fds(line, [hello], [memory] * rng.choice([1, 1, 1, 2]))
            for _ in range(rng.randrange(12)):
                line.send(rubbish(rng))
            while data := line.recv(MOST_BYTES):
                message = unpack(data, exact=True)
                if message.layout is CLOSED:
                    return Closing(message.values["why"]).name
        return "left"
    finally:
        os.close(memory)


def good(path: Path) -> bool:
    """Whether a good controller's part passes."""
    with LineClient(path, SIZE_HW, timeout_s=START_S) as line:
        answer = line.trigger(np.full((*SIZE_HW, 3), 128, np.uint8), Part(1), timeout_s=START_S)
        result = line.result(START_S) if isinstance(answer, Accepted) else None
        return result is not None and result.passes


def measure(seconds: float, seed: int) -> dict[str, object]:
    """Attack for that long. Raises `InputError` where a good controller did not get its pass, or something is left."""
    rng, ends, passes = random.Random(seed), Counter[str](), 0
    with tempfile.TemporaryDirectory() as folder, server("instant", path := Path(folder) / "line", SIZE_HW) as child:
        once_ready(lambda: good(path), (LineError,), "the server")
        before, until_s = settled(child), time.monotonic() + seconds
        while time.monotonic() < until_s:
            try:
                ends[attack(path, rng)] += 1
            except WireError as error:
                raise InputError(f"the server sent what is no message: {error}") from error
            if ends.total() % GOOD_EVERY == 0:
                if not good(path):
                    raise InputError(f"a good controller had no pass after {ends.total()} connections")
                passes += 1
        after = settled(child, before)
    if holds_more(after, before):
        raise InputError(f"the server began with {before} and ended with {after}")
    return {"connections": ends.total(), "ends": dict(ends), "good_passes": passes, "before": before, "after": after}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog=cli.program("benchmarks.line.fuzz"), description="Garbage against the server."
    )
    parser.add_argument("--seconds", type=cli.positive, default=60, metavar="S", help="how long (60)")
    parser.add_argument("--seed", type=cli.seed, default=0, metavar="N", help="of the garbage (0)")
    add_json_option(parser)
    options = parser.parse_args(arguments)
    found = measure(options.seconds, options.seed)
    tell(found, options.json, {"seconds": options.seconds, "seed": options.seed})


if __name__ == "__main__":
    cli.run(main)

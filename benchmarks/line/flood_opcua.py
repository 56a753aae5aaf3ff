"""What OPC UA clients that flood can do to the line: ``python -m benchmarks.line.flood_opcua [--parts 200]``.

A controller on the Unix socket triggers parts of the demo detector, one after the other, and takes the time from
trigger to result: while nobody else is there; while processes compute that have nothing to do with the line; and while
as many processes flood its OPC UA server, each by connections that ask for all registers without reading an answer, one
that sends rubbish, and one that hangs. The three take turns. What the flood adds to the second is the server's; what
the second adds to the first is the machine's, which has few cores.
"""

import argparse
import asyncio
import random
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np
from asyncua import Client, ua
from numpy.typing import NDArray

from benchmarks.documents import tell
from benchmarks.line.fuzz_opcua import recorded
from benchmarks.line.processes import START_S, free_port, once_ready
from benchmarks.options import add_json_option
from runtime import cli
from runtime.cameras import open_source
from runtime.default_detector import DEMO_DETECTOR
from runtime.errors import InputError, LineError
from runtime.line.opcua.nodes import INDEX, registers
from runtime.line.opcua.server import quieten
from runtime.line.python_client import Accepted, LineClient
from runtime.line.results import Part

SIZE_HW = (256, 256)
ROUNDS = 4
CONDITIONS = ("alone", "computing", "flooded")
SEQUENCE_AT, REQUEST_AT, CHANNEL_AT = 16, 20, 8  # in a message


async def _ask(port: int) -> bool:
    """All registers, once; whether there was an answer."""
    async with Client(f"opc.tcp://127.0.0.1:{port}", timeout=START_S) as client:
        ids = [ua.NodeId(each, INDEX) for each in registers()] * 10
        return len(await client.uaclient.read_attributes(ids, ua.AttributeIds.Value)) == len(ids)


def flood(port: int) -> None:
    """Until this process is ended."""
    quieten()
    messages = recorded(port, _ask)
    asks = max(messages, key=len)
    rng = random.Random(0)
    hung = socket.create_connection(("127.0.0.1", port), START_S)
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), START_S) as rude:
            rude.settimeout(1.0)
            _flood(rude, messages[: messages.index(asks)], asks)
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), START_S) as rude:
            rude.sendall(rng.randbytes(100_000))
        with suppress(OSError):
            if not hung.recv(1, socket.MSG_DONTWAIT):
                hung = socket.create_connection(("127.0.0.1", port), START_S)


def _flood(rude: socket.socket, opening: list[bytes], asks: bytes) -> None:
    """Log in as that client did, then ask and ask, and read nothing."""
    channel = 0
    for message in opening:
        data = bytearray(message)
        if message[:3] == b"MSG":
            struct.pack_into("<I", data, CHANNEL_AT, channel)
        rude.sendall(data)
        answer = rude.recv(65_536)
        if answer[:3] == b"OPN":
            (channel,) = struct.unpack_from("<I", answer, CHANNEL_AT)
    data = bytearray(asks)
    sequence, request = struct.unpack_from("<II", data, SEQUENCE_AT)
    for _ in range(100_000):
        struct.pack_into("<I", data, CHANNEL_AT, channel)
        struct.pack_into("<II", data, SEQUENCE_AT, sequence, request)
        rude.sendall(data)
        sequence, request = sequence + 1, request + 1


def compute() -> None:
    """Until this process is ended."""
    while True:
        sum(range(10_000))


@contextmanager
def burdened(condition: str, port: int, processes: int) -> Iterator[None]:
    """Processes that compute or flood, unless the line is alone."""
    with ExitStack() as opened:
        children = []
        for _ in range(processes if condition != "alone" else 0):
            line = [sys.executable, "-m", "benchmarks.line.flood_opcua", "--child", condition, "--port", str(port)]
            children.append(child := subprocess.Popen(line))
            opened.callback(child.wait)
            opened.callback(child.kill)
        time.sleep(3.0 if condition != "alone" else 0.5)  # until they are at it
        yield
        if any(child.poll() is not None for child in children):
            raise InputError(
                f"a process of the condition {condition} ended before it was told to; nothing was measured"
            )


def measure(parts: int, processes: int) -> dict[str, object]:
    """Milliseconds from trigger to result, and heartbeats a second, of each condition."""
    with open_source("demo?seed=3") as source:
        frame = source.read()
    assert frame is not None
    took_ms: dict[str, list[float]] = {each: [] for each in CONDITIONS}
    beats: dict[str, list[float]] = {each: [] for each in CONDITIONS}
    with tempfile.TemporaryDirectory() as folder:
        port, path = free_port(), Path(folder) / "line.sock"
        words = [DEMO_DETECTOR, "--socket", path, "--opcua", f"127.0.0.1:{port}?control=no", "--deadline-ms", 20_000]
        line = subprocess.Popen([sys.executable, "-m", "runtime.line", *map(str, words), "--threads", "1"])
        try:
            with once_ready(lambda: LineClient(path, SIZE_HW, timeout_s=START_S), (LineError,), "the line") as client:
                once_ready(lambda: asyncio.run(_ask(port)), (OSError,), "the server")
                for _ in range(ROUNDS):
                    for condition in CONDITIONS:
                        with burdened(condition, port, processes):
                            beats[condition].append(_beats(client))
                            took_ms[condition] += [_part(client, frame.image) for _ in range(parts // ROUNDS)]
                asyncio.run(_ask(port))  # it still serves
        finally:
            line.terminate()
            status = line.wait(START_S)
    if status:
        raise InputError(f"the line ended with status {status}")
    found = {each: _figures(took_ms[each], beats[each]) for each in CONDITIONS}
    ratios = {name: found["flooded"][name] / found["computing"][name] for name in ("p50_ms", "p99_ms", "beats_per_s")}
    return {"parts": parts, "processes": processes, **found, "flooded_of_computing": ratios}


def _figures(took_ms: list[float], beats: list[float]) -> dict[str, float]:
    p50, p99 = np.percentile(took_ms, [50, 99])
    return {"p50_ms": float(p50), "p99_ms": float(p99), "max_ms": max(took_ms), "beats_per_s": float(np.mean(beats))}


def _part(client: LineClient, image: NDArray[np.uint8]) -> float:
    began_s = time.perf_counter()
    answer = client.trigger(image, Part(1), recorded=True, timeout_s=START_S)
    result = client.result(START_S) if isinstance(answer, Accepted) else None
    if result is None:
        raise InputError("a part had no result")
    return (time.perf_counter() - began_s) * 1e3


def _beats(client: LineClient) -> float:
    first, began_s = client.status(START_S)["heartbeat"], time.perf_counter()
    time.sleep(2.0)
    beats: int = (client.status(START_S)["heartbeat"] - first) % 2**16
    return beats / (time.perf_counter() - began_s)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog=cli.program("benchmarks.line.flood_opcua"), description="OPC UA, flooded.")
    parser.add_argument("--parts", type=cli.positive, default=400, metavar="N", help="of each condition (400)")
    parser.add_argument("--processes", type=cli.positive, default=2, metavar="N", help="that flood, or compute (2)")
    parser.add_argument("--child", choices=CONDITIONS, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    add_json_option(parser)
    options = parser.parse_args(arguments)
    if options.child is not None:
        flood(options.port) if options.child == "flooded" else compute()
    quieten()
    tell(measure(options.parts, options.processes), options.json)


if __name__ == "__main__":
    cli.run(main)

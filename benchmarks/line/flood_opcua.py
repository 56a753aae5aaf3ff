"""What OPC UA clients that flood can do to the line: ``python -m benchmarks.line.flood_opcua [--parts 400]``.

A controller on the Unix socket triggers parts of the demo detector, one after the other, and takes the time from
trigger to result: while nobody else is there, and while processes flood its OPC UA server. The two take turns. Each
process has in turn a connection that asks for all registers, over and over, and reads the answers, one that asks and
reads none until the server ends it, and one that sends rubbish; another one hangs. The processes run on the same cores
as the line, so that what is added is the server's work and theirs. How much they sent, how many answers they read and
how much they computed is recorded; a flood with fewer answers than parts is none, and is refused.
"""

import argparse
import asyncio
import itertools
import json
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import numpy as np
from asyncua import Client, ua
from numpy.typing import NDArray

from benchmarks.documents import tell
from benchmarks.line.fuzz_opcua import recorded
from benchmarks.line.processes import START_S, free_port, once_ready
from benchmarks.options import add_json_option
from runtime import cli
from runtime.cameras import open_source
from runtime.closing import Closing
from runtime.default_detector import DEMO_DETECTOR
from runtime.errors import InputError, LineError
from runtime.line.opcua.nodes import INDEX, registers
from runtime.line.opcua.server import quieten
from runtime.line.python_client import Accepted, LineClient
from runtime.line.results import Part

SIZE_HW = (256, 256)
ROUNDS = 4
CONDITIONS = ("alone", "flooded")
SIZE_AT, CHANNEL_AT, SEQUENCE_AT, KIND_AT, RESULT_AT = 4, 8, 16, 26, 40  # in a message
ANSWER = ua.ObjectIds.ReadResponse_Encoding_DefaultBinary
ASKING_S = 2.0  # of each connection that reads
PENDING = 4  # requests of it that wait
UNREAD = 100_000  # requests that nobody reads an answer of, at most
RUBBISH = 100_000  # bytes
READY = "flooding"


async def _ask(port: int) -> bool:
    """All registers, once; whether there was an answer."""
    async with Client(f"opc.tcp://127.0.0.1:{port}", timeout=START_S) as client:
        ids = [ua.NodeId(each, INDEX) for each in registers()] * 10
        return len(await client.uaclient.read_attributes(ids, ua.AttributeIds.Value)) == len(ids)


class Flooder(Closing):
    """What one process does, and how much of it."""

    def __init__(self, port: int) -> None:
        """Takes what a real client sends for a pattern."""
        self._port, self._rng, self.counts = port, random.Random(0), Counter[str]()
        messages = recorded(port, _ask)
        self._asks = max(messages, key=len)
        self._opening = messages[: messages.index(self._asks)]
        self._hung = self._connected()

    def once(self) -> None:
        """A connection of each kind. One that the server ends, or does not take, is over."""
        for way in (self._ask_and_read, self._ask_alone, self._send_rubbish):
            with suppress(OSError), self._connected() as rude:
                self.counts["connections"] += 1
                way(rude)
        with suppress(OSError):
            if not self._hung.recv(1, socket.MSG_DONTWAIT):
                self._hung.close()
                self._hung = self._connected()

    def close(self) -> None:
        """Close the connection that hangs."""
        self._hung.close()

    def _connected(self) -> socket.socket:
        rude = socket.create_connection(("127.0.0.1", self._port), START_S)
        rude.settimeout(START_S)
        return rude

    def _ask_and_read(self, rude: socket.socket) -> None:
        """Keep requests under way, and read what is answered."""
        requests, until_s, waiting = self._requests(rude), time.monotonic() + ASKING_S, 0
        while time.monotonic() < until_s:
            while waiting < PENDING:
                self._send(rude, next(requests))
                waiting += 1
            answer = _message(rude)
            waiting -= 1
            self.counts["answered"] += _is_answer(answer)

    def _ask_alone(self, rude: socket.socket) -> None:
        """Ask and ask, and read nothing, until the server has enough or takes nothing for a second."""
        requests = self._requests(rude)
        rude.settimeout(1.0)
        for request in itertools.islice(requests, UNREAD):
            self._send(rude, request)

    def _send_rubbish(self, rude: socket.socket) -> None:
        rude.sendall(self._rng.randbytes(RUBBISH))
        self.counts["rubbish_bytes"] += RUBBISH

    def _send(self, rude: socket.socket, request: bytes) -> None:
        rude.sendall(request)
        self.counts["sent"] += 1

    def _requests(self, rude: socket.socket) -> Iterator[bytes]:
        """Log in as that client did; requests for all registers, without end."""
        channel = 0
        for message in self._opening:
            data = bytearray(message)
            if message[:3] == b"MSG":
                struct.pack_into("<I", data, CHANNEL_AT, channel)
            rude.sendall(data)
            answer = _message(rude)
            if answer[:3] == b"OPN":
                (channel,) = struct.unpack_from("<I", answer, CHANNEL_AT)
        data = bytearray(self._asks)
        struct.pack_into("<I", data, CHANNEL_AT, channel)
        first = struct.unpack_from("<II", data, SEQUENCE_AT)
        for number in itertools.count():
            struct.pack_into("<II", data, SEQUENCE_AT, *(each + number for each in first))
            yield bytes(data)


def _message(rude: socket.socket) -> bytes:
    """The next message of the server. Raises `OSError` where it ends the connection."""
    head = _exactly(rude, SIZE_AT + 4)
    return head + _exactly(rude, struct.unpack_from("<I", head, SIZE_AT)[0] - len(head))


def _exactly(rude: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        if not (more := rude.recv(count - len(data))):
            raise ConnectionResetError("the server has ended the connection")
        data += more
    return data


def _is_answer(message: bytes) -> bool:
    """Whether the registers are in it, and not a refusal."""
    if message[:4] != b"MSGF" or len(message) < RESULT_AT + 4:
        return False
    (kind,), (result,) = struct.unpack_from("<H", message, KIND_AT), struct.unpack_from("<I", message, RESULT_AT)
    return bool(kind == ANSWER and result == 0)


def flood(port: int) -> NoReturn:
    """Flood until this process is told to end, then print how much; say first that it begins."""
    quieten()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with Flooder(port) as flooder:
        print(READY, flush=True)
        began_s, spent_s = time.monotonic(), time.process_time()
        try:
            while True:
                flooder.once()
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            seconds = {"seconds": time.monotonic() - began_s, "processor_seconds": time.process_time() - spent_s}
            print(json.dumps({**flooder.counts, **seconds}), flush=True)


@contextmanager
def flooded(port: int, processes: int, counts: dict[str, float]) -> Iterator[None]:
    """Processes that flood; what they did is added to `counts`. Raises `InputError` where one ends by itself."""
    line = [sys.executable, "-m", "benchmarks.line.flood_opcua", "--child", "--port", str(port)]
    children = [subprocess.Popen(line, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    try:
        at_it = [child.stdout is not None and child.stdout.readline().strip() == READY for child in children]
        if all(at_it):
            yield
        if not all(at_it) or any(child.poll() is not None for child in children):
            raise InputError("a process that floods ended before it was told to; nothing was measured")
        for child in children:
            child.terminate()
        for child in children:
            for name, count in json.loads(child.communicate(timeout=START_S)[0]).items():
                counts[name] = counts.get(name, 0) + count
    finally:
        for child in children:
            child.kill()
            child.wait()


def measure(parts: int, processes: int) -> dict[str, object]:
    """Milliseconds from trigger to result, and heartbeats a second, of each condition.

    Raises `InputError` where a part has no result, where the flood is none, and where the line breaks.
    """
    with open_source("demo?seed=3") as source:
        frame = source.read()
    assert frame is not None
    took_ms: dict[str, list[float]] = {each: [] for each in CONDITIONS}
    beats: dict[str, list[float]] = {each: [] for each in CONDITIONS}
    counts: dict[str, float] = {}

    def take(client: LineClient, condition: str) -> None:
        beats[condition].append(_beats(client))
        took_ms[condition] += [_part(client, frame.image) for _ in range(-(-parts // ROUNDS))]

    with tempfile.TemporaryDirectory() as folder:
        port, path = free_port(), Path(folder) / "line.sock"
        words = [DEMO_DETECTOR, "--socket", path, "--opcua", f"127.0.0.1:{port}?control=no", "--deadline-ms", 20_000]
        line = subprocess.Popen([sys.executable, "-m", "runtime.line", *map(str, words), "--threads", "1"])
        try:
            with once_ready(lambda: LineClient(path, SIZE_HW, timeout_s=START_S), (LineError,), "the line") as client:
                once_ready(lambda: asyncio.run(_ask(port)), (OSError,), "the server")
                for _ in range(ROUNDS):
                    take(client, "alone")
                    with flooded(port, processes, counts):
                        take(client, "flooded")
                asyncio.run(_ask(port))  # it still serves
        finally:
            line.terminate()
            status = line.wait(START_S)
    if status:
        raise InputError(f"the line ended with status {status}")
    return document(took_ms, beats, processes, counts)


def document(
    took_ms: dict[str, list[float]], beats: dict[str, list[float]], processes: int, counts: dict[str, float]
) -> dict[str, object]:
    """The figures. Raises `InputError` for a flood with fewer answers than parts."""
    parts = len(took_ms["flooded"])
    told = {name: int(counts.get(name, 0)) for name in ("connections", "sent", "answered", "rubbish_bytes")}
    if told["answered"] < parts:
        raise InputError(
            f"the flood had {told['answered']} answers to {told['sent']} requests beside {parts} parts; expected one a "
            "part or more: there was hardly a flood, so give more --processes"
        )
    found = {each: _figures(took_ms[each], beats[each]) for each in CONDITIONS}
    ratios = {name: found["flooded"][name] / found["alone"][name] for name in ("p50_ms", "p95_ms", "beats_per_s")}
    cores = processes * counts["processor_seconds"] / counts["seconds"]
    flood_of = {"processes": processes, "seconds": counts["seconds"] / processes, "cores": cores, **told}
    return {"parts": parts, **found, "flooded_of_alone": ratios, "flood": flood_of}


def _figures(took_ms: list[float], beats: list[float]) -> dict[str, float]:
    p50, p95 = np.percentile(took_ms, [50, 95])
    return {"p50_ms": float(p50), "p95_ms": float(p95), "max_ms": max(took_ms), "beats_per_s": float(np.mean(beats))}


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
    parser.add_argument("--processes", type=cli.positive, default=2, metavar="N", help="that flood (2)")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=cli.positive, help=argparse.SUPPRESS)
    add_json_option(parser)
    options = parser.parse_args(arguments)
    if options.child:
        flood(options.port)
    quieten()
    tell(measure(options.parts, options.processes), options.json)


if __name__ == "__main__":
    cli.run(main)

"""Anything against the OPC UA server: ``python -m benchmarks.line.fuzz_opcua [--runs 300000] [--messages 30000]``.

First the layer that takes values: bytes become writes, calls and decoded requests of three sessions before a line, and
a few rules have to hold after each. atheris finds the bytes, led by the branches of that layer. Then raw bytes: a real
line is sent the messages of a real client, some with changed bytes, cut or repeated. Every hundredth connection is
a good controller's, whose part has to get its result; at the end the line must hold the threads and descriptors that it
began with.

``--corpus FOLDER`` keeps the inputs that led to new branches; a test replays some of them.
"""

import argparse
import asyncio
import random
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any

from asyncua import Client, ua
from asyncua.common.utils import Buffer
from asyncua.ua import ua_binary

from benchmarks.documents import tell
from benchmarks.line.processes import START_S, free_port, holds_more, once_ready, settled
from benchmarks.options import add_json_option
from runtime import cli
from runtime.default_detector import DEMO_DETECTOR
from runtime.errors import InputError
from runtime.line.handshake import BUFFER, Handshake
from runtime.line.levels import Levels
from runtime.line.opcua.controller import GOOD, Control, Given, Looked, checked, checked_arguments, fits
from runtime.line.opcua.limits import bound_decoder
from runtime.line.opcua.nodes import INDEX, LINE, METHODS, RESULTS, registers
from runtime.line.opcua.server import quieten
from runtime.line.opcua.sessions import _given, _register_of
from runtime.line.registers import FROM_RUNTIME, TO_RUNTIME
from runtime.line.results import Cause, Code, Outcome, Part

SESSIONS = ("one", "two", "three")
NODES = list(registers())
TYPES = [each.name for each in ua.VariantType]
STATUSES = {
    GOOD, "BadTypeMismatch", "BadOutOfRange", "BadNotWritable", "BadUserAccessDenied", "BadInvalidArgument",
    "BadArgumentsMissing", "BadTooManyArguments",
}  # fmt: skip
MOST_STEPS = 40  # of an input
DEADLINE_S = 1.0
GOOD_EVERY = 100
# by the line, on stderr
SAID = "of OPC UA|by OPC UA|OPC UA has|triggers accepted|; camera |^opcua at |^ready$|^drift: none found in "
SLOW_S = 0.5  # of one request's decoding


class Bytes:
    """An input, taken from its beginning."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def number(self, size: int = 1) -> int:
        """Of so many bytes; 0 where there are none left."""
        return int.from_bytes(self.take(size), "little")

    def take(self, size: int) -> bytes:
        """So many bytes, or those that are left."""
        found = self._data[self._at : self._at + size]
        self._at += size
        return found

    def given(self) -> Given:
        """A value of any type."""
        kind, choice = TYPES[self.number() % len(TYPES)], self.number()
        values: list[Any] = [
            self.number(4), self.number(2), -self.number(1), bool(self.number()), None, [self.number()],
            self.take(self.number() % 40).decode(errors="surrogateescape"), self.take(3), 1.5, float("nan"),
        ]  # fmt: skip
        return Given(kind, values[choice % len(values)], bool(choice & 128))

    def fitting(self) -> tuple[str, Given]:
        """A register to the runtime and a value that may well be one of its."""
        name = [each for each in NODES if each.startswith("To")][self.number() % len(TO_RUNTIME)]
        register = registers()[name][1]
        if register.kind == "bit":
            return name, Given("Boolean", bool(self.number() & 1))
        if register.kind == "text":
            return name, Given("String", self.take(self.number() % 35).decode(errors="surrogateescape"))
        wide = register.kind == "u32"
        return name, Given("UInt32" if wide else "UInt16", self.number(4 if wide else 1))


class Line:
    """A line before which sessions do anything, and what has to hold."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.handshake = Handshake(DEADLINE_S, at_once=2, clock=lambda: self.now_s)
        self.handshake.ready()
        self.control = Control(Levels(self.handshake))
        self.handshake.listen(self)
        self.told: Counter[str] = Counter()
        self._judged_ok: set[int] = set()  # acquisitions that were judged OK in time
        self._uninspected: set[int] = set()
        self._seen: dict[int, Code] = {}

    def given(self, result: Any) -> None:
        """See `Listener`."""
        self.control.given(result)
        if result.mode:
            self._uninspected.add(result.acquisition_id)

    def missed(self, refusal: Any) -> None:
        """See `Listener`."""

    def write(self, session: str, name: str, given: Given) -> None:
        """A write; what is refused must change nothing."""
        before = [self.control.written(each.name) for each in TO_RUNTIME]
        status = self.control.write(session, name, given)
        assert status in STATUSES, status
        self.told[status] += 1
        table, register = registers()[name]
        after = [self.control.written(each.name) for each in TO_RUNTIME]
        if status == GOOD:
            value = "" if given.value is None else given.value
            assert table is TO_RUNTIME
            assert self.control.written(register.name) == value
            assert self.control.controls(session)
        else:
            assert before == after

    def call(self, session: str, number: int, given: list[Given]) -> None:
        """A method."""
        method = METHODS[number % len(METHODS)]
        status, each, values = checked_arguments(method, given)
        assert {status, *each} <= STATUSES
        self.told[status] += 1
        if status != GOOD or self.control.claim(session) != GOOD:
            return
        if method.name == "Trigger":
            part_id, serial, order, challenge = values
            assert fits(serial)
            self.control.trigger(Part(part_id, serial, order, Code(challenge)))
        elif method.name == "Acknowledge":
            self.control.acknowledge(values[0])
        elif method.name == "SwitchRecipe":
            self.control.switch_recipe(values[0])
            self.control.switch_recipe(None)
        else:
            self.look(session)

    def look(self, session: str) -> None:
        """A Read; only the controlling session sees a result, and a pass only where one was due."""
        looked = self.control.look(session)
        assert set(looked.values) == {each.name for each in FROM_RUNTIME}
        if not self.control.controls(session):
            assert not any(looked.values[name] for name in RESULTS - {"status"} if name not in ("score", "threshold"))
            assert looked.result is None
            return
        if (result := looked.result) is None:
            assert not looked.values["job_pass"]
            return
        assert looked.values["job_pass"] == result.passes
        first = self._seen.setdefault(result.inspection_id, result.code)
        assert first is result.code, "a result that was seen has changed"
        if result.passes:
            assert result.acquisition_id in self._judged_ok | self._uninspected, "a pass that nobody gave"

    def judge(self, verdict: int) -> None:
        """The detector's answer for a part under way."""
        one = self.handshake.take(0.0)
        if one is None:
            return
        self.handshake.acquired(one.acquisition_id)
        if verdict % 3 == 0:
            self._judged_ok.add(one.acquisition_id)
            self.handshake.finish(one.acquisition_id, Outcome(Code.OK, Cause.NONE, "good", 1.0, 2.0))
        elif verdict % 3 == 1:
            self.handshake.finish(one.acquisition_id, Outcome(Code.NG, Cause.JUDGED, "bad", 3.0, 2.0))

    def decode(self, session: str, kind: int, data: bytes) -> None:
        """A whole request from its bytes, as the server's library has it."""
        began_s = time.thread_time()
        try:
            if kind % 2:
                params = ua_binary.struct_from_binary(ua.WriteParameters, Buffer(data))
                items = [(_register_of(each), _given(each.Value.Value)) for each in params.NodesToWrite]
                calls = []
            else:
                called = ua_binary.struct_from_binary(ua.CallParameters, Buffer(data)).MethodsToCall
                items, calls = [], [[_given(each) for each in one.InputArguments or []] for one in called]
        except Exception:  # the server answers with a fault
            self.told["no request"] += 1
            items, calls = [], []
        assert time.thread_time() - began_s < SLOW_S, "a request took long to decode"
        for name, given in items:
            if name is not None:
                self.write(session, name, given)
        for at, arguments in enumerate(calls):
            self.call(session, at, arguments)


def target(data: bytes) -> Counter[str]:
    """One input. Raises `AssertionError`, or anything else, where the layer is wrong."""
    source, line = Bytes(data), Line()
    for _ in range(MOST_STEPS):
        if not source:
            break
        step = source.number()
        session = SESSIONS[(step >> 4) % 3]
        if step % 16 < 4:
            line.write(session, *source.fitting())
        elif step % 16 < 6:
            line.write(session, NODES[source.number() % len(NODES)], source.given())
        elif step % 16 < 7:
            line.call(session, source.number(), [source.given() for _ in range(source.number() % 6)])
        elif step % 16 < 8:
            trigger = [Given("UInt32", source.number(4)), Given("String", "S"), Given("String", ""), Given("UInt16", 0)]
            line.call(session, 0, trigger)
        elif step % 16 < 10:
            line.look(session)
        elif step % 16 < 11:
            line.call(session, 2, [Given("UInt32", source.number())])
        elif step % 16 < 12:
            line.control.leave(session)
        elif step % 16 < 13:
            line.judge(source.number())
        elif step % 16 < 14:
            line.now_s += source.number() / 100
        else:
            line.decode(session, step, source.take(source.number()))
        assert line.handshake.view(sees=False).waiting <= BUFFER
    return line.told


def led_by_branches(corpus: Path, runs: int, seed: int) -> None:
    """Never returns: atheris ends the process."""
    atheris = import_module("atheris")
    for one in (Control, Looked, Line, Bytes):
        for each in vars(one).values():
            if isinstance(each, FunctionType):
                atheris.instrument_func(each)
    for each in (checked, checked_arguments, fits, target):
        atheris.instrument_func(each)
    bound_decoder()
    atheris.Setup(
        ["fuzz", f"-runs={runs}", f"-seed={seed}", "-max_len=600", "-print_final_stats=1", str(corpus)], target
    )
    atheris.Fuzz()


def fuzz_values(runs: int, seed: int, corpus: Path) -> dict[str, object]:
    """So many inputs, in a process of their own. Raises `InputError` where one of them broke a rule."""
    line = [sys.executable, "-m", "benchmarks.line.fuzz_opcua", "--child", str(corpus), "--runs", str(runs)]
    done = subprocess.run([*line, "--seed", str(seed)], capture_output=True, text=True)
    said = done.stdout + done.stderr
    if done.returncode or (units := re.search(r"stat::number_of_executed_units:\s+(\d+)", said)) is None:
        raise InputError(f"the layer that takes values is wrong: {said[-3_000:]}")
    covered = re.findall(r"cov: (\d+)", said)
    kept = sum(1 for _ in corpus.iterdir())
    return {"inputs": int(units[1]), "branches_covered": int(covered[-1]) if covered else None, "inputs_kept": kept}


# raw bytes


def recorded(port: int, program: Callable[[int], Coroutine[Any, Any, object]]) -> list[bytes]:
    """The messages that a real client's program sends, by a relay that listens in."""
    found: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        relay = threading.Thread(target=_relay, args=(listening, port, found))
        relay.start()
        asyncio.run(program(listening.getsockname()[1]))
        relay.join(START_S)
    return _split(b"".join(found))


def _relay(listening: socket.socket, port: int, found: list[bytes]) -> None:
    here, _ = listening.accept()
    there = socket.create_connection(("127.0.0.1", port), START_S)

    def back() -> None:
        with suppress(OSError):
            while data := there.recv(65_536):
                here.sendall(data)

    thread = threading.Thread(target=back)
    thread.start()
    with here, there, suppress(OSError):
        while data := here.recv(65_536):
            found.append(data)
            there.sendall(data)
        there.shutdown(socket.SHUT_RDWR)
        thread.join(START_S)


def _split(data: bytes) -> list[bytes]:
    messages = []
    while data:
        (size,) = struct.unpack_from("<I", data, 4)
        messages.append(data[:size])
        data = data[size:]
    return messages


async def good(port: int) -> bool:
    """Whether a good controller's part gets its one result."""
    async with Client(f"opc.tcp://127.0.0.1:{port}", timeout=START_S) as client:
        line = client.get_node(ua.NodeId(LINE, INDEX))
        await client.get_node(ua.NodeId("ToRuntime.part_id", INDEX)).write_value(7, ua.VariantType.UInt32)
        part = [ua.Variant(7, ua.VariantType.UInt32), "", "", ua.Variant(0, ua.VariantType.UInt16)]
        accepted, *_ = await line.call_method(f"{INDEX}:Trigger", *part)
        found, *_ = await line.call_method(f"{INDEX}:NextResult", ua.Variant(20_000, ua.VariantType.UInt32))
        return bool(accepted and found)


def attack(port: int, messages: list[bytes], rng: random.Random) -> int:
    """One connection, with the messages of a client, some of them changed; how many were sent."""
    sent, channel = 0, 0
    changes = rng.choice([0.0, 0.05, 0.3, 1.0])
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as rude:
        rude.settimeout(rng.choice([0.001, 0.005, 0.02]))
        for at, message in enumerate(messages):
            data = bytearray(message)
            if message[:3] == b"MSG":
                struct.pack_into("<I", data, 8, channel)
            if at > 1 and rng.random() < changes:
                data = _changed(data, rng)
            rude.sendall(data)
            sent += 1
            with suppress(TimeoutError):
                answer = rude.recv(65_536)
                if answer[:3] == b"OPN":
                    (channel,) = struct.unpack_from("<I", answer, 8)
                if not answer:
                    break
            if rng.random() < 0.02:
                break
    return sent


def _changed(data: bytearray, rng: random.Random) -> bytearray:
    kind = rng.random()
    if kind < 0.6:  # within the body, with a header that is right
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(24, len(data)) if len(data) > 24 else -1] = rng.randrange(256)
    elif kind < 0.75:  # lengths and counts that are large
        at = rng.randrange(24, len(data) - 4) if len(data) > 28 else 0
        struct.pack_into("<i", data, at, rng.choice([-1, -2, 2**31 - 1, 2**16, 10**6]))
    elif kind < 0.9:
        data[rng.randrange(len(data))] = rng.randrange(256)
    else:
        data = bytearray(rng.randbytes(rng.randrange(1, 3_000)))
    return data


def fuzz_socket(count: int, seed: int) -> dict[str, object]:
    """So many messages to a real line. Raises `InputError` where a good one is not served, or something stays."""
    rng, sent, connections, served = random.Random(seed), 0, 0, 0
    port = free_port()
    words = [str(DEMO_DETECTOR), "--camera", "demo?seed=3", "--opcua", f"127.0.0.1:{port}", "--deadline-ms", "20000"]
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen([sys.executable, "-m", "runtime.line", *words, "--threads", "1"], stderr=said)
        try:
            once_ready(lambda: asyncio.run(good(port)), (OSError, ua.UaError), "the line", child)
            messages = recorded(port, good)
            before = settled(child)
            while sent < count:
                sent += attack(port, messages, rng)
                connections += 1
                if connections % GOOD_EVERY == 0:
                    if not asyncio.run(good(port)):
                        raise InputError(f"a good controller had no result after {connections} connections")
                    served += 1
            after = settled(child, before)
        finally:
            child.terminate()
            status = child.wait(START_S)
        said.seek(0)
        lines = said.read().decode().splitlines()
    if strange := [line for line in lines if not re.search(SAID, line)]:
        raise InputError(f"the line printed what is none of its messages: {strange[-20:]}")
    if holds_more(after, before) or status:
        raise InputError(f"the line began with {before}, had {after}, and ended with status {status}")
    return {
        "messages": sent, "connections": connections, "good_results": served, "before": before, "after": after,
        "lines_on_stderr": len(lines),
    }  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog=cli.program("benchmarks.line.fuzz_opcua"), description="Anything by OPC UA.")
    parser.add_argument("--runs", type=cli.positive, default=300_000, metavar="N", help="inputs to the layer (300000)")
    parser.add_argument("--messages", type=cli.positive, default=30_000, metavar="N", help="to a real line (30000)")
    parser.add_argument("--seed", type=cli.seed, default=1, metavar="N", help="of both (1)")
    parser.add_argument("--corpus", type=cli.some_path, metavar="FOLDER", help="keep inputs that led to new branches")
    parser.add_argument("--child", type=cli.some_path, help=argparse.SUPPRESS)
    add_json_option(parser)
    options = parser.parse_args(arguments)
    if options.child is not None:
        led_by_branches(options.child, options.runs, options.seed)
    with tempfile.TemporaryDirectory() as folder:
        corpus = options.corpus or Path(folder)
        values = fuzz_values(options.runs, options.seed, corpus)
    quieten()
    found = {"values": values, "socket": fuzz_socket(options.messages, options.seed)}
    tell(found, options.json, {"seed": options.seed})


if __name__ == "__main__":
    cli.run(main)

"""The parsers that face a socket or a file, each as a function of bytes: what it raises is a fault.

`benchmarks.line.fuzz_parsers` looks for bytes that make one fail; a test gives them all that it found once more.
"""

import fcntl
import json
import os
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from runtime.default_detector import DEMO_DETECTOR
from runtime.detector_file import read_detector
from runtime.errors import DetectorError, InputError, LineError, ProctorError
from runtime.line.challenge import Challenge
from runtime.line.frame_memory import FrameMemory
from runtime.line.handshake import Handshake
from runtime.line.levels import Levels
from runtime.line.modbus import FROM_RUNTIME_AT, FROM_RUNTIME_WORDS, TO_RUNTIME_AT, TO_RUNTIME_WORDS
from runtime.line.modbus_server import ModbusServer
from runtime.line.pictures import Pictures
from runtime.line.python_client import LineClient
from runtime.line.registers import FROM_RUNTIME, TO_RUNTIME, values_of, words_of
from runtime.line.results import Cause, Code, Mode, Outcome
from runtime.line.unix_connection import Connection
from runtime.line.wire import (
    ACCEPTED,
    ACKNOWLEDGE,
    CLOSED,
    HEADER,
    HELLO,
    MESSAGES,
    MOST_BYTES,
    REFUSED,
    RESULT,
    STATUS,
    STATUS_REQUEST,
    TRIGGER,
    WELCOME,
    pack,
    unpack,
)  # fmt: skip
from runtime.recipe import Recipe, recipe_from_json
from runtime.recipes.store import JOURNAL, SEAL, SIGNATURE, Entry, RecipeStore, Seal
from runtime.signing import canonical, signature
from runtime.station.description import read_line

Parse = Callable[[bytes], None]

SIZE_HW = (8, 12)
SLOT_BYTES = SIZE_HW[0] * SIZE_HW[1] * 3
GOOD = Outcome(Code.OK, Cause.NONE, "score 1.0 within 2.0", 1.0, 2.0)
BAD = Outcome(Code.NG, Cause.JUDGED, "score 3.0 above 2.0", 3.0, 2.0)
KEY = b"the key of a test"
ANSWER_S = 10.0
MOST_STEPS = 8  # of a controller in one input


@dataclass(frozen=True)
class Parser:
    """What is fuzzed."""

    name: str
    what: str  # in words
    open: Callable[[Path, ExitStack], Parse]  # of an empty folder, and of what is to be closed
    seeds: Callable[[], Iterable[bytes]]
    most_bytes: int  # of an input
    runs: int = 1_000_000  # inputs of a search


class _Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def _chunks(data: bytes) -> Iterator[bytes]:
    """Messages one after the other, each as long as its own header says; what has none is one."""
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at + 8 : at + 12], "little") if len(data) >= at + HEADER.size else 0
        size = size if 0 < size <= MOST_BYTES else len(data) - at
        yield data[at : at + size]
        at += size


def _socket_messages(folder: Path, opened: ExitStack) -> Parse:
    """What a controller sends over the Unix socket, and what its connection answers: each trigger once, and nothing
    that its own client could not read."""
    memory = os.memfd_create("fuzz", os.MFD_ALLOW_SEALING)
    opened.callback(os.close, memory)
    os.truncate(memory, 2 * SLOT_BYTES)
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)

    def parse(data: bytes) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs, FrameMemory(os.dup(memory), 2, SLOT_BYTES) as pictures:
            handshake = Handshake(60.0, 2, _Clock(), session_id=1, challenge=Challenge(0, 0))
            handshake.ready()
            connection = Connection(ours, handshake, Pictures())
            for chunk in _chunks(data):
                try:
                    message = unpack(chunk, exact=True)
                    if message.layout is HELLO:
                        FrameMemory(os.dup(memory), message.values["slots"], message.values["slot_bytes"]).close()
                    connection._answer(message, pictures)
                except LineError:  # the connection ends; here the next message is looked at all the same
                    continue
                _check_answers(theirs, message.layout is TRIGGER)
                _inspect(handshake, connection)

    return parse


def _check_answers(theirs: socket.socket, to_trigger: bool) -> None:
    answers = []
    with suppress(BlockingIOError):
        while True:
            answers.append(unpack(theirs.recv(MOST_BYTES, socket.MSG_DONTWAIT), exact=True).layout)
    if to_trigger and (len(answers) != 1 or answers[0] not in (ACCEPTED, REFUSED)):
        raise AssertionError(f"a trigger had the answers {[answer.name for answer in answers]}")


def _inspect(handshake: Handshake, connection: Connection) -> None:
    """Finish what was accepted, as the loop does, and have the oldest result be shown, as the connection does."""
    while (one := handshake.take(0.0)) is not None:
        connection._pictures.take(one)
        handshake.finish(one.acquisition_id, GOOD if one.acquisition_id % 2 else BAD)
    if connection._shown is None:
        connection._shown = handshake.wait_for_result(0.0)


def _socket_seeds() -> Iterator[bytes]:
    picture = {"width": SIZE_HW[1], "height": SIZE_HW[0], "pixel_format": 2, "flags": 1, "part_id": 7}
    trigger = pack(TRIGGER, {**picture, "serial": "A-17 ü", "order": "batch 3"}, 1)
    grey = pack(TRIGGER, {**picture, "slot": 1, "pixel_format": 1, "stride": 20, "flags": 2}, 2)
    acknowledge = pack(ACKNOWLEDGE, {"inspection_id": 1, "code": 1})
    yield from (trigger, grey, pack(STATUS_REQUEST, {}, 3), pack(HELLO, {"slots": 2, "slot_bytes": SLOT_BYTES}))
    yield trigger + acknowledge + pack(STATUS_REQUEST, {}, 4) + grey
    yield trigger * 12
    yield from (pack(layout, {}) for layout in MESSAGES)


class _Adopted(LineClient):
    """A controller's client over a socket that is there already."""

    def __init__(self, connected: socket.socket) -> None:
        self._adopted = connected
        super().__init__("nowhere", SIZE_HW)

    def _connect(self, path: Path, timeout_s: float) -> None:
        self._socket.close()
        self._socket = self._adopted
        self._socket.setblocking(False)
        self.session_id, self.deadline_s = 1, 60.0


def _client_messages(folder: Path, opened: ExitStack) -> Parse:
    """What a runtime sends to the Python client: an answer, a result or a `LineError`, and a pass for OK alone."""

    def parse(data: bytes) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, _Adopted(ours) as client, suppress(LineError):
            for chunk in _chunks(data):
                theirs.send(chunk)
            client.status(0.0)
            result = client.result(0.0)
            if result is not None and result.passes and result.code != 1:
                raise AssertionError(f"{result} passes")
            client._number = 0
            client._ask(TRIGGER, {}, (ACCEPTED, REFUSED), 0.0)

    return parse


def _client_seeds() -> Iterator[bytes]:
    status, accepted = pack(STATUS, {"status": 3}, 1), pack(ACCEPTED, {"acquisition_id": 1, "part_id": 7}, 1)
    result = pack(RESULT, {"inspection_id": 1, "acquisition_id": 1, "code": 1, "serial": "A-17 ü", "score": 0.1})
    refused = pack(REFUSED, {"part_id": 7, "cause": 9, "reason": "2 parts are under way, 2 can be"}, 1)
    yield from (status, accepted, result, refused, pack(CLOSED, {"why": 6, "reason": "the runtime ends"}))
    yield result + status + result + refused
    yield status + result + accepted
    yield pack(WELCOME, {"session_id": 1})


def _registers(folder: Path, opened: ExitStack) -> Parse:
    """What a controller writes into the registers, and what it reads there: words of 16 bits, a pass only of a part
    that was judged OK."""
    width = 2 * TO_RUNTIME_WORDS

    def parse(data: bytes) -> None:
        clock = _Clock()
        handshake = Handshake(60.0, 2, clock, session_id=1, challenge=Challenge(0, 0))
        handshake.ready()
        levels, words, at = Levels(handshake), [0] * TO_RUNTIME_WORDS, 0
        for _ in range(MOST_STEPS):
            if at >= len(data):
                break
            step, at = data[at], at + 1
            if step & 7 <= 1:
                words = list(struct.unpack(f">{TO_RUNTIME_WORDS}H", data[at : at + width].ljust(width, b"\0")))
                at += width
            elif step & 7 <= 3:
                where, high, low = data[at : at + 3].ljust(3, b"\0")
                words[where % TO_RUNTIME_WORDS] = high << 8 | low
                at += 3
            elif step & 7 == 4 and (one := handshake.take(0.0)) is not None:
                handshake.finish(one.acquisition_id, GOOD if step & 8 else BAD)
            elif step & 7 == 5:
                clock.now_s += 61.0 if step & 8 else 1.0
            (levels.begin if step & 7 == 1 else levels.write)(words)
            if step & 32:
                _check_registers(levels.read(sees=not step & 16))
        _check_registers(levels.read())

    return parse


def _check_registers(words: list[int]) -> None:
    if len(words) != FROM_RUNTIME_WORDS or not all(0 <= word <= 0xFFFF for word in words):
        raise AssertionError(f"the registers are {words}")
    values = values_of(FROM_RUNTIME, words)
    if values["job_pass"] and (values["result_code"] != Code.OK or not values["results_valid"]):
        raise AssertionError(f"a pass with {values}")


def _register_seeds() -> Iterator[bytes]:
    def written(**values: object) -> bytes:
        return b"\0" + struct.pack(f">{TO_RUNTIME_WORDS}H", *words_of(TO_RUNTIME, {"trigger_enable": True, **values}))

    part: dict[str, object] = {"part_id": 70_000, "serial": "A-17 ü", "order": "batch 3", "encoder": 2**32 - 1}
    whole = written(**part) + written(**part, trigger=True) + b"\x0c" + written(**part) + b"\x06"
    yield whole + written(**part, results_acknowledge=True) + written()
    yield bytes([0x20]) + whole[1:] + written(**part, results_acknowledge=True) + bytes([0x27])
    yield written(trigger=True, challenge=2) + b"\x0c\x04" + written(trigger=True, mode=Mode.BYPASS)
    yield written(trigger=True, set_offline=True) + written(switch_recipe=True, recipe="bottle@3")
    yield b"\x01" + whole[1:] + b"\x0d"
    yield written(trigger=True)[:50] + b"\xff\xfe" * 20 + b"\2\0\0\3"


class _NotingLevels(Levels):
    """Levels that keep what was written last."""

    def __init__(self, handshake: Handshake) -> None:
        super().__init__(handshake)
        self.written: Sequence[int] = [0] * TO_RUNTIME_WORDS

    def write(self, words: Sequence[int]) -> None:
        super().write(words)
        self.written = words

    def write_anew(self, words: Sequence[int]) -> None:
        super().write_anew(words)
        self.written = words


def _modbus_bytes(folder: Path, opened: ExitStack) -> Parse:
    """Bytes at the Modbus server, a connection each. All the while another connection reads the registers to the
    runtime, and finds there what the handshake was told."""
    handshake = Handshake(60.0, 2, session_id=1)
    handshake.ready()
    levels = _NotingLevels(handshake)
    server = opened.enter_context(ModbusServer(levels, port=0))
    beside = opened.enter_context(socket.create_connection(("127.0.0.1", server.port), ANSWER_S))
    question = struct.pack(">HHHBBHH", 5, 0, 6, 1, 3, TO_RUNTIME_AT, TO_RUNTIME_WORDS)
    head = struct.pack(">HHHBBB", 5, 0, 3 + 2 * TO_RUNTIME_WORDS, 1, 3, 2 * TO_RUNTIME_WORDS)

    def parse(data: bytes) -> None:
        with socket.create_connection(("127.0.0.1", server.port), ANSWER_S) as rude, suppress(ConnectionError):
            rude.sendall(data)
            rude.shutdown(socket.SHUT_WR)
            while rude.recv(4096):
                pass
        for _ in range(int(ANSWER_S / 0.01)):
            beside.sendall(question)
            answer = beside.recv(MOST_BYTES)
            if answer == (expected := head + struct.pack(f">{TO_RUNTIME_WORDS}H", *levels.written)):
                break
            time.sleep(0.01)  # what came before the end of a connection may be worked at after it
        else:
            raise AssertionError(f"the registers are {answer!r}; the handshake was told {expected!r}")
        _check_registers(levels.read(sees=False))

    return parse


def _modbus_seeds() -> Iterator[bytes]:
    def request(function: int, *fields: int) -> bytes:
        body = bytes([1, function]) + b"".join(struct.pack(">H", field) for field in fields)
        return struct.pack(">HHH", 1, 0, len(body)) + body

    written = struct.pack(f">{TO_RUNTIME_WORDS}H", *words_of(TO_RUNTIME, {"trigger_enable": True, "trigger": True}))
    body = bytes([1, 16]) + struct.pack(">HHB", 0, TO_RUNTIME_WORDS, len(written)) + written
    yield struct.pack(">HHH", 2, 0, len(body)) + body
    yield from (request(function, FROM_RUNTIME_AT, 2) for function in (1, 2, 3, 4))
    yield from (request(5, 1, 0xFF00), request(6, 0, 3), request(22, 0, 0xFFFF, 3), request(8, 0, 0))
    yield struct.pack(">HHH", 3, 0, 9) + bytes([1, 15]) + struct.pack(">HHB", 0, 10, 2) + b"\xff\x03"
    yield struct.pack(">HHH", 4, 0, 13) + bytes([1, 23]) + struct.pack(">HHHHB", 100, 2, 0, 1, 2) + b"\0\1"
    yield from (struct.pack(">HHH", 6, 0, 5) + bytes([1, 43, 14, 1, 0]), request(17), request(7), request(24, 0))


def _line_files(folder: Path, opened: ExitStack) -> Parse:
    """What stands in the YAML file of ``--line``."""
    path = folder / "line.yaml"

    def parse(data: bytes) -> None:
        path.write_bytes(data)
        with suppress(ProctorError):
            read_line(path)

    return parse


def _line_seeds() -> Iterator[bytes]:
    yield b"""
detectors:
  lid: {file: lid.onnx, threads: 2}
  side: {file: side.onnx, engine: openvino}
cameras:
  top: {uri: "http://127.0.0.1:1/video", detector: lid, reconnect_limit: 5, wait: true}
  left: {uri: 0, detector: side}
  on: {uri: 'demo?seed=3', detector: lid, defect_rate: 0.5}
  off: {uri: demo, detector: lid, trigger: software}
sinks: {save: overlays, records: "records?days=365&bytes=2GB"}
parts: {deadline_ms: 500, cameras: ['on', 'off'], every_ms: 200}
"""
    yield b"cameras: {top: {uri: demo, defect_rate: &rate 0.5}, left: {uri: demo, defect_rate: *rate}}\n"
    yield b"cameras:\n  ? top\n  : {uri: |\n     demo\n  }\n  left: !!str demo\n---\n...\n"
    yield b"%YAML 1.1\n--- !!map\ncameras: {<<: &a {uri: 0x1F}, b: 1:20, c: 2001-12-14t21:59:43.10-05:00, d: ~}\n"
    yield b"cameras: {a: {uri: !!binary aGFsbG8=}, b: {uri: !!set {x, y}}, c: {uri: .inf}, d: [1e3, 0o17, .NaN, on]}"
    yield "cameras: {\"\\u00fc\": {uri: 'gentl:a.cti#1'}, ü: {uri: rtsp://user:pw@host/1}}".encode("utf-16")


def _recipes(folder: Path, opened: ExitStack) -> Parse:
    """The JSON of a recipe in a detector file; what is read is written, and read again as the same."""

    def parse(data: bytes) -> None:
        try:
            recipe = recipe_from_json(data.decode(errors="replace"))
        except DetectorError:
            return
        text = recipe.to_json()
        if recipe_from_json(text).to_json() != text:
            raise AssertionError(f"read again it is another recipe: {text}")

    return parse


def _recipe_seeds() -> Iterator[bytes]:
    def as_json(recipe: Recipe) -> bytes:
        document: dict[str, Any] = json.loads(recipe.to_json())
        for name in ("typical", "likeness_low"):  # two thirds of it are 192 numbers
            document["health"].pop(name, None)
        return json.dumps(document).encode()

    whole = as_json(read_detector(DEMO_DETECTOR)[1])
    yield from (whole, whole[:400])
    yield b'{"schema": 1, "students": 3, "scales": [{"patch_size": 33, "error_mean": 1.0, "error_std": 0.5}]}'
    yield b'{"schema": 2, "schema": 2, "size_hw": [1e999, -0], "a": "\\ud800", "b": NaN, "c": [[[[]]]]}'


def _seals(folder: Path, opened: ExitStack) -> Parse:
    """A version's seal and the journal of the recipes, read without and with a key."""
    place = folder / "bottle" / "0001"
    place.mkdir(parents=True)
    (place / "detector.onnx").write_bytes(b"a detector")
    reads: list[Callable[[], object]] = []
    for store in (RecipeStore(folder), RecipeStore(folder, KEY)):
        reads += [partial(store.checked, "bottle", 1), store.history, store.active]

    def parse(data: bytes) -> None:
        (place / SEAL).write_bytes(data)
        (folder / JOURNAL).write_bytes(data)
        for read in reads:
            with suppress(DetectorError, InputError):
                read()

    return parse


def _seal_seeds() -> Iterator[bytes]:
    seal: dict[str, Any] = asdict(
        Seal("bottle", 1, {"detector.onnx": sha256(b"a detector").hexdigest()}, "A", "first", "2026-01-01T00:00:00.000")
    )
    first: dict[str, Any] = asdict(Entry("sealed", "bottle", 1, "A", "first", "2026-01-01T00:00:00.000", ""))
    for sign in (False, True):
        signed = [each | ({SIGNATURE: signature(each, KEY)} if sign else {}) for each in (seal, first)]
        yield canonical(signed[0]) + b"\n"
        line = canonical(signed[1])
        second = first | {"action": "activated", "before": sha256(line).hexdigest()}
        yield line + b"\n" + canonical(second | ({SIGNATURE: signature(second, KEY)} if sign else {})) + b"\n"
    yield canonical(seal | {SIGNATURE: "00"})


PARSERS = (
    Parser("socket", "messages of a controller over the Unix socket", _socket_messages, _socket_seeds, 4096),
    Parser("client", "messages of the runtime at the Python client", _client_messages, _client_seeds, 4096),
    Parser("registers", "words that a controller writes over Modbus", _registers, _register_seeds, 600),
    Parser("modbus", "bytes at the Modbus server", _modbus_bytes, _modbus_seeds, 512, 100_000),
    Parser("line-file", "the YAML file of --line", _line_files, _line_seeds, 2048),
    Parser("recipe", "the recipe in a detector file", _recipes, _recipe_seeds, 8192),
    Parser("seal", "seals and journal of recipes", _seals, _seal_seeds, 2048),
)
BY_NAME = {parser.name: parser for parser in PARSERS}

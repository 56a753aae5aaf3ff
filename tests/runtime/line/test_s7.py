"""An S7 controller that is polled: its data block as it is printed and as its program sees it, gone and back, torn."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from line_samples import PATIENCE_S, ROOT
from snap7.server import Server
from snap7.type import SrvArea
from snap7.util import get_bool, get_dword, get_real, get_string, get_word, set_bool, set_dword, set_string, set_word
from waiting import free_port, until

from benchmarks.line.fuzz_s7 import READABLE, outcome_of
from runtime.errors import InputError, LineError
from runtime.line.gate import RejectGate
from runtime.line.handshake import Handshake, Refusal
from runtime.line.levels import Levels
from runtime.line.polling import Unreadable
from runtime.line.registers import FROM_RUNTIME, TO_RUNTIME, values_of, words_of
from runtime.line.results import Cause, Code, Outcome, Result
from runtime.line.s7_area import S7Layout, Table, members, parse_s7, size_of, words_of_area
from runtime.line.s7_client import S7Peer, open_client
from runtime.line.s7_source import DIALECTS, s7_source

pytestmark = pytest.mark.peer

DEMO = ROOT / "runtime" / "data" / "demo.onnx"
CONTROLLER = Path(__file__).with_name("s7_controller.py")
CORPUS = Path(__file__).with_name("s7_corpus.json")
DB = 100
COPIED_BYTES = 4
GOOD = Outcome(Code.OK, Cause.NONE, "score 1.0 within 2.0", 1.0, 2.0)

SIZES = {"BOOL": 1, "WORD": 2, "DWORD": 4, "REAL": 4, "STRING[32]": 34}


def compiled(source: str) -> tuple[dict[str, tuple[int, int, str]], int]:
    """The members of a printed data block where STEP 7 puts them without optimized access: byte, bit, type by name,
    and the block's bytes."""
    found: dict[str, tuple[int, int, str]] = {}
    byte = bit = 0
    structure = ""
    for line in source.splitlines():
        statement = line.split("//")[0].strip()
        match = re.fullmatch(r"(\w+) : (STRUCT|ARRAY \[0 \.\. (\d+)\] OF BYTE;|[\w\[\]]+;)", statement)
        if match is None or not line.startswith(" "):
            continue
        name, kind = match[1], match[2].rstrip(";")
        if kind == "BOOL":
            byte, bit = (byte + 1, 0) if bit == 8 else (byte, bit)
            found[f"{structure}.{name}"] = (byte, bit, kind)
            bit += 1
            continue
        byte, bit = byte + (bit > 0), 0
        byte += byte % 2
        if kind == "STRUCT":
            structure = name
        elif match[3] is not None:
            byte += int(match[3]) + 1
        else:
            found[f"{structure}.{name}"] = (byte, 0, kind)
            byte += SIZES[kind]
    return found, byte


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("layout", [S7Layout(), S7Layout(7, 400, 10), S7Layout(1, 0, 116)])
def test_the_printed_block_is_where_the_runtime_reads_and_writes(dialect: str, layout: S7Layout) -> None:
    source = s7_source(layout, dialect)
    found, size = compiled(source)
    ours = {
        f"{area}.{each.register.name}": (at + each.byte, each.bit or 0)
        for area, at, table in (
            ("to_runtime", layout.to_runtime_at, TO_RUNTIME),
            ("from_runtime", layout.from_runtime_at, FROM_RUNTIME),
        )
        for each in members(table)
    }
    assert {name: (byte, bit) for name, (byte, bit, _) in found.items()} == ours
    assert size == layout.bytes
    for name, (byte, bit, _) in found.items():
        assert re.search(rf"\b{name.partition('.')[2]} : .*// {byte}\.{bit} ", source)


def test_the_source_is_one_that_step_7_reads(environment: dict[str, str]) -> None:
    for dialect in DIALECTS:
        source = s7_source(S7Layout(), dialect)
        assert source.isascii()
        names = re.findall(r"(\w+) : ", source.partition("STRUCT")[2])
        assert len(names) > 40
        assert max(map(len, names)) <= 24  # the longest name in STEP 7
    line = [sys.executable, "-m", "runtime.line", "--s7-source", "step7", "--s7", "plc?db=7&to=400&from=10"]
    printed = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=120)
    assert printed.stdout == s7_source(S7Layout(7, 400, 10), "step7")
    page = (ROOT / "runtime" / "line" / "S7.md").read_text()
    assert s7_source(S7Layout(), "tia") in page, "python -m runtime.line --s7-source tia"


class Controller(Server):
    """snap7's server with one data block, and with what happens between two requests."""

    def __init__(self, size: int = 380, db: int = DB) -> None:
        super().__init__(log=False)
        self.memory = bytearray(size)
        self.register_area(SrvArea.DB, db, self.memory)
        self.after_write: Callable[[], None] = lambda: None
        self.backwards = False
        self.torn: bytes | None = None  # what the next read gets in place of the memory

    def _read_from_memory_area(self, area: object, db: int, start: int, count: int) -> tuple[int, bytearray]:
        if self.torn is not None and start == 0:
            torn, self.torn = self.torn, None
            return 0xFF, bytearray(torn)
        code, data = super()._read_from_memory_area(area, db, start, count)  # type: ignore[arg-type]
        return code, data

    def _write_to_memory_area(self, area: object, db: int, start: int, data: bytearray) -> bool:
        """As a controller copies whose program runs on: piece by piece, from either end."""
        pieces = [(at, data[at : at + COPIED_BYTES]) for at in range(0, len(data), COPIED_BYTES)]
        for at, piece in reversed(pieces) if self.backwards else pieces:
            if not super()._write_to_memory_area(area, db, start + at, piece):  # type: ignore[arg-type]
                return False
            self.after_write()
        return True


@contextmanager
def controller(port: int, size: int = 380, db: int = DB) -> Iterator[Controller]:
    server = Controller(size, db)
    server.start(port)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def connected(size: int = 380) -> Iterator[tuple[Controller, S7Peer]]:
    port = free_port()
    with controller(port, size) as server, closing(S7Peer("127.0.0.1", port, 0, 1, S7Layout())) as peer:
        yield server, peer


GET = {"BOOL": get_bool, "WORD": get_word, "DWORD": get_dword, "REAL": get_real, "STRING[32]": get_string}
SET = {"BOOL": set_bool, "WORD": set_word, "DWORD": set_dword}


def sample(table: Table) -> dict[str, object]:
    """A value of its own for each register."""
    made: dict[str, Callable[[int], object]] = {
        "bit": lambda number: number % 3 == 0,
        "u16": lambda number: 1_000 + number,
        "u32": lambda number: 70_000_000 + number,
        "f32": lambda number: number + 0.5,
        "text": lambda number: f"text {number}",
    }
    words_with_bits = ("control", "status")
    return {each.name: made[each.kind](n) for n, each in enumerate(table) if each.name not in words_with_bits}


def test_the_controller_sees_each_register_where_the_printed_block_has_it() -> None:
    places, _ = compiled(s7_source(S7Layout(), "tia"))
    values = sample(FROM_RUNTIME)
    with connected() as (server, peer):
        peer.write(words_of(FROM_RUNTIME, values))
        seen = {}
        for name, (byte, bit, kind) in places.items():
            area, _, register = name.partition(".")
            if area == "from_runtime":
                place = (byte, bit) if kind == "BOOL" else (byte,)
                seen[register] = GET[kind](server.memory, *place)
    assert seen == values


def test_the_runtime_sees_each_register_where_the_printed_block_has_it() -> None:
    places, _ = compiled(s7_source(S7Layout(), "tia"))
    values = sample(TO_RUNTIME)
    with connected() as (server, peer):
        for name, (byte, bit, kind) in places.items():
            area, _, register = name.partition(".")
            if area == "to_runtime" and kind == "STRING[32]":
                set_string(server.memory, byte, str(values[register]), 32)
            elif area == "to_runtime":
                place = (byte, bit) if kind == "BOOL" else (byte,)
                SET[kind](server.memory, *place, values[register])
        words = peer.read()
    assert not isinstance(words, Unreadable)
    seen = values_of(TO_RUNTIME, words)
    assert {name: seen[name] for name in values} == values


@contextmanager
def child(*words: object, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    line = [sys.executable, *map(str, words)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    started = subprocess.Popen(line, env=environment, text=True, **pipes)  # type: ignore[call-overload]
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def parts_of(plc: subprocess.Popen[str], count: int) -> list[dict[str, object]]:
    """The next parts of a controller's program."""
    assert plc.stdout is not None
    found = []
    for _ in range(count):
        line = plc.stdout.readline()
        assert line, plc.communicate()[1]
        found.append(json.loads(line))
    return found


def test_parts_through_the_command_and_a_controller_that_is_killed_and_comes_back(environment: dict[str, str]) -> None:
    port, first, second = free_port(), 15, 15
    line = ("-m", "runtime.line", DEMO, "--camera", "demo", "--deadline-ms", 20_000, "--threads", 1)
    address = f"127.0.0.1:{port}?period_ms=1"
    with ExitStack() as stack:
        runtime = stack.enter_context(child(*line, "--s7", address, environment=environment))  # and no controller
        with child(CONTROLLER, port, DB, 1, 10_000, environment=environment) as plc:
            found = parts_of(plc, first)  # then it is killed, a part under way
        last = first + 1 + second
        with child(CONTROLLER, port, DB, first + 2, last, environment=environment) as plc:
            found += parts_of(plc, second)
            (end,) = parts_of(plc, 1)
            runtime.send_signal(signal.SIGTERM)
            _, said = runtime.communicate(timeout=3 * PATIENCE_S)
    assert runtime.returncode == 0, said
    assert [each["part"] for each in found if "missed" not in each][:first] == list(range(1, first + 1))
    judged = [each for each in found if each["part"] != first + 1 and "missed" not in each]
    ids = [each["part"] for each in judged]
    assert ids == sorted(set(map(int, map(str, ids))))
    assert len(judged) >= first + second - 2  # but for the part that was under way, and its result
    for each in judged:
        assert each["serial"] == f"A-{each['part']}"
        assert each["order"] == "batch 7"
        assert each["pass"] == (each["code"] == Code.OK)
    assert {each["code"] for each in judged} == {Code.OK, Code.NG}
    assert len({each["session"] for each in judged}) == 1
    inspections = [int(str(each["inspection"])) for each in judged]
    assert inspections == sorted(set(inspections))
    assert int(str(end["heartbeat"])) > 0
    assert said.count("connecting until it is there") <= 3, said


def ended(environment: dict[str, str], address: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "runtime.line", DEMO, "--camera", "demo", "--threads", "1", "--s7", address]
    return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=120)


def test_a_data_block_that_is_not_there_ends_the_command_with_one_sentence(environment: dict[str, str]) -> None:
    port = free_port()
    with controller(port, db=7):
        done = ended(environment, f"127.0.0.1:{port}")
    assert done.returncode == 2
    assert re.search(r"error: DB100 cannot be read .*380 bytes or more.*PUT/GET", done.stderr)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("size", [100, 379])
def test_a_data_block_that_is_too_short_is_refused(size: int) -> None:
    port = free_port()
    with controller(port, size), pytest.raises(InputError, match=r"DB100 cannot be read .*380 bytes or more"):
        open_client(Levels(Handshake(1.0)), f"127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("plc:x", "expected HOST:PORT"),
        ("plc?db=0", "db is 0"),
        ("plc?db=x", "expected a number"),
        ("plc?rack=8", "rack is 8"),
        ("plc?slot=32", "slot is 32"),
        ("plc?to=1", "expected an even byte"),
        ("plc?to=100&from=200", "overlap"),
        ("plc?to=200&from=84", "overlap"),
        ("plc?from=65500", "from is 65500"),
        ("127.0.0.1:1?period_ms=0", "period of polling"),
        ("plc?unit=1", "expected HOST:PORT"),
    ],
)
def test_an_address_that_cannot_be_is_refused(address: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        open_client(Levels(Handshake(1.0)), address)


def test_areas_may_touch() -> None:
    assert parse_s7("plc?to=180&from=0")[1] == S7Layout(100, 180, 0)


@contextmanager
def polled(levels: Levels, port: int) -> Iterator[None]:
    with closing(open_client(levels, f"127.0.0.1:{port}?period_ms=1")):
        yield


def test_a_trigger_that_stands_at_the_connection_and_garbage_are_refused() -> None:
    handshake, port = Handshake(60.0), free_port()
    handshake.ready()
    with controller(port) as server:
        set_bool(server.memory, 0, 0, True)
        set_bool(server.memory, 0, 1, True)
        with polled(Levels(handshake), port):
            until(lambda: get_bool(server.memory, 202, 3))  # missed_acquisition
            assert not get_bool(server.memory, 202, 2)
            assert get_word(server.memory, 226) == Cause.BAD_INPUT
            server.memory[0:116] = bytes([0xFF]) * 116  # the trigger still stands
            until(lambda: get_dword(server.memory, 218) == 1)
            set_bool(server.memory, 0, 1, False)
            until(lambda: server.memory[0] == 0xFD)
            time.sleep(0.05)
            set_bool(server.memory, 0, 1, True)  # a trigger in garbage
            until(lambda: get_dword(server.memory, 218) == 2)
            server.memory[0:116] = bytes(116)
            time.sleep(0.05)
            set_dword(server.memory, 2, 17)
            server.memory[0] = 0b11
            until(lambda: get_bool(server.memory, 202, 2))
    assert (handshake.view().accepted, handshake.view().missed) == (1, 2)


def test_a_trigger_that_is_read_before_its_part_is_read_again() -> None:
    with connected() as (server, peer):
        old = bytes(server.memory[:116])
        set_dword(server.memory, 2, 17)
        server.memory[0] = 0b11
        server.torn = bytes([0b11]) + old[1:]
        words = peer.read()
        assert not isinstance(words, Unreadable)
        assert values_of(TO_RUNTIME, words)["part_id"] == 17


def test_a_switch_that_is_read_before_its_recipe_is_read_again() -> None:
    with connected() as (server, peer):
        old = bytes(server.memory[:116])
        set_string(server.memory, 82, "bottle", 32)
        server.memory[0] = 0b1_0001
        server.torn = bytes([0b1_0001]) + old[1:]
        words = peer.read()
        assert not isinstance(words, Unreadable)
        assert values_of(TO_RUNTIME, words)["recipe"] == "bottle"


def test_a_trigger_that_first_comes_as_a_switch_is_read_again_is_read_once_more_itself() -> None:
    with connected() as (server, peer):
        server.memory[0] = 0b1_0001
        first = peer._area
        reads = list[int]()

        def area() -> bytes:
            reads.append(1)
            if len(reads) == 2:
                server.torn = bytes([0b1_0011]) + bytes(server.memory[1:116])
                server.memory[0] = 0b1_0011
                set_dword(server.memory, 2, 17)
            return first()

        peer._area = area  # type: ignore[method-assign]
        words = peer.read()
        assert not isinstance(words, Unreadable)
        assert (values_of(TO_RUNTIME, words)["part_id"], len(reads)) == (17, 3)


def test_a_text_that_is_none_refuses_the_trigger_by_its_reason_and_leaves_the_encoder() -> None:
    handshake = Handshake(60.0, gate=RejectGate(100, by_encoder=True))
    handshake.ready()
    levels = Levels(handshake)
    refusals = list[str]()

    class Kept:
        def given(self, result: Result) -> None:
            pass

        def missed(self, refusal: Refusal) -> None:
            refusals.append(refusal.reason)

    handshake.listen(Kept())
    with connected() as (server, peer):

        def exchange() -> dict[str, object]:
            words = peer.read()
            assert not isinstance(words, Unreadable)
            levels.write(words)
            return values_of(FROM_RUNTIME, levels.read())

        server.memory[0] = 0b1
        exchange()
        set_dword(server.memory, 2, 7)
        server.memory[0] = 0b11
        assert exchange()["trigger_acknowledge"]
        handshake.finish(1, GOOD)
        assert exchange()["job_pass"]
        server.memory[14:16] = bytes((254, 4))  # the head of a STRING[254] where the serial number should be
        set_dword(server.memory, 10, 100)  # the encoder
        server.memory[0] = 0b1101  # acknowledged, and offline
        seen = exchange()
        assert (seen["gate_part_id"], seen["gate_passes"], seen["waiting"], seen["online"]) == (7, True, 0, False)
        server.memory[0] = 0b11
        assert exchange()["missed_acquisition"]
    (reason,) = refusals
    assert reason.startswith("serial begins with the bytes 254 and 4")


@pytest.mark.parametrize("backwards", [False, True])
def test_at_no_moment_does_the_controller_see_a_pass_of_another_part(backwards: bool) -> None:
    """Amid any request, whatever is valid is the result of one part."""
    handshake = Handshake(60.0)
    handshake.ready()
    levels = Levels(handshake)
    seen = set()

    with connected() as (server, peer):

        def look() -> None:
            if get_bool(server.memory, 202, 6):
                number = get_dword(server.memory, 248)
                seen.add((number, get_dword(server.memory, 240), get_string(server.memory, 264)))
                assert get_bool(server.memory, 202, 7) == (get_word(server.memory, 234) == Code.OK) == bool(number % 2)
            else:
                assert not get_bool(server.memory, 202, 7)

        server.after_write, server.backwards = look, backwards
        failures = list[BaseException]()
        for number in range(1, 9):
            part = {"trigger_enable": True, "part_id": number, "serial": f"A-{number}"}
            levels.write(words_of(TO_RUNTIME, part | {"trigger": True}))
            handshake.finish(number, GOOD if number % 2 else Outcome(Code.NG, Cause.JUDGED, "score 3.0", 3.0, 2.0))
            for change in ({}, {"results_acknowledge": True}, {}):
                levels.write(words_of(TO_RUNTIME, part | change))
                try:
                    peer.write(levels.read())
                except LineError as error:  # the server ends a connection whose handler raises
                    failures.append(error)
        assert failures == []
    assert seen == {(number, number, f"A-{number}") for number in range(1, 9)}


def test_garbage_of_before_is_read_as_before() -> None:
    corpus = json.loads(CORPUS.read_text())
    assert len({each["outcome"] for each in corpus}) > 5
    for each in corpus:
        assert outcome_of(bytes.fromhex(each["area"])) == each["outcome"]


def test_the_page_has_the_figures_of_the_garbage() -> None:
    page = " ".join((ROOT / "runtime" / "line" / "S7.md").read_text().split())
    found = json.loads((ROOT / "benchmarks" / "results" / "line-s7-fuzz.json").read_text())
    outcomes = found["outcomes"]
    assert sum(outcomes.values()) == found["inputs"]
    words = sum(count for name, count in outcomes.items() if name == READABLE or " accepted, " in name)
    assert f"Of {found['inputs']:,} areas {words:,} were words" in page
    assert f"{found['inputs'] - words:,} were refused by a sentence" in page


@pytest.mark.parametrize("head", [(254, 4), (0, 4), (32, 33), (20, 4)])
def test_a_string_of_another_length_is_no_part_of_the_block(head: tuple[int, int]) -> None:
    data = bytearray(size_of(TO_RUNTIME))
    data[14:16] = bytes(head)
    with pytest.raises(InputError, match=rf"serial begins with the bytes {head[0]} and {head[1]}"):
        words_of_area(TO_RUNTIME, bytes(data))

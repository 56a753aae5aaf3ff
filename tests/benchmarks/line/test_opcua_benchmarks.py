"""The fuzzer of OPC UA: what it found is replayed, and it does find what is wrong."""

import asyncio
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("asyncua", reason="OPC UA IS NOT TESTED here: pip install 'proctor[opcua]'")

from benchmarks.line import flood_opcua
from benchmarks.line.fuzz_opcua import attack, fuzz_socket, good, recorded, target
from runtime.errors import InputError
from runtime.line.handshake import Handshake
from runtime.line.levels import Levels
from runtime.line.opcua import controller
from runtime.line.opcua.limits import bound_decoder
from runtime.line.opcua.server import open_server

pytestmark = pytest.mark.peer

INPUTS = [bytes.fromhex(line) for line in (Path(__file__).parent / "opcua_inputs.txt").read_text().split()]


def test_inputs_that_led_to_new_branches_break_no_rule() -> None:
    bound_decoder()
    assert len(INPUTS) >= 100
    told = sum((target(each) for each in INPUTS), start=target(b""))
    assert set(told) >= {"Good", "BadTypeMismatch", "BadOutOfRange", "BadNotWritable", "BadUserAccessDenied"}


def observers_see(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controller.Control, "look", lambda self, _, sees=True: looked(self, self._owner, sees))


looked: Any = controller.Control.look


def texts_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controller, "fits", lambda text: True)


def anybody_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controller.Control, "claim", lambda self, session: "Good")


@pytest.mark.parametrize("fault", [observers_see, texts_are_cut, anybody_writes])
def test_a_fault_of_the_layer_is_found_by_them(monkeypatch: pytest.MonkeyPatch, fault: Any) -> None:
    fault(monkeypatch)
    with pytest.raises((AssertionError, UnicodeEncodeError)):
        list(map(target, INPUTS))


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Of a server with all its nodes, which take seconds to make: what is done to it leaves it as it was."""
    handshake = Handshake(0.2)
    handshake.ready()
    with open_server(Levels(handshake), "127.0.0.1:0") as server:
        yield server.port


def test_a_server_bears_changed_messages_of_a_real_client(port: int) -> None:
    messages = recorded(port, good)
    assert {each[:3] for each in messages} >= {b"HEL", b"OPN", b"MSG", b"CLO"}
    assert sum(attack(port, messages, random.Random(seed)) for seed in range(20)) > 100
    assert asyncio.run(good(port))


def test_garbage_for_a_moment_leaves_a_real_line_as_it_was() -> None:
    found = fuzz_socket(200, seed=1)
    assert int(str(found["messages"])) >= 200
    assert int(str(found["connections"])) > 5


def test_a_flood_is_answered_by_a_real_server_and_counted(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flood_opcua, "ASKING_S", 0.5)
    with flood_opcua.Flooder(port) as flooder:
        flooder.once()
    assert asyncio.run(good(port))
    counts = flooder.counts
    assert counts["connections"] == 3
    assert counts["sent"] > counts["answered"] + 10  # one of them reads nothing
    assert counts["answered"] >= 2
    assert counts["rubbish_bytes"] == flood_opcua.RUBBISH


def test_a_refusal_is_no_answer_of_a_flood() -> None:
    def message(kind: int, result: int) -> bytes:
        return b"MSGF" + bytes(22) + struct.pack("<H", kind) + bytes(12) + struct.pack("<I", result)

    assert flood_opcua._is_answer(message(634, 0))
    assert not flood_opcua._is_answer(message(397, 0x80250000))  # a fault: the session is over
    assert not flood_opcua._is_answer(message(634, 0x80000000))
    assert not flood_opcua._is_answer(b"ERRF")


def test_a_flood_is_compared_with_the_line_alone_and_is_none_with_fewer_answers_than_parts() -> None:
    took_ms = {"alone": [50.0] * 19 + [100.0], "flooded": [75.0] * 19 + [300.0]}
    beats = {"alone": [10.0], "flooded": [9.0]}
    counts = {"sent": 300, "answered": 20, "seconds": 8.0, "processor_seconds": 2.0, "connections": 6}
    found: Any = flood_opcua.document(took_ms, beats, 2, counts)
    assert found["flooded_of_alone"] == pytest.approx({"p50_ms": 1.5, "p95_ms": 86.25 / 52.5, "beats_per_s": 0.9})
    assert (found["parts"], found["flood"]["answered"], found["flood"]["sent"]) == (20, 20, 300)
    assert (found["flood"]["seconds"], found["flood"]["cores"]) == (4.0, 0.5)
    with pytest.raises(
        InputError, match="the flood had 19 answers to 300 requests beside 20 parts; expected one a part"
    ):
        flood_opcua.document(took_ms, beats, 2, counts | {"answered": 19})

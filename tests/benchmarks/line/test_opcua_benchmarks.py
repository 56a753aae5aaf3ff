"""The fuzzer of OPC UA: what it found is replayed, and it does find what is wrong."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("asyncua", reason="OPC UA IS NOT TESTED here: pip install 'proctor[opcua]'")

from benchmarks.line.fuzz_opcua import attack, fuzz_socket, good, recorded, target
from runtime.line.handshake import Handshake
from runtime.line.levels import Levels
from runtime.line.opcua import controller
from runtime.line.opcua.limits import bound_decoder
from runtime.line.opcua.server import open_server

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


def test_a_server_bears_changed_messages_of_a_real_client() -> None:
    handshake = Handshake(0.2)
    handshake.ready()
    with open_server(Levels(handshake), "127.0.0.1:0") as server:
        messages = recorded(server.port, good)
        assert {each[:3] for each in messages} >= {b"HEL", b"OPN", b"MSG", b"CLO"}
        assert sum(attack(server.port, messages, random.Random(seed)) for seed in range(20)) > 100
        assert asyncio.run(good(server.port))


def test_garbage_for_a_moment_leaves_a_real_line_as_it_was() -> None:
    found = fuzz_socket(200, seed=1)
    assert int(str(found["messages"])) >= 200
    assert int(str(found["connections"])) > 5

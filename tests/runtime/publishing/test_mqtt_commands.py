"""Commands: what is one, what is none, and that both are what the published schema says."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.line.fuzz_mqtt import agrees, mutated, sample
from runtime.publishing.commands import MOST_BYTES, NoCommand, command_of
from runtime.publishing.messages import COMMANDS

CORPUS = Path(__file__).parent / "commands"
GOOD: dict[str, Any] = {"command": "trigger", "id": "c-1", "sent_at_ms": 1_796_000_000_000, "part_id": 17}


def parsed(document: object) -> Any:
    return command_of(json.dumps(document).encode())


def test_every_command_is_read_as_it_is_sent() -> None:
    for name in COMMANDS:
        document = sample(name)
        command = parsed(document)
        assert (command.name, command.id, command.sent_at_ms) == (name, document["id"], document["sent_at_ms"])
        assert dict(command.values) == {
            key: each for key, each in document.items() if key not in ("command", "id", "sent_at_ms")
        }
    assert parsed(GOOD | {"part_id": 17.0}).values["part_id"] == 17


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no JSON in UTF-8"),
        (b"\xff\xfe", "no JSON in UTF-8"),
        (b"trigger", "no JSON in UTF-8"),
        (b"[" * 4_000, "no JSON in UTF-8"),
        (b"x" * (MOST_BYTES + 1), "4,097 bytes; expected 4,096 at most"),
        (b"[]", "a list; expected an object"),
        (b"null", "None; expected an object"),
        (b'{"command":"trigger","command":"mode"}', "says a name twice"),
        (b'{"a":{"b":1,"b":2}}', "says a name twice"),
        (b'{"command":NaN}', "NaN, which is no JSON"),
        (b"{}", "command is None; expected one of trigger, acknowledge"),
        (b'{"command":"reboot"}', "command is 'reboot'; expected one of"),
        (b'{"command":["trigger"]}', "command is a list"),
    ],
)
def test_bytes_that_are_no_command_are_refused_in_one_sentence(data: bytes, said: str) -> None:
    with pytest.raises(NoCommand, match=said) as raised:
        command_of(data)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"part_id": -1}, "part_id is -1; expected a whole number from 0 to 4294967295"),
        ({"part_id": 2**32}, "part_id is 4294967296"),
        ({"part_id": "17"}, "part_id is '17'"),
        ({"part_id": True}, "part_id is True"),
        ({"part_id": 1.5}, "part_id is 1.5"),
        ({"part_id": None}, "part_id is None"),
        ({"serial": "x" * 33}, "serial is 'xxx"),
        ({"serial": "ü" * 17}, "serial is 'üüü"),  # 34 bytes
        ({"serial": "a\x00"}, "serial is 'a"),
        ({"serial": "\ud800"}, "serial is"),
        ({"challenge": "NO_DECISION"}, "challenge is 'NO_DECISION'; expected one of OK, NG"),
        ({"id": ""}, "id is ''"),
        ({"id": "a\n"}, "id is 'a"),
        ({"sent_at_ms": -1}, "sent_at_ms is -1"),
        ({"gate": 1}, "the command has 'gate'; expected id, sent_at_ms, part_id"),
    ],
)
def test_a_field_that_cannot_be_is_named(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(NoCommand, match=said) as raised:
        parsed(GOOD | changed)
    assert raised.value.name == "trigger"
    assert raised.value.id == (None if "id" in changed else "c-1")


def test_a_field_that_is_missing_is_named() -> None:
    for name in ("id", "sent_at_ms", "part_id"):
        with pytest.raises(NoCommand, match=f"has no {name}"):
            parsed({key: each for key, each in GOOD.items() if key != name})


@given(st.integers(0, 2**64 - 1))
def test_what_is_taken_is_what_the_schema_allows(seed: int) -> None:
    agrees(mutated(seed))


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_a_command_or_refused(data: bytes) -> None:
    agrees(data)


def test_what_a_fuzzer_found_is_told_apart_as_it_was() -> None:
    kept = sorted(CORPUS.iterdir())
    assert len(kept) >= 20
    for path in kept:
        is_command = agrees(path.read_bytes())
        assert is_command == path.name.startswith("command"), path.name

"""The messages: as the C compiler lays them out, and nothing else is taken for one."""

import random
from pathlib import Path

import pytest
from line_samples import CLIENT, compiled, run

from runtime.errors import WireError, WrongVersion
from runtime.line.c_header import c_header
from runtime.line.handshake import State
from runtime.line.registers import FROM_RUNTIME
from runtime.line.results import Cause
from runtime.line.wire import (
    ENUMS,
    HEADER,
    KINDS,
    MESSAGES,
    MOST_BYTES,
    REFUSED,
    STATUS,
    TRIGGER,
    pack,
    text_of,
    unpack,
)


def test_the_c_header_is_the_tables() -> None:
    assert (CLIENT / "proctor_wire.h").read_text() == c_header(), (
        "python -m runtime.line --c-header > runtime/line/client/proctor_wire.h"
    )


def test_a_threshold_beyond_a_float_of_32_bits_is_the_nearest_there_is() -> None:
    assert unpack(pack(STATUS, {"threshold": 1e300, "score": -1e300}, 1), exact=True).values["threshold"] > 3e38


def test_the_c_compiler_lays_structs_out_as_the_tables_say(tmp_path: Path) -> None:
    """Sizes, offsets and numbers, told by a program that the compiler made."""
    lines, expected = [], []
    for layout in (HEADER, *MESSAGES):
        lines.append(f'printf("%zu\\n", sizeof(struct proctor_{layout.name}));')
        expected.append(layout.size)
        for field in layout.fields:
            of = f"struct proctor_{layout.name}, {field.name}"
            lines.append(
                f'printf("%zu\\n%zu\\n", offsetof({of}), sizeof(((struct proctor_{layout.name} *)0)->{field.name}));'
            )
            expected += [layout.offsets[field.name], field.size]
    for kind in ENUMS:
        name = "".join(f"_{each}" if each.isupper() and at else each for at, each in enumerate(kind.__name__)).upper()
        for value in kind:
            lines.append(f'printf("%d\\n", PROCTOR_{name}_{value.name});')
            expected.append(value)
    source = tmp_path / "layouts.c"
    body = "\n".join(lines)
    source.write_text(
        f'#include <stddef.h>\n#include <stdio.h>\n#include "proctor.h"\nint main(void) {{ {body} return 0; }}\n'
    )
    program = compiled(tmp_path, "layouts", [source])
    assert [int(line) for line in run([str(program)]).stdout.split()] == expected


@pytest.mark.parametrize("layout", [HEADER, *MESSAGES], ids=lambda layout: layout.name)
def test_no_compiler_has_to_fill_a_gap(layout) -> None:  # type: ignore[no-untyped-def]
    sizes = [KINDS[field.kind][1] for field in layout.fields]
    assert all(at % size == 0 for at, size in zip(layout.offsets.values(), sizes, strict=True))
    assert layout.size % max(sizes) == 0
    assert layout.size + HEADER.size <= MOST_BYTES
    assert sum(field.size for field in layout.fields) == layout.size


def test_the_status_has_every_register_in_its_order() -> None:
    assert [field.name for field in STATUS.fields] == [each.name for each in FROM_RUNTIME if each.kind != "bit"]
    assert len(State) == 6


def test_a_message_is_its_values_again() -> None:
    values = {"slot": 3, "width": 2**32 - 1, "flags": 1, "part_id": 7, "serial": "A-17 ü", "order": "x" * 99}
    message = unpack(pack(TRIGGER, values, number=12), exact=True)
    assert (message.layout, message.number) == (TRIGGER, 12)
    assert {name: message.values[name] for name in ("slot", "width", "flags", "part_id", "height")} == {
        "slot": 3, "width": 2**32 - 1, "flags": 1, "part_id": 7, "height": 0,
    }  # fmt: skip
    assert text_of(message.values["serial"]) == "A-17 ü"
    assert text_of(message.values["order"]) == "x" * 35


def test_a_long_reason_ends_at_a_whole_character() -> None:
    values = unpack(pack(REFUSED, {"cause": Cause.HELD, "reason": "a" + "ü" * 200}), exact=True).values
    assert text_of(values["reason"]) == "a" + "ü" * 127


def test_text_without_an_end_is_none() -> None:
    assert text_of(b"x" * 36) is None
    assert text_of(b"\xff\xfe\0") is None
    assert text_of(b"\0" * 36) == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: b"", "0 bytes"),
        (lambda data: data[:-1], "it says that it has"),
        (lambda data: b"JUNK" + data[4:], "begins with"),
        (lambda data: data[:6] + b"\x63\0" + data[8:], "type 99"),
        (lambda data: data[:8] + (len(data) + 4).to_bytes(4, "little") + data[12:] + b"\0" * 4, "has 100 bytes"),
    ],
)
def test_what_is_no_message_is_refused(change, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(WireError, match=words):
        unpack(change(pack(TRIGGER, {})), exact=True)


def test_another_version_is_refused_by_name() -> None:
    data = pack(TRIGGER, {})
    with pytest.raises(WrongVersion, match="version 9"):
        unpack(data[:4] + b"\x09\0" + data[6:], exact=True)


def test_a_later_runtime_may_say_more() -> None:
    data = pack(REFUSED, {"cause": 4})
    longer = data[:8] + (len(data) + 8).to_bytes(4, "little") + data[12:] + b"\1" * 8
    assert unpack(longer, exact=False).values["cause"] == 4


def test_any_bytes_are_a_message_or_refused() -> None:
    rng = random.Random(5)
    messages = [pack(layout, {}) for layout in MESSAGES]
    for _ in range(5_000):
        data = bytearray(rng.choice(messages))
        for _ in range(rng.randrange(4)):
            data[rng.randrange(min(len(data), 16))] = rng.randrange(256)
        if rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
        try:
            unpack(data, exact=True)
        except WireError:
            continue

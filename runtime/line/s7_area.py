"""Where the registers lie in a data block of an S7 controller: as STEP 7 lays out a block without optimized access.

Bits are BOOL, packed from bit 0 of the first byte. WORD, DWORD and REAL have their high byte first and begin at an even
byte, and so does STRING[32]: the longest length and the length, a byte each, before its 32 characters. The words
`control` and `status` are no members of their own, only their bits are.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from runtime.bounds import check_between
from runtime.errors import InputError
from runtime.line.address import Address, parse_address
from runtime.line.registers import FROM_RUNTIME, TO_RUNTIME, WORDS, Register, addresses
from runtime.line.results import LONGEST_TEXT

Table = tuple[Register, ...]

PORT = 102
TYPES = {"bit": "BOOL", "u16": "WORD", "u32": "DWORD", "f32": "REAL", "text": f"STRING[{LONGEST_TEXT}]"}
STRING_HEAD = 2  # bytes
OPTIONS = ("rack", "slot", "db", "to", "from", "period_ms")
MOST_BYTES = 65_536  # that absolute addresses of a data block reach


@dataclass(frozen=True)
class Member:
    """A register's place in an area."""

    register: Register
    byte: int
    bit: int | None  # of that byte, for a BOOL


@dataclass(frozen=True)
class S7Layout:
    """Where the two areas lie."""

    db: int = 100
    to_runtime_at: int = 0  # bytes
    from_runtime_at: int = 200

    def __post_init__(self) -> None:
        """Raises `InputError` for areas that cannot lie so."""
        check_between("db", self.db, 1, 65_535)
        for name, at, table in (("to", self.to_runtime_at, TO_RUNTIME), ("from", self.from_runtime_at, FROM_RUNTIME)):
            check_between(name, at, 0, MOST_BYTES - size_of(table))
            if at % 2:
                raise InputError(f"{name} is {at}; expected an even byte, as every structure of a data block begins")
        first, second = sorted(
            [(self.to_runtime_at, size_of(TO_RUNTIME)), (self.from_runtime_at, size_of(FROM_RUNTIME))]
        )
        if first[0] + first[1] > second[0]:
            raise InputError(
                f"to={self.to_runtime_at} and from={self.from_runtime_at} overlap; "
                f"the areas have {size_of(TO_RUNTIME)} and {size_of(FROM_RUNTIME)} bytes"
            )

    @property
    def bytes(self) -> int:
        """That the data block must have at least."""
        return max(self.to_runtime_at + size_of(TO_RUNTIME), self.from_runtime_at + size_of(FROM_RUNTIME))


def parse_s7(text: str) -> tuple[Address, S7Layout]:
    """``HOST:PORT?rack=0&slot=1&db=100&to=0&from=200&period_ms=20``. Raises `InputError`."""
    address = parse_address("s7", text, PORT, OPTIONS)
    default = S7Layout()
    layout = S7Layout(
        address.take("db", int, default.db),
        address.take("to", int, default.to_runtime_at),
        address.take("from", int, default.from_runtime_at),
    )
    return address, layout


@cache
def members(table: Table) -> tuple[Member, ...]:
    """The members of the structure that a table is in the data block."""
    found, end = [], 0
    for each, following in zip(table, (*table[1:], None), strict=True):
        if each.kind == "bit":
            bit = each.bit or 0
            found.append(Member(each, end - 2 + bit // 8, bit % 8))
            continue
        if following is None or following.kind != "bit":
            found.append(Member(each, end, None))
        end += _bytes(each)
    return tuple(found)


@cache
def size_of(table: Table) -> int:
    """Bytes of an area."""
    return sum(_bytes(each) for each in table if each.kind != "bit")


def area_of(table: Table, words: Sequence[int]) -> bytes:
    """The words of a table, as `words_of` makes them, as an area."""
    data = bytearray()
    for each, has_bits in _values(table):
        at = addresses(table)[each.name]
        own = struct.pack(f">{WORDS[each.kind]}H", *words[at : at + WORDS[each.kind]])
        if has_bits:
            own = own[::-1]  # bits are counted from the first byte's lowest
        elif each.kind == "text":
            own = bytes((LONGEST_TEXT, len(own.rstrip(b"\0")))) + own
        data += own
    return bytes(data)


def words_of_area(table: Table, data: bytes) -> list[int]:
    """The words that an area holds. Raises `InputError` for what is no such area."""
    if len(data) != size_of(table):
        raise InputError(f"{len(data)} bytes; expected {size_of(table)}")
    words, at = list[int](), 0
    for each, has_bits in _values(table):
        own, at = data[at : at + _bytes(each)], at + _bytes(each)
        if has_bits:
            own = own[::-1]
        elif each.kind == "text":
            own = _text(each.name, own)
        words += struct.unpack(f">{WORDS[each.kind]}H", own)
    return words


def bit_of(table: Table, name: str, data: bytes) -> bool:
    """One BOOL of an area, whatever else it holds."""
    member = next(each for each in members(table) if each.register.name == name)
    return bool(data[member.byte] >> (member.bit or 0) & 1)


def _text(name: str, data: bytes) -> bytes:
    most, length = data[:STRING_HEAD]
    never_written = most == length == 0
    if not never_written and (most != LONGEST_TEXT or length > LONGEST_TEXT):
        raise InputError(
            f"{name} begins with the bytes {most} and {length}; a STRING[{LONGEST_TEXT}] begins with {LONGEST_TEXT} "
            "and its length: the data block is not the one of --s7-source, or bytes of it were written by hand"
        )
    return data[STRING_HEAD : STRING_HEAD + length].ljust(LONGEST_TEXT, b"\0")


def _values(table: Table) -> list[tuple[Register, bool]]:
    """What takes bytes of its own, with whether it is a word of bits."""
    following = (*table[1:], None)
    return [
        (each, after is not None and after.kind == "bit")
        for each, after in zip(table, following, strict=True)
        if each.kind != "bit"
    ]


def _bytes(register: Register) -> int:
    return 2 * WORDS[register.kind] + (STRING_HEAD if register.kind == "text" else 0)

"""The messages between runtime and controller over a Unix socket: their layout stands here, once.

A message is one packet of a ``SOCK_SEQPACKET`` socket: a header of 16 bytes and a body, all little-endian, every field
at a multiple of its own size, so that a C compiler lays the structs out as they are here. The C header is generated
from this table (`runtime.line.c_header`).

A field is added at the end of its message: who receives a longer body from the runtime leaves the rest alone. Whatever
else changes counts `VERSION` up. A controller's messages must have exactly their size.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any

from runtime.errors import WireError, WrongVersion
from runtime.line.handshake import State
from runtime.line.registers import FROM_RUNTIME, Register, as_f32
from runtime.line.results import LONGEST_TEXT, Cause, Code, Mode

MAGIC = int.from_bytes(b"PRCT", "little")
VERSION = 1
TEXT_BYTES = LONGEST_TEXT + 4  # one at least is 0
REASON_BYTES = 256  # likewise
MOST_BYTES = 4096  # of a message
MOST_SLOTS = 64
MOST_SLOT_BYTES = 1 << 28  # 256 MiB: a picture of 89 megapixels in colour
MOST_SIDE = 1 << 16  # pixels

# by kind of field: `struct`'s letter, bytes of one element, C type, elements (of an array)
KINDS = {
    "u16": ("H", 2, "uint16_t", 1),
    "u32": ("I", 4, "uint32_t", 1),
    "u64": ("Q", 8, "uint64_t", 1),
    "f32": ("f", 4, "float", 1),
    "f64": ("d", 8, "double", 1),
    "text": (f"{TEXT_BYTES}s", 1, "char", TEXT_BYTES),
    "reason": (f"{REASON_BYTES}s", 1, "char", REASON_BYTES),
}


class PixelFormat(IntEnum):
    """How a picture lies in its slot."""

    MONO8 = 1  # a byte each pixel
    BGR8 = 2  # three bytes each pixel: blue, green, red


class Closing(IntEnum):
    """Why the runtime ends a connection, or does not begin it."""

    BUSY = 1  # another controller is connected
    VERSION = 2  # another version of the protocol
    MEMORY = 3  # the shared memory is not what it has to be
    PROTOCOL = 4  # a message that is none
    SILENT = 5  # messages were not read or not sent in time
    STOPPED = 6  # the runtime ends


# flags of a trigger
RECORDED = 1  # the picture is of a file: it may be the same as the one before, which a camera's never is
CHALLENGES = {2: Code.OK, 4: Code.NG}  # a challenge part, by the verdict that it must get


@dataclass(frozen=True)
class Field:
    """One value in a message."""

    name: str
    kind: str  # one of KINDS
    meaning: str

    @property
    def size(self) -> int:
        """In bytes."""
        return KINDS[self.kind][1] * KINDS[self.kind][3]


@dataclass(frozen=True)
class Layout:
    """A message's body, or the header before it."""

    name: str
    number: int  # the header's `type`
    meaning: str
    fields: tuple[Field, ...]

    @cached_property
    def packer(self) -> struct.Struct:
        """Of the body alone."""
        return struct.Struct("<" + "".join(KINDS[field.kind][0] for field in self.fields))

    @property
    def size(self) -> int:
        """Of the body, in bytes."""
        return self.packer.size

    @cached_property
    def offsets(self) -> dict[str, int]:
        """Of each field in the body, in bytes."""
        found, at = {}, 0
        for field in self.fields:
            found[field.name] = at
            at += field.size
        return found


def _status_field(register: Register) -> Field:
    """16 bits take 32, so that the order of the table leaves no gaps."""
    return Field(register.name, "u32" if register.kind == "u16" else register.kind, register.meaning)


HEADER = Layout(
    "header",
    0,
    "before each body",
    (
        Field("magic", "u32", "PROCTOR_MAGIC"),
        Field("version", "u16", "PROCTOR_WIRE_VERSION"),
        Field("type", "u16", "of the message"),
        Field("size", "u32", "of the message with its header, in bytes"),
        Field("number", "u32", "the controller's own; an answer has that of its question, all else 0"),
    ),
)
HELLO = Layout(
    "hello",
    1,
    "controller: the first message, with the descriptor of the shared memory",
    (
        Field("slots", "u32", f"pictures in the memory, 1 to {MOST_SLOTS}"),
        Field("reserved", "u32", "0"),
        Field("slot_bytes", "u64", f"of each, up to {MOST_SLOT_BYTES:,}; slot n begins at n times this"),
    ),
)
WELCOME = Layout(
    "welcome",
    2,
    "runtime: the answer",
    (
        Field("session_id", "u32", "another one after each start of the runtime; never 0"),
        Field("map_version", "u32", "of the register map"),
        Field("deadline_ns", "u64", "from trigger to result"),
        Field("at_once", "u32", "parts that may be under way at once"),
        Field("buffer", "u32", "parts under way and results that were not acknowledged, together at most"),
    ),
)
TRIGGER = Layout(
    "trigger",
    3,
    "controller: a part, with its picture",
    (
        Field("slot", "u32", "where the picture lies; free again upon the answer"),
        Field("width", "u32", "pixels"),
        Field("height", "u32", "pixels"),
        Field("stride", "u32", "bytes from a row to the next; 0: rows have no gap"),
        Field("pixel_format", "u16", "enum proctor_pixel_format"),
        Field("flags", "u16", "0 for a camera's picture of a part; PROCTOR_RECORDED, PROCTOR_KNOWN_GOOD, _BAD"),
        Field("part_id", "u32", "the controller's own; it comes back with answer and result"),
        Field("serial", "text", f"serial number, UTF-8, {LONGEST_TEXT} bytes at most; may be empty"),
        Field("order", "text", "order or batch, likewise"),
    ),
)
ACCEPTED = Layout(
    "accepted",
    4,
    "runtime: the part gets exactly one result",
    (
        Field("acquisition_id", "u32", "1 and up"),
        Field("part_id", "u32", "of the trigger"),
    ),
)
REFUSED = Layout(
    "refused",
    5,
    "runtime: the part gets no result; reject it",
    (
        Field("part_id", "u32", "of the trigger"),
        Field("cause", "u32", "enum proctor_cause"),
        Field("reason", "reason", "a sentence"),
    ),
)
RESULT = Layout(
    "result",
    6,
    "runtime: the oldest result; the next one comes when it is acknowledged",
    (
        Field("inspection_id", "u32", "1 and up"),
        Field("acquisition_id", "u32", "of the part's trigger"),
        Field("part_id", "u32", "of the part"),
        Field("code", "u32", "enum proctor_code; the part passes with PROCTOR_CODE_OK alone"),
        Field("cause", "u32", "enum proctor_cause: why it is no pass"),
        Field("mode", "u32", "enum proctor_mode"),
        Field("score", "f64", "NaN where nothing was scored"),
        Field("threshold", "f64", "NaN where nothing was scored"),
        Field("triggered_ns", "u64", "CLOCK_MONOTONIC of this machine"),
        Field("finished_ns", "u64", "likewise"),
        Field("serial", "text", "of the part"),
        Field("order", "text", "of the part"),
        Field("reason", "reason", "a sentence"),
    ),
)
ACKNOWLEDGE = Layout(
    "acknowledge",
    7,
    "controller: it has the result",
    (
        Field("inspection_id", "u32", "of the result"),
        Field("code", "u32", "as the controller took it: PROCTOR_CODE_NO_DECISION for a pass that came too late"),
    ),
)
STATUS_REQUEST = Layout("status_request", 8, "controller: what are the registers?", (Field("reserved", "u32", "0"),))
STATUS = Layout(
    "status",
    9,
    "runtime: the answer, by the names of the register map",
    tuple(_status_field(register) for register in FROM_RUNTIME if register.kind != "bit"),
)
CLOSED = Layout(
    "closed",
    10,
    "runtime: its last word",
    (
        Field("why", "u32", "enum proctor_closing"),
        Field("reason", "reason", "a sentence"),
    ),
)
MESSAGES = (HELLO, WELCOME, TRIGGER, ACCEPTED, REFUSED, RESULT, ACKNOWLEDGE, STATUS_REQUEST, STATUS, CLOSED)
ENUMS = (Code, Cause, Mode, State, PixelFormat, Closing)
_BY_NUMBER = {layout.number: layout for layout in MESSAGES}


@dataclass(frozen=True)
class Message:
    """One that arrived, whole."""

    layout: Layout
    number: int
    values: dict[str, Any]


def pack(layout: Layout, values: Mapping[str, object], number: int = 0) -> bytes:
    """A message. A name without a value is 0; text that is too long ends earlier, at a whole character."""
    fields = [_packed(field, values.get(field.name, 0)) for field in layout.fields]
    header = (MAGIC, VERSION, layout.number, HEADER.size + layout.size, number)
    return HEADER.packer.pack(*header) + layout.packer.pack(*fields)


def unpack(data: bytes | bytearray | memoryview, exact: bool) -> Message:
    """The message in a packet. Raises `WireError` for anything else, `WrongVersion` for one of another version.

    `exact`, a body must have its size; otherwise it may be longer.
    """
    if len(data) < HEADER.size:
        raise WireError(f"{len(data)} bytes; a message has {HEADER.size} or more")
    magic, version, kind, size, number = HEADER.packer.unpack_from(data)
    if magic != MAGIC:
        raise WireError(f"it begins with {magic:#010x}; expected {MAGIC:#010x}")
    if version != VERSION:
        raise WrongVersion(f"version {version} of the protocol; expected {VERSION}")
    if size != len(data):
        raise WireError(f"it says that it has {size} bytes; {len(data)} came")
    layout = _BY_NUMBER.get(kind)
    if layout is None:
        raise WireError(f"type {kind}; expected {min(_BY_NUMBER)} to {max(_BY_NUMBER)}")
    body = size - HEADER.size
    if body < layout.size or (exact and body > layout.size):
        raise WireError(f"the body of {layout.name} has {body} bytes; expected {layout.size}")
    found = layout.packer.unpack_from(data, HEADER.size)
    values = {field.name: value for field, value in zip(layout.fields, found, strict=True)}
    return Message(layout, number, values)


def status_values(values: Mapping[str, object]) -> dict[str, object]:
    """The values of `registers.status_of` as `STATUS` has them: its bits in one word."""
    bits = [register for register in FROM_RUNTIME if register.bit is not None]
    word = sum(bool(values.get(register.name)) << (register.bit or 0) for register in bits)
    return {**values, "status": word}


def text_of(data: bytes) -> str | None:
    """The text in a field, up to its first 0; None where it has none, or is no UTF-8."""
    found, end, _ = data.partition(b"\0")
    try:
        return found.decode() if end else None
    except UnicodeDecodeError:
        return None


def _packed(field: Field, value: Any) -> Any:
    if field.kind == "f32":
        return as_f32(value)
    if field.kind not in ("text", "reason"):
        return value
    text = "" if value == 0 else str(value)
    return text.replace("\0", " ").encode()[: field.size - 1].decode(errors="ignore").encode()

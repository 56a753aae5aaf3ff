"""What the driver's process and its parent say to each other: fixed structs and JSON, never a pickle.

Two sockets of datagrams join them. On the one for pictures the child tells each picture, the memory they lie in, how
long it has been in the driver, and how it ended; the parent gives slots back. On the one for commands the parent asks
and the child answers, one question at a time.
"""

import json
import struct
from dataclasses import dataclass

PICTURE, BEAT, MEMORY, NEWS = b"P", b"B", b"M", b"N"  # the first byte on the socket for pictures
MOST_BYTES = 1 << 16  # of a message
BEAT_S = 0.25  # between signs of life

# kind, slot (-1: damaged), height, width, arrived (monotonic), arrived (wall clock), what is known, counter, camera_ns,
# drops so far
_PICTURE = struct.Struct("<ciIIddBQqQ")
_BEAT = struct.Struct("<cd")
_MEMORY = struct.Struct("<cQI")
_SLOT = struct.Struct("<I")
IS_SHOT, HAS_COUNTER, HAS_STAMP = 1, 2, 4


@dataclass(frozen=True)
class PictureMessage:
    """One picture: where its pixels lie, or why there are none."""

    slot: int | None  # of the shared memory, or None for a damaged picture
    height: int
    width: int
    drops: int  # pictures that the driver left out until now
    text: str = ""  # of a damaged picture its cause, of a whole one how the camera sent it
    times: tuple[float, float] | None = None  # monotonic and wall clock of a `Shot`; None for a bare picture
    counter: int | None = None
    camera_ns: int | None = None

    def packed(self) -> bytes:
        """As bytes."""
        known = IS_SHOT if self.times else 0
        known |= (self.counter is not None) * HAS_COUNTER | (self.camera_ns is not None) * HAS_STAMP
        head = _PICTURE.pack(
            PICTURE,
            -1 if self.slot is None else self.slot,
            self.height,
            self.width,
            *(self.times or (0.0, 0.0)),
            known,
            self.counter or 0,
            self.camera_ns or 0,
            self.drops,
        )
        return head + self.text.encode()[:4096]

    @classmethod
    def unpacked(cls, message: bytes) -> "PictureMessage":
        """From bytes."""
        fields = _PICTURE.unpack_from(message)
        _, slot, height, width, captured_s, captured_at, known, counter, camera_ns, drops = fields
        return cls(
            None if slot < 0 else slot,
            height,
            width,
            drops,
            message[_PICTURE.size :].decode(errors="replace"),
            (captured_s, captured_at) if known & IS_SHOT else None,
            counter if known & HAS_COUNTER else None,
            camera_ns if known & HAS_STAMP else None,
        )


def packed_beat(busy_s: float, call: str) -> bytes:
    """A sign of life: the driver has been in `call` for so long."""
    return _BEAT.pack(BEAT, busy_s) + call.encode()


def unpacked_beat(message: bytes) -> tuple[float, str]:
    """`packed_beat`'s arguments."""
    return float(_BEAT.unpack_from(message)[1]), message[_BEAT.size :].decode(errors="replace")


def packed_memory(slot_bytes: int, slots: int) -> bytes:
    """New shared memory, whose descriptor travels with the message."""
    return _MEMORY.pack(MEMORY, slot_bytes, slots)


def unpacked_memory(message: bytes) -> tuple[int, int]:
    """`packed_memory`'s arguments."""
    _, slot_bytes, slots = _MEMORY.unpack(message)
    return slot_bytes, slots


def packed_slot(slot: int) -> bytes:
    """A slot that is free again."""
    return _SLOT.pack(slot)


def unpacked_slot(message: bytes) -> int:
    """`packed_slot`'s argument."""
    return int(_SLOT.unpack(message)[0])


def packed_news(**fields: object) -> bytes:
    """What happens seldom, as JSON."""
    return NEWS + json.dumps(fields).encode()


def unpacked_news(message: bytes) -> dict[str, object]:
    """`packed_news`' arguments."""
    fields = json.loads(message[1:])
    assert isinstance(fields, dict)
    return fields

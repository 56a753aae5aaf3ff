"""H.264 and HEVC as they are sent: units, their kinds, and what may not stand in one that arrived whole.

Sections are those of ITU-T H.264 and H.265.
"""

import re
from collections.abc import Iterator

_START_CODE = re.compile(rb"\x00\x00\x01")
_FORBIDDEN = re.compile(rb"\x00\x00(?:[\x00-\x02]|\x03[^\x00-\x03])")  # 7.4.1: emulation prevention keeps it away


def length_size(extradata: bytes, hevc: bool) -> int:
    """How many bytes state a unit's length in this stream (MP4, Matroska); 0 where start codes separate units."""
    if len(extradata) < 7 or extradata[:3] in (b"\0\0\1", b"\0\0\0") or extradata[0] != 1:
        return 0
    return (extradata[21 if hevc and len(extradata) > 21 else 4] & 3) + 1


def units(data: bytes, length_bytes: int) -> Iterator[bytes]:
    """The units of one packet, each with its header. A last one that is shorter than it says comes as it is."""
    if length_bytes == 0:
        yield from _between_start_codes(data)
        return
    at = 0
    while at + length_bytes < len(data):
        end = at + length_bytes + int.from_bytes(data[at : at + length_bytes], "big")
        yield data[at + length_bytes : end]
        at = end


def is_cut(data: bytes, length_bytes: int) -> bool:
    """Whether the lengths in a packet do not add up to its own."""
    at = 0
    while length_bytes and at < len(data):
        at += length_bytes + int.from_bytes(data[at : at + length_bytes], "big")
    return at > len(data)


def is_damaged(unit: bytes) -> bool:
    """Whether a unit holds bytes that no encoder writes, such as a run of zeros."""
    return _FORBIDDEN.search(unit.rstrip(b"\0")) is not None


def parameter_sets(extradata: bytes, hevc: bool) -> Iterator[bytes]:
    """The units that a container keeps beside the packets, in either form."""
    if length_size(extradata, hevc) == 0:
        yield from _between_start_codes(extradata)
    elif not hevc:
        yield from _of_avc_configuration(extradata)


def _of_avc_configuration(data: bytes) -> Iterator[bytes]:
    """ISO/IEC 14496-15, 5.3.3.1: sequence parameter sets, then picture parameter sets."""
    at = 5
    for mask in (0x1F, 0xFF):
        count, at = data[at] & mask if at < len(data) else 0, at + 1
        for _ in range(count):
            size = int.from_bytes(data[at : at + 2], "big")
            yield data[at + 2 : at + 2 + size]
            at += 2 + size


def _between_start_codes(data: bytes) -> Iterator[bytes]:
    starts = [found.end() for found in _START_CODE.finditer(data)]
    for start, end in zip(starts, [*(at - 3 for at in starts[1:]), len(data)], strict=True):
        yield data[start:end].rstrip(b"\0")


class Bits:
    """Reads a unit's syntax elements from its payload, in order. Raises `IndexError` past its end."""

    def __init__(self, payload: bytes) -> None:
        """`payload` follows the unit's header; prevention bytes are still in it."""
        data = payload.replace(b"\0\0\3", b"\0\0")
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def u(self, count: int) -> int:
        """An unsigned number of `count` bits."""
        if count > self._left:
            raise IndexError("the unit ends early")
        self._left -= count
        return (self._value >> self._left) & ((1 << count) - 1)

    def ue(self) -> int:
        """An unsigned number in Exp-Golomb code (9.1)."""
        zeros = 0
        while self.u(1) == 0:
            zeros += 1
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self) -> int:
        """A signed number in Exp-Golomb code (9.1.1)."""
        code = self.ue()
        return (code + 1) // 2 if code % 2 else -(code // 2)

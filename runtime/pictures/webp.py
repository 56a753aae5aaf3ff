"""WebP, which carries no checksum, and whose decoder takes whatever it is given for a picture.

A decoder of an arithmetic or Huffman code that came out of step, by damage, ends at another byte than the encoder did.
So a sound stream must fail to decode when its last bytes are cut off, and one that still decodes is damaged.
"""

from collections.abc import Iterator
from typing import NamedTuple

from runtime.errors import DamagedImage, ImageError
from runtime.pictures.exif import orientation_in
from runtime.pictures.pixel_limit import refuse_above
from runtime.pictures.stored import TRUNCATED, Stored, decoded, refuse_several, refuse_transparent_in

_ALPHA = 0x10
# Bytes that decoding is never without: libwebp 1.6's encoder leaves up to 3 unread at the end of a VP8 partition and
# none at the end of a VP8L stream (measured on 4,000 files of three writers). An even number: chunks are padded.
_VP8_TAIL, _VP8L_TAIL = 6, 2
_SMALLEST = 32  # bytes of a file that OpenCV 5.0 looks at


class _Chunk(NamedTuple):
    name: bytes
    body: bytes


def is_webp(data: bytes) -> bool:
    """Whether `data` begins as a WebP file does."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def read_webp(data: bytes, limit: int) -> Stored:
    """Raises `DamagedImage` for sizes that do not fit and a stream that ends too early or too late, `ImageError` for
    an animation, above `limit` pixels and for transparent pixels."""
    chunks = list(_chunks(data))
    refuse_several(sum(chunk.name == b"ANMF" for chunk in chunks), "pictures (an animation)")
    names = [chunk.name for chunk in chunks]
    if not chunks or names[0] not in (b"VP8 ", b"VP8L", b"VP8X"):
        raise DamagedImage("it does not begin with a picture")
    refuse_above(limit, *_size(chunks[0]))
    by_name = {chunk.name: chunk.body for chunk in chunks}
    _check_streams(by_name)
    data = data.ljust(_SMALLEST, b"\0")
    try:
        pixels = decoded(data)
    except ImageError as error:
        raise DamagedImage("its pixels cannot be decoded") from error
    if b"VP8L" in names or (names[0] == b"VP8X" and chunks[0].body[0] & _ALPHA):
        refuse_transparent_in(data)
    return Stored(pixels, orientation_in(by_name.get(b"EXIF", b"")))


def _chunks(data: bytes) -> Iterator[_Chunk]:
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise DamagedImage(TRUNCATED)
    at = 12
    while at + 8 <= end:
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + length > end:
            raise DamagedImage("a chunk is longer than the file")
        yield _Chunk(data[at : at + 4], data[at + 8 : at + 8 + length])
        at += 8 + length + (length & 1)


def _size(first: _Chunk) -> tuple[int, int]:
    """Width and height, from the chunk that states them."""
    body = first.body
    if len(body) < (5 if first.name == b"VP8L" else 10):
        raise DamagedImage(TRUNCATED)
    if first.name == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if first.name == b"VP8L":
        packed = int.from_bytes(body[1:5], "little")
        return 1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF)
    return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF


def _check_streams(by_name: dict[bytes, bytes]) -> None:
    if b"VP8L" in by_name:
        body = by_name[b"VP8L"]
        shorter = [(b"VP8L", body[: -_VP8L_TAIL - (len(body) & 1)])]
    elif b"VP8 " in by_name and len(by_name[b"VP8 "]) > 10:
        shorter = [(b"VP8 ", body) for body in _shortened(by_name[b"VP8 "])]
    else:
        raise ImageError("holds no picture that can be decoded; re-save it as PNG or JPEG")
    if any(_decodes(name, body) for name, body in shorter):
        raise DamagedImage("its coded pixels do not end where the file does")


def _decodes(name: bytes, body: bytes) -> bool:
    chunk = name + len(body).to_bytes(4, "little") + body + b"\0" * (len(body) & 1)
    data = b"RIFF" + (4 + len(chunk)).to_bytes(4, "little") + b"WEBP" + chunk
    if len(data) < _SMALLEST:
        return False
    try:
        decoded(data)
    except ImageError:
        return False
    return True


def _shortened(body: bytes) -> Iterator[bytes]:
    """A VP8 frame as many times as it has partitions, each time without the end of one of them."""
    tag = int.from_bytes(body[:3], "little")
    modes = tag >> 5  # bytes of the first partition, which begins after 10 of header
    if 10 + modes > len(body):
        raise DamagedImage("a partition is longer than the file")
    count = _token_partitions(body[10 : 10 + modes])
    if modes > _VP8_TAIL:
        smaller = (tag & 0x1F | (modes - _VP8_TAIL) << 5).to_bytes(3, "little")
        yield smaller + body[3 : 10 + modes - _VP8_TAIL] + body[10 + modes :]
    table = 10 + modes
    sizes = [int.from_bytes(body[at : at + 3], "little") for at in range(table, table + 3 * (count - 1), 3)]
    at = table + 3 * (count - 1)
    sizes.append(len(body) - at - sum(sizes))
    if sizes[-1] < 0:
        raise DamagedImage("a partition is longer than the file")
    for index, size in enumerate(sizes):
        end, cut = at + size, _VP8_TAIL + (len(body) & 1)
        if size > cut:
            head = bytearray(body[: end - cut])
            if index < count - 1:
                head[table + 3 * index : table + 3 * index + 3] = (size - cut).to_bytes(3, "little")
            yield bytes(head) + body[end:]
        at = end


def _token_partitions(modes: bytes) -> int:
    """How many partitions of coefficients follow, as the header of the first one states (RFC 6386, 9.3 to 9.5)."""
    bits = _Bits(modes)
    bits.take(2)  # colour space, clamping
    if bits.take(1):  # segments
        has_map = bits.take(1)
        if bits.take(1):
            bits.take(1)
            bits.take_optional((8, 8, 8, 8, 7, 7, 7, 7))  # quantisers and filter levels, each with its sign
        if has_map:
            bits.take_optional((8, 8, 8))
    bits.take(10)  # filter: kind, level, sharpness
    if bits.take(1) and bits.take(1):
        bits.take_optional((7,) * 8)
    return 1 << bits.take(2)


class _Bits:
    """The arithmetic decoder of VP8 for bits of even odds (RFC 6386, 7.3), of which its header is made."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 2
        self._value, self._range, self._shifts = int.from_bytes(data[:2].ljust(2, b"\0"), "big"), 255, 0

    def take(self, count: int) -> int:
        """A number of `count` bits."""
        value = 0
        for _ in range(count):
            value = value << 1 | self._bit()
        return value

    def take_optional(self, counts: tuple[int, ...]) -> None:
        """Steps over numbers that a bit before each says are there."""
        for count in counts:
            if self._bit():
                self.take(count)

    def _bit(self) -> int:
        split = 1 + ((self._range - 1) >> 1)
        bit = int(self._value >= split << 8)
        if bit:
            self._value -= split << 8
        self._range = self._range - split if bit else split
        while self._range < 128:
            self._value, self._range, self._shifts = self._value << 1, self._range << 1, self._shifts + 1
            if self._shifts == 8:
                self._value |= self._data[self._at] if self._at < len(self._data) else 0
                self._shifts, self._at = 0, self._at + 1
        return bit

"""PNG: every chunk carries a checksum, and every one is checked."""

import struct
import zlib
from typing import NamedTuple

import cv2
import numpy as np

from runtime.errors import DamagedImage, ImageError
from runtime.pictures.exif import orientation_in
from runtime.pictures.pixel_limit import refuse_above
from runtime.pictures.stored import TRUNCATED, Stored, decoded, refuse_several, refuse_transparent_in

START = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB, _PALETTE, _GREY_ALPHA, _RGB_ALPHA = 0, 2, 3, 4, 6
_CHANNELS = {_GREY: 1, _RGB: 3, _PALETTE: 1, _GREY_ALPHA: 2, _RGB_ALPHA: 4}
_ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)  # x, y, steps
_OF_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_OUR_TRANSPARENCY = "has transparent pixels; flatten it onto a background first"


class _Chunk(NamedTuple):
    name: bytes
    body: bytes
    begin: int  # of the body in the file


class _Header(NamedTuple):
    width: int
    height: int
    bits: int
    colours: int
    interlaced: bool


def read_png(data: bytes, limit: int) -> Stored:
    """Raises `DamagedImage` for a wrong checksum, a missing end or too few pixels, `ImageError` for an animation, for
    transparent pixels by alpha or by tRNS, and above `limit` pixels."""
    header = _header(data)
    refuse_above(limit, header.width, header.height)
    chunks = _chunks(data)
    refuse_several(_pictures(chunks), "pictures (an animation)")
    _check_pixels(chunks, header)
    data = _bare(data, chunks)
    pixels = decoded(data)
    _refuse_transparent(data, chunks, header)
    by_name = {chunk.name: chunk.body for chunk in chunks}
    vouched = header.bits == 16 and bool(by_name.get(b"sBIT")) and set(by_name[b"sBIT"]) == {16}
    return Stored(pixels, orientation_in(by_name.get(b"eXIf", b"")), vouched)


def _header(data: bytes) -> _Header:
    if len(data) >= 16 and data[8:16] != b"\0\0\0\rIHDR":
        raise ImageError("is not an image that can be decoded; re-save it as PNG or JPEG")
    if len(data) < 33:
        raise DamagedImage(TRUNCATED)
    width, height, bits, colours, _, _, interlaced = struct.unpack(">IIBBBBB", data[16:29])
    if zlib.crc32(data[12:29]) != int.from_bytes(data[29:33], "big") or colours not in _CHANNELS or not width * height:
        raise DamagedImage("its header is not as it was written")
    return _Header(width, height, bits, colours, bool(interlaced))


def _chunks(data: bytes) -> list[_Chunk]:
    """All up to the end chunk; what follows it does not matter."""
    chunks, at, view = [], len(START), memoryview(data)
    while True:
        if at + 12 > len(data):
            raise DamagedImage(TRUNCATED)
        length, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 8 + length
        if end + 4 > len(data):
            # a length that was changed looks the same; a name that no writer uses tells it from a file cut short
            raise DamagedImage(TRUNCATED if name.isalpha() else "a chunk without a name")
        if zlib.crc32(view[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise DamagedImage(f"the checksum of its chunk {name.decode('ascii', 'backslashreplace')!r} does not match")
        chunks.append(_Chunk(name, data[at + 8 : end], at + 8))
        if name == b"IEND":
            return chunks
        at = end + 4


def _bare(data: bytes, chunks: list[_Chunk]) -> bytes:
    """The chunks of which pixels are made: of a colour profile that it dislikes, libpng would print a warning."""
    if all(chunk.name in _OF_PIXELS for chunk in chunks):
        return data
    kept = [data[chunk.begin - 8 : chunk.begin + len(chunk.body) + 4] for chunk in chunks if chunk.name in _OF_PIXELS]
    return START + b"".join(kept)


def _pictures(chunks: list[_Chunk]) -> int:
    """The frames of an animation, and its still picture where that is none of them. 1 for a plain PNG."""
    names = [chunk.name for chunk in chunks]
    if b"acTL" not in names or b"fcTL" not in names or b"IDAT" not in names:
        return 1
    return names.count(b"fcTL") + (names.index(b"fcTL") > names.index(b"IDAT"))


def _check_pixels(chunks: list[_Chunk], header: _Header) -> None:
    """Raises `DamagedImage` when a chunk between them was lost, or they give fewer rows than the header says."""
    names = [chunk.name for chunk in chunks]
    if b"IDAT" not in names:
        raise DamagedImage("it holds no pixels")
    first, count = names.index(b"IDAT"), names.count(b"IDAT")
    if names[first : first + count] != [b"IDAT"] * count:
        raise DamagedImage("its pixels are torn apart by another chunk")
    if header.colours == _PALETTE and b"PLTE" not in names[:first]:
        raise DamagedImage("its palette is missing")
    expected, inflate = _bytes_of_rows(header), zlib.decompressobj()
    try:
        rows = inflate.decompress(b"".join(chunk.body for chunk in chunks if chunk.name == b"IDAT"), expected)
        # one byte more than the rows: it never comes, and reaching the end compares zlib's own checksum
        more = inflate.decompress(inflate.unconsumed_tail, 1)
    except zlib.error as error:
        raise DamagedImage(str(error)) from error
    if len(rows) < expected or more or not inflate.eof:
        raise DamagedImage(f"its compressed pixels are {'more than its header states' if more else 'incomplete'}")


def _bytes_of_rows(header: _Header) -> int:
    """Each row is one byte for its filter and its samples, packed; interlaced pictures are seven of their own."""
    passes = _ADAM7 if header.interlaced else ((0, 0, 1, 1),)
    sizes = [(-(-(header.width - x) // dx), -(-(header.height - y) // dy)) for x, y, dx, dy in passes]
    bits = header.bits * _CHANNELS[header.colours]
    return sum(height * (1 + (width * bits + 7) // 8) for width, height in sizes if width > 0 and height > 0)


def _refuse_transparent(data: bytes, chunks: list[_Chunk], header: _Header) -> None:
    transparent = next((chunk.body for chunk in chunks if chunk.name == b"tRNS"), b"")
    if header.colours == _GREY and len(transparent) >= 2:
        _refuse_grey(data, int.from_bytes(transparent[:2], "big"), header.bits)
    elif transparent or header.colours in (_GREY_ALPHA, _RGB_ALPHA):
        refuse_transparent_in(data)


def _refuse_grey(data: bytes, value: int, bits: int) -> None:
    """OpenCV 5.0 leaves tRNS of grey pictures unread."""
    scaled = value if bits >= 8 else value * 255 // (2**bits - 1)
    if bool(np.any(decoded(data, cv2.IMREAD_UNCHANGED) == scaled)):
        raise ImageError(_OUR_TRANSPARENCY)

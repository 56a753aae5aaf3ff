"""BMP: the header decides where the colours of a pixel lie, and whether one of its bytes is alpha."""

import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.errors import DamagedImage, ImageError
from runtime.pictures.pixel_limit import refuse_above
from runtime.pictures.stored import TRUNCATED, Stored, decoded, refuse_transparent

_HEADERS = (12, 40, 52, 56, 64, 108, 124)  # OS/2 1, Windows 3, with 3 masks, with 4, OS/2 2, V4, V5
_PLAIN, _RLE8, _RLE4, _MASKS, _MORE_MASKS = 0, 1, 2, 3, 6
# the fourth byte is spare by the format's own words, and many writers put alpha there
_BGRA = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
_COMMON_MASKS = {16: ((0xF800, 0x7E0, 0x1F), (0x7C00, 0x3E0, 0x1F))}


class _Header(NamedTuple):
    size: int
    width: int
    height: int
    bits: int
    compression: int
    pixels: int


def is_bmp(data: bytes) -> bool:
    """Whether `data` begins as a BMP file does; ``BM`` alone may be the beginning of a text."""
    return data[:2] == b"BM" and (len(data) < 18 or int.from_bytes(data[14:18], "little") in _HEADERS)


def read_bmp(data: bytes, limit: int) -> Stored:
    """Raises `DamagedImage` for a file that is too short, `ImageError` above `limit` pixels, for transparent pixels and
    for masks that are no whole bytes."""
    if len(data) < 26 or len(data) < int.from_bytes(data[2:6], "little"):
        raise DamagedImage(TRUNCATED)
    header = _header(data)
    if header.width < 1 or not header.height:
        raise DamagedImage("its header states no size")
    refuse_above(limit, header.width, abs(header.height))
    row = (header.width * header.bits + 31) // 32 * 4
    coded = header.compression in (_RLE8, _RLE4)
    if not coded and header.pixels + row * abs(header.height) > len(data):
        raise DamagedImage(TRUNCATED)
    if header.compression == _PLAIN and header.bits == 32:
        return Stored(_by_masks(data, header, _BGRA))
    if header.compression not in (_MASKS, _MORE_MASKS):
        return Stored(decoded(data))
    masks = _masks(data, header)
    if header.bits == 32:
        return Stored(_by_masks(data, header, masks))
    if masks[:3] not in _COMMON_MASKS.get(header.bits, ()):
        raise ImageError(f"is a BMP of {header.bits} bits a pixel with masks of its own; re-save it as PNG")
    return Stored(decoded(data))


def _header(data: bytes) -> _Header:
    pixels, size = struct.unpack_from("<II", data, 10)
    if size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        return _Header(size, width, height, bits, _PLAIN, pixels)
    if len(data) < 54:
        raise DamagedImage(TRUNCATED)
    width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    return _Header(size, width, height, bits, compression, pixels)


def _masks(data: bytes, header: _Header) -> tuple[int, ...]:
    """Red, green, blue and alpha (0: none): in a header of 52 bytes or more, or right behind one of 40."""
    count = 4 if header.size >= 56 or header.compression == _MORE_MASKS else 3
    if len(data) < 54 + 4 * count:
        raise DamagedImage(TRUNCATED)
    return (*struct.unpack_from(f"<{count}I", data, 54), 0)[:4]


def _by_masks(data: bytes, header: _Header, masks: tuple[int, ...]) -> NDArray[np.uint8]:
    """OpenCV 5.0 takes the masks of some headers for pixels, and so loses a channel."""
    places = {0xFF << shift: shift // 8 for shift in (0, 8, 16, 24)}
    if any(mask not in places for mask in masks[:3]) or masks[3] not in (*places, 0):
        raise ImageError("is a BMP whose masks are no whole bytes; re-save it as PNG")
    shape = (abs(header.height), header.width, 4)
    pixels = np.frombuffer(data, np.uint8, shape[0] * shape[1] * 4, header.pixels).reshape(shape)
    upright = pixels if header.height < 0 else pixels[::-1]
    red, green, blue, alpha = masks
    if alpha and upright[:, :, places[alpha]].any():  # all zero: a writer that left the byte unused
        refuse_transparent(upright[:, :, places[alpha]])
    return np.ascontiguousarray(upright[:, :, [places[blue], places[green], places[red]]])

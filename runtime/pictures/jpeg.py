"""JPEG, decoded so that what libjpeg only warns of is an error.

libjpeg goes on after damage: it fills what is missing with grey, or with what the damage happens to mean, and prints a
line that nobody reads. A picture that a decoder had to guess at is no picture of the part.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from runtime.errors import DamagedImage, ImageError
from runtime.pictures.jpeg_zeros import has_zeroed_block
from runtime.pictures.pixel_limit import max_pixels, refuse_above

START = b"\xff\xd8"
_SCAN, _END = 0xDA, 0xD9
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15; between them DHT, JPG and DAC
_LOSSLESS = {0xC3, 0xC7, 0xCB, 0xCF}
_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers that no length follows
_HEADER_BYTES = 1 << 18  # looked through for the size of a further picture: profiles may come before it


class Segment(NamedTuple):
    """One marker before the first scan: its second byte, and where its content begins and ends."""

    marker: int
    begin: int
    end: int


def segments(data: bytes) -> Iterator[Segment]:
    """The segments of a JPEG from its start to the header of its first scan, that one included; no damage raises."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF or marker in _ALONE:
            at += 1 if marker == 0xFF else 2  # 0xFF may be repeated to fill up
            continue
        if marker == _END:
            return
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        yield Segment(marker, at + 4, end)
        if marker == _SCAN:
            return
        at = end


def decode_jpeg(data: bytes, limit: int | None = None) -> NDArray[np.uint8]:
    """One JPEG as uint8 [H, W, 3], BGR, pixels as they are stored: an EXIF orientation is not applied.

    `data` begins with the picture; what follows its end marker does not matter. The standard Huffman tables stand in
    for tables that are left out, as cameras leave them out of their streams. Equal to `cv2.imdecode` bit for bit.
    Raises `DamagedImage` for whatever libjpeg complains of and for a block of zeros among the pixels, and `ImageError`
    for what is no JPEG of 8 bits a channel, or has more than `limit` pixels (None: `max_pixels`), which is asked before
    decoding. Neither names a file.
    """
    if not data.startswith(START):
        raise ImageError(f"holds no JPEG: it begins with {data[:2].hex() or 'nothing'}, expected ffd8")
    width, height = _refuse_unreadable(data)
    refuse_above(max_pixels() if limit is None else limit, width, height)
    if has_zeroed_block(data):
        raise DamagedImage("a block of its pixels is zeros")
    try:
        return np.asarray(simplejpeg.decode_jpeg(data, "BGR", strict=True))
    except ValueError as error:
        if "subsampling" in str(error):  # libjpeg-turbo's interface knows seven of them, which are all that is common
            raise ImageError("is a JPEG of a colour sampling that cannot be read; re-save it as 4:2:0") from error
        raise DamagedImage(str(error)) from error


def _refuse_unreadable(data: bytes) -> tuple[int, int]:
    """Width and height. Refuses what libjpeg-turbo cannot decode to 8 bits, or would give wrong colours."""
    adobe = False
    for marker, begin, end in segments(data):
        adobe = adobe or (marker == 0xEE and data[begin : begin + 5] == b"Adobe")
        if marker in _FRAMES and end - begin >= 6 and end <= len(data):
            precision, channels = data[begin], data[begin + 5]
            if precision != 8 or marker in _LOSSLESS:
                kind = "lossless JPEG" if marker in _LOSSLESS else f"JPEG of {precision} bits a channel"
                raise ImageError(f"is a {kind}, which cannot be read; convert it to JPEG of 8 bits or to PNG")
            if channels not in (1, 3) and not adobe:
                # Adobe stores ink inverted and says so by its marker; without it the sense is anyone's guess
                raise ImageError(f"is a JPEG of {channels} channels of unknown meaning; convert it to RGB")
            return int.from_bytes(data[begin + 3 : begin + 5], "big"), int.from_bytes(
                data[begin + 1 : begin + 3], "big"
            )
        if marker == _SCAN:
            break
    raise DamagedImage("no frame header before the pixels")


def is_truncated(data: bytes) -> bool:
    """Whether no end marker follows the first scan. One before it belongs to an EXIF thumbnail, not to the picture."""
    return _end(data) < 0


def count_pictures(data: bytes) -> int:
    """How many pictures of the first one's size the data hold, one after another, as MPO files of two lenses do.

    Smaller ones after the first are previews and the gain maps of HDR photographs, made from the same view.
    """
    size, count, at = _size(data), 1, _end(data)
    while at >= 0:
        at = data.find(START + b"\xff", at)
        if at < 0:
            break
        count += _size(data[at : at + _HEADER_BYTES]) == size
        at += 2
    return count


def exif_of(data: bytes) -> bytes:
    """The content of the first EXIF segment; empty without one."""
    found = (data[begin:end] for marker, begin, end in segments(data) if marker == 0xE1)
    return next((body for body in found if body.startswith(b"Exif\0")), b"")


def _end(data: bytes) -> int:
    """Where the end marker lies that follows the header of the first scan; -1 without one."""
    scan = max((end for _, _, end in segments(data)), default=2)
    return data.find(bytes((0xFF, _END)), scan)


def _size(data: bytes) -> bytes:
    """Height and width, as the first frame header has them; empty without one."""
    return next((data[begin + 1 : begin + 5] for marker, begin, _ in segments(data) if marker in _FRAMES), b"")

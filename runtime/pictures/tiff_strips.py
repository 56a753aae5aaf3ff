"""Whether one strip or tile of a TIFF is what its coding says, told without (or beside) decoding its pixels.

Deflate carries a checksum, JPEG goes through the strict decoder, and LZW and PackBits must give exactly as many bytes
as the strip has. Values that were only replaced by others of their length stay unseen; so they do without compression.
"""

import zlib
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from runtime.errors import DamagedImage
from runtime.pictures.jpeg import decode_jpeg

_NONE, _LZW, _JPEG, _DEFLATE, _OLD_DEFLATE, _PACKBITS = 1, 5, 7, 8, 32946, 32773
CHECKED = (_NONE, _LZW, _JPEG, _DEFLATE, _OLD_DEFLATE, _PACKBITS)
_CLEAR, _LZW_END, _FIRST_CODE, _LAST_CODE = 256, 257, 258, 4095


@dataclass(frozen=True)
class Coding:
    """How the strips of one picture are coded. `row_bytes`: of one row of a strip or tile, decoded."""

    compression: int
    jpeg_tables: bytes
    row_bytes: int


def check_strip(strip: bytes, coding: Coding, rows: int, full_rows: int) -> None:
    """Raises `DamagedImage` unless `strip` decodes to `rows` rows, or to `full_rows`, as some writers fill the last."""
    allowed = {rows * coding.row_bytes, full_rows * coding.row_bytes}
    if coding.compression == _JPEG:
        _check_jpeg(strip, coding.jpeg_tables, rows)
        return
    lengths = {_NONE: len, _LZW: _lzw_length, _PACKBITS: _packbits_length}
    if coding.compression in lengths:
        length = lengths[coding.compression](strip)
        enough = coding.compression == _NONE and length >= min(allowed)
        if not enough and length not in allowed:
            raise DamagedImage(f"a strip holds {length} bytes of {min(allowed)}")
    else:
        _check_deflate(strip, allowed)


def _check_jpeg(strip: bytes, tables: bytes, rows: int) -> None:
    whole = tables[:-2] + strip[2:] if len(tables) > 4 else strip  # both begin with a start marker, tables end with one
    if decode_jpeg(whole).shape[0] < rows:
        raise DamagedImage(f"a strip holds fewer than {rows} rows")


def _check_deflate(strip: bytes, allowed: set[int]) -> None:
    inflate = zlib.decompressobj()
    try:
        length = len(inflate.decompress(strip, max(allowed) + 1))
        length += len(inflate.decompress(inflate.unconsumed_tail, 1))
    except zlib.error as error:
        raise DamagedImage(str(error)) from error
    if length not in allowed or not inflate.eof:
        raise DamagedImage(f"a strip holds {length} bytes of {min(allowed)}")


def _packbits_length(strip: bytes) -> int:
    """-1 when the last packet stops short."""
    at = length = 0
    while at < len(strip):
        code = strip[at]
        if code < 128:
            at += code + 2
            length += code + 1
        elif code > 128:
            at += 2
            length += 257 - code
        else:
            at += 1
    return length if at == len(strip) else -1


def _lzw_length(strip: bytes) -> int:
    """How many bytes the codes stand for, up to the end code or the end of the strip; -1 for an impossible code.

    A table is filled code by code between two clear codes, which fixes the width of each, so that a whole table's worth
    is taken apart at once.
    """
    content = np.frombuffer(strip + b"\0\0", np.uint8)
    at = length = 0
    while True:
        codes = _codes(content, at, 8 * len(strip) - at)
        stops = np.flatnonzero((codes == _CLEAR) | (codes == _LZW_END))
        count = int(stops[0]) if stops.size else len(codes)
        part = _length_between_clears(codes[:count])
        if part < 0:
            return -1
        length += part
        if not stops.size:
            return length if len(codes) < len(_widths_and_ends()[0]) else -1  # a table never cleared overflows
        if codes[count] == _LZW_END:
            return length
        at += int(_widths_and_ends()[1][count])


@cache
def _widths_and_ends() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bits of each code after a clear code, and where it ends. A width grows one entry before it must (TIFF 6.0)."""
    entries = _FIRST_CODE + np.arange(_LAST_CODE - _FIRST_CODE + 2)  # after each code, in the writer's table
    widths = np.full(len(entries), 9, np.int64)
    for last in (511, 1023, 2047):
        widths += entries > last
    return widths, np.cumsum(widths)


def _codes(content: NDArray[np.uint8], at: int, room: int) -> NDArray[np.int64]:
    """The whole codes in the `room` bits from bit `at` on, as many of them as one table can have."""
    widths, ends = _widths_and_ends()
    count = int(np.searchsorted(ends, room, side="right"))
    widths, begins = widths[:count], at + ends[:count] - widths[:count]
    first = begins >> 3
    window = sum(content[first + byte].astype(np.int64) << (16 - 8 * byte) for byte in range(3))
    return np.asarray((window >> (24 - widths - (begins & 7))) & ((1 << widths) - 1), np.int64)


def _length_between_clears(codes: NDArray[np.int64]) -> int:
    """Entry 258 + i of the table is the string of code i and one byte more, so that its length is that of the chain of
    entries below it. The chains are followed all at once, in steps that double."""
    refers = codes - _FIRST_CODE
    if np.any(refers >= np.arange(len(codes))):
        return -1
    lengths = np.ones(len(codes), np.int64)
    onward = np.flatnonzero(refers >= 0)
    while onward.size:
        below = refers[onward]
        lengths[onward] += lengths[below]
        refers[onward] = refers[below]
        onward = onward[refers[onward] >= 0]
    return int(lengths.sum())

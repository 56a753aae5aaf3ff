"""Zeros where the pixels of a JPEG should be, as after a write that never reached the disk.

libjpeg takes them for coefficients and often ends where it should. No encoder writes such a run: bits of zero stand for
the first symbol of each Huffman table, and unless these mean "as before" and "nothing more", 32 bytes of them are more
equal coefficients than a block can have, or a brightness that runs out of its range.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

_RUN = bytes(32)
_PROGRESSIVE, _TABLES, _SCAN, _END = 0xC2, 0xC4, 0xDA, 0xD9
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_AC = 0x10  # of a table's number, beside which stands its class
# the standard tables of ITU-T T.81, annex K, that stand in for tables left out
_STANDARD = {0x00: 0, 0x01: 0, 0x10: 1, 0x11: 0}


class _Scan(NamedTuple):
    """Where its coded bits lie, and the symbols that bits of zero stand for in the tables that it uses."""

    begin: int
    end: int
    symbols: set[int]
    first_coefficient: int
    refines: bool


def has_zeroed_block(data: bytes) -> bool:
    """Whether a JPEG has a run of zeros among its coded pixels that its tables make impossible."""
    if data.find(_RUN) < 0:
        return False
    return any(_is_impossible(scan) and data.find(_RUN, scan.begin, scan.end) >= 0 for scan in _scans(data))


def _is_impossible(scan: _Scan) -> bool:
    if scan.first_coefficient:  # progressive: a symbol of size 0 ends blocks, and plain bits of zero may follow it
        return all(symbol & 0x0F for symbol in scan.symbols)
    return not scan.refines and scan.symbols != {0}


def _scans(data: bytes) -> Iterator[_Scan]:
    firsts, progressive, at = dict(_STANDARD), False, 2
    while found := _MARKER.search(data, at):
        marker, begin = data[found.start() + 1], found.start() + 4
        end = begin - 2 + int.from_bytes(data[begin - 2 : begin], "big")
        if marker == _END or end > len(data):
            return
        progressive = progressive or marker == _PROGRESSIVE
        if marker == _TABLES:
            firsts |= _first_symbols(data[begin:end])
        if marker == _SCAN:
            yield _scan(data, begin, end, firsts, progressive)
        at = end


def _scan(data: bytes, begin: int, end: int, firsts: dict[int, int], progressive: bool) -> _Scan:
    following = _MARKER.search(data, end)
    count = data[begin] if begin < end else 0
    first, refines = (data[end - 3], bool(data[end - 1] >> 4)) if progressive and end - begin >= 3 else (0, False)
    used = set()
    for selector in data[begin + 2 : begin + 2 + 2 * count : 2]:
        if not first:
            used.add(firsts.get(selector >> 4, 0))
        if first or not progressive:
            used.add(firsts.get(_AC | selector & 0x0F, 0))
    return _Scan(end, following.start() if following else len(data), used, first, refines)


def _first_symbols(tables: bytes) -> dict[int, int]:
    """By class and number of each table in one segment."""
    found, at = {}, 0
    while at + 17 < len(tables):
        found[tables[at]] = tables[at + 17]
        at += 17 + sum(tables[at + 1 : at + 17])
    return found

"""Zeros where the pixels of a JPEG should be, as after a write that never reached the disk.

libjpeg takes them for coefficients and often ends where it should. No encoder writes such a run: bits of zero stand for
the first symbol of each Huffman table, and unless these mean "as before" and "nothing more", 32 bytes of them are more
equal coefficients than a block can have, or a brightness that runs out of its range.
"""

from collections.abc import Iterable

_RUN = bytes(32)
_BASELINE = (0xC0, 0xC1)
_TABLES, _SCAN = 0xC4, 0xDA


def has_zeroed_block(data: bytes, segments: Iterable[tuple[int, int, int]]) -> bool:
    """Whether a sequential JPEG has a run of zeros that its tables make impossible. `segments`: marker, begin and end
    of each up to the scan. False for a progressive one, whose scans may hold plain bits."""
    kinds, first_symbols, scan = set(), set(), len(data)
    for marker, begin, end in segments:
        kinds.add(marker)
        if marker == _TABLES:
            first_symbols |= _first_symbols(data[begin:end])
        if marker == _SCAN:
            scan = end
    if data.find(_RUN, scan, data.find(b"\xff\xd9", scan)) < 0 or not kinds.intersection(_BASELINE):
        return False
    return bool(first_symbols - {0}) or not first_symbols  # the standard tables: 0 is not the first of them all


def _first_symbols(tables: bytes) -> set[int]:
    """The symbol that bits of zero stand for, of each table in one segment."""
    found, at = set(), 0
    while at + 17 < len(tables):
        found.add(tables[at + 17])
        at += 17 + sum(tables[at + 1 : at + 17])
    return found

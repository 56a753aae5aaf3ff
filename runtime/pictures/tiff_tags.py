"""The tags of TIFF files and of EXIF data, which is TIFF without pixels: both byte orders, classic and BigTIFF."""

import struct
from dataclasses import dataclass

NEXT_LIMIT = 10_000  # pages; no real file comes near, and a chain that runs in a circle ends sooner
_SUB_IFDS = 330
_FORMATS = {1: "B", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_NOTES = {700, 34377, 34665, 34675, 37500, 37724}  # XMP, Photoshop, EXIF, colour profile, maker's notes: large, unread


class TagsError(Exception):
    """The data are no TIFF, or a tag lies outside them."""


@dataclass(frozen=True)
class Tags:
    """One directory: the whole numbers of each tag, and the bytes of opaque ones. Text and fractions are left out."""

    values: dict[int, tuple[int, ...]]

    def first(self, tag: int, default: int) -> int:
        """The first value of `tag`."""
        return self.values.get(tag, (default,))[0]

    def all(self, tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """All values of `tag`."""
        return self.values.get(tag, default)


@dataclass(frozen=True)
class _Layout:
    order: str
    big: bool

    def number(self, data: bytes, at: int, wide: bool = True) -> int:
        """An offset or count where `wide`, else the count of entries of a directory."""
        form = ("Q" if self.big else "I") if wide else ("Q" if self.big else "H")
        return int(struct.unpack_from(self.order + form, data, at)[0])


def byte_order(data: bytes) -> str:
    """``<`` or ``>``, as `struct` writes it. Raises `TagsError` when `data` is no TIFF."""
    if data[:4] in (b"II*\0", b"II+\0"):
        return "<"
    if data[:4] in (b"MM\0*", b"MM\0+"):
        return ">"
    raise TagsError("no TIFF header")


def read_tags(data: bytes) -> list[Tags]:
    """Every directory: those of the chain in their order, each followed by its sub-directories. At least one.

    Raises `TagsError` for data that are no TIFF, and for a directory or value that lies outside them.
    """
    layout = _Layout(byte_order(data), 43 in data[2:4])
    try:
        at = layout.number(data, 8 if layout.big else 4)
        pages = _chain(data, at, layout)
    except (struct.error, OverflowError) as error:
        raise TagsError("a tag lies outside the file") from error
    if not pages:
        raise TagsError("no directory")
    return pages


def _chain(data: bytes, at: int, layout: _Layout) -> list[Tags]:
    pages: list[Tags] = []
    seen: set[int] = set()
    pending = [at]
    while pending and len(seen) < NEXT_LIMIT:
        at = pending.pop()
        if at and at not in seen:
            seen.add(at)
            tags, following = _directory(data, at, layout)
            pages.append(tags)
            pending += [following, *reversed(tags.all(_SUB_IFDS))]  # the last one is taken next
    return pages


def _directory(data: bytes, at: int, layout: _Layout) -> tuple[Tags, int]:
    """The tags at `at`, and where the next directory lies (0: nowhere)."""
    count, start = layout.number(data, at, wide=False), at + (8 if layout.big else 2)
    size = 20 if layout.big else 12
    if start + count * size > len(data):
        raise TagsError("a directory lies outside the file")
    values, total = {}, 0
    for entry in range(start, start + count * size, size):
        tag, kind = struct.unpack_from(layout.order + "HH", data, entry)
        if kind in _FORMATS and tag not in _NOTES:
            values[int(tag)] = _values(data, entry, _FORMATS[kind], layout)
            total += len(values[int(tag)])
            if total > len(data):
                raise TagsError("its tags state more values than the file has bytes")
    return Tags({tag: numbers for tag, numbers in values.items() if numbers}), layout.number(data, start + count * size)


def _values(data: bytes, entry: int, form: str, layout: _Layout) -> tuple[int, ...]:
    count = layout.number(data, entry + 4)
    room, at = (8, entry + 12) if layout.big else (4, entry + 8)
    if count * struct.calcsize(form) > len(data):
        raise TagsError("a tag lies outside the file")
    if count * struct.calcsize(form) > room:
        at = layout.number(data, at)
    return struct.unpack_from(f"{layout.order}{count}{form}", data, at)

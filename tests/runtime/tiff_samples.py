"""TIFF files of any kind, written tag by tag."""

import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Values = Sequence[int]
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, ORIENTATION = 256, 257, 258, 259, 262, 274
SAMPLES, ROWS, PLANES, COLOUR_MAP, EXTRA, FORMAT = 277, 278, 284, 320, 338, 339


def tiff(pages: Sequence[tuple[dict[int, Values], Sequence[bytes]]], order: str = "<", big: bool = False) -> bytes:
    """A file of `pages`, each its tags and its strips (where they lie is filled in, unless tiles' tags are there)."""
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if big else 42)
    head += struct.pack(order + "HHQ", 8, 0, 0) if big else struct.pack(order + "I", 0)
    data, link = bytearray(head), 8 if big else 4
    for tags, strips in pages:
        offsets = []
        for strip in strips:
            offsets.append(len(data))
            data += strip + b"\0" * (len(strip) & 1)
        places = (324, 325) if 322 in tags else (273, 279)
        whole = {**tags, places[0]: offsets, places[1]: [len(strip) for strip in strips]}
        struct.pack_into(order + ("Q" if big else "I"), data, link, len(data))
        link = _append(data, whole, order, big)
    return bytes(data)


def _append(data: bytearray, tags: dict[int, Values], order: str, big: bool) -> int:
    """One directory; where the offset of the next one is to be written."""
    form, room, entry_bytes = ("Q", 8, 20) if big else ("I", 4, 12)
    count = struct.pack(order + ("Q" if big else "H"), len(tags))
    after = len(data) + len(count) + entry_bytes * len(tags) + room
    entries, lists = b"", b""
    for tag, values in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(values)}I", *values)
        if len(packed) > room:
            packed, lists = struct.pack(order + form, after + len(lists)), lists + packed
        entries += struct.pack(order + "HH" + form, tag, 4, len(values)) + packed.ljust(room, b"\0")
    data += count + entries + bytes(room) + lists
    return after - room


def page(
    pixels: NDArray[np.unsignedinteger],  # type: ignore[type-arg]
    photometric: int,
    order: str = "<",
    separate: bool = False,
    deflate: bool = False,
    rows: int = 0,
    **more: Values,
) -> tuple[dict[int, Values], list[bytes]]:
    """Tags and strips of [H, W] or [H, W, C] samples as they are stored; `more`: tags as ``t274=[6]``."""
    samples = pixels[:, :, None] if pixels.ndim == 2 else pixels
    height, width, channels = samples.shape
    planes = [samples[:, :, [channel]] for channel in range(channels)] if separate else [samples]
    step = rows or height
    deep = samples.dtype == np.uint16
    parts = [plane[at : at + step] for plane in planes for at in range(0, height, step)]
    strips = [part.astype(order + "u2" if deep else "u1").tobytes() for part in parts]
    tags: dict[int, Values] = {
        WIDTH: [width],
        HEIGHT: [height],
        BITS: [16 if deep else 8] * channels,
        COMPRESSION: [8 if deflate else 1],
        PHOTOMETRIC: [photometric],
        SAMPLES: [channels],
        ROWS: [step],
        PLANES: [2 if separate else 1],
        **{int(name[1:]): values for name, values in more.items()},
    }
    return tags, [zlib.compress(strip) for strip in strips] if deflate else strips

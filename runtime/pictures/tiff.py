"""TIFF: kinds that come out right are read, all others are refused by their tags.

libtiff goes on after damage, and OpenCV leaves several tags unread, so that a picture comes out negative or as noise.
Here the tags decide before anything is decoded, and every strip or tile is checked as far as its coding allows.
"""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.errors import DamagedImage, ImageError
from runtime.pictures.pixel_limit import refuse_above
from runtime.pictures.stored import Stored, decoded, refuse_several, refuse_transparent_in
from runtime.pictures.tiff_strips import CHECKED, Coding, check_strip
from runtime.pictures.tiff_tags import Tags, TagsError, byte_order, read_tags

STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_KIND, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _ORIENTATION = 254, 256, 257, 258, 259, 262, 274
_OFFSETS, _SAMPLES, _ROWS, _LENGTHS, _LARGEST, _PLANES, _PREDICTOR = 273, 277, 278, 279, 281, 284, 317
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_LENGTHS, _EXTRA, _FORMAT, _TABLES = 322, 323, 324, 325, 338, 339, 347
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
_JPEG = 7
_COLOURS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _YCBCR: 3}
_NAMES = {
    4: "a mask",
    5: "CMYK",
    8: "Lab",
    9: "Lab",
    10: "Lab",
    32803: "a camera's raw mosaic",
    34892: "linear raw",
    32844: "LogL",
    32845: "LogLuv",
}
_COMPRESSIONS = {2: "fax", 3: "fax", 4: "fax", 6: "old JPEG", 34712: "JPEG 2000", 34925: "LZMA", 50000: "Zstandard",
                 50001: "WebP", 34887: "LERC", 50002: "JPEG XL"}  # fmt: skip


@dataclass(frozen=True)
class _Page:
    """The one picture of a file: its size, its kind, and where its strips or tiles lie in the file."""

    tags: Tags
    width: int
    height: int
    bits: int
    samples: int
    photometric: int
    separate: bool
    strips: list[tuple[int, int]]
    block_hw: tuple[int, int]

    @property
    def extra(self) -> int:
        """Samples beyond the colours: alpha, or what only the writer knows."""
        return self.samples - _COLOURS[self.photometric]


def read_tiff(data: bytes, limit: int) -> Stored:
    """Upright. Raises `DamagedImage` where a strip is not what its coding says, `ImageError` for several pages, above
    `limit` pixels, for transparent pixels, and for kinds that do not come out right."""
    try:
        pages = read_tags(data)
    except TagsError as error:
        raise DamagedImage(str(error)) from error
    refuse_several(sum(not page.first(_KIND, 0) & 1 for page in pages), "pictures (pages)")
    if pages[0].first(_KIND, 0) & 1 and len(pages) > 1:
        raise ImageError("begins with a thumbnail, as raw files do; convert it to PNG")
    page = _page(pages[0], limit)
    _refuse_by_tag(page)
    _check(data, page)
    pixels = _pixels(data, page)
    if page.extra:
        refuse_transparent_in(data)
    vouched = page.bits == 16 and page.tags.first(_LARGEST, 0) == 65535
    return Stored(pixels, full_range=vouched)


def _page(tags: Tags, limit: int) -> _Page:
    width, height = tags.first(_WIDTH, 0), tags.first(_HEIGHT, 0)
    if width < 1 or height < 1:
        raise DamagedImage("its tags state no size")
    refuse_above(limit, width, height)
    tiled = bool(tags.all(_TILE_OFFSETS))
    if tiled:
        block_hw = tags.first(_TILE_HEIGHT, 0), tags.first(_TILE_WIDTH, 0)
    else:
        block_hw = min(tags.first(_ROWS, height), height), width
    if min(block_hw) < 1:
        raise DamagedImage("its strips or tiles have no size")
    offsets = tags.all(_TILE_OFFSETS if tiled else _OFFSETS)
    lengths = tags.all(_TILE_LENGTHS if tiled else _LENGTHS)
    if not offsets or len(offsets) != len(lengths):
        raise DamagedImage(f"it states {len(offsets)} strips or tiles and {len(lengths)} lengths")
    return _Page(
        tags,
        width,
        height,
        bits=tags.first(_BITS, 1),
        samples=tags.first(_SAMPLES, 1),
        photometric=tags.first(_PHOTOMETRIC, -1),
        separate=tags.first(_PLANES, 1) == 2 and tags.first(_SAMPLES, 1) > 1,
        strips=list(zip(offsets, lengths, strict=True)),
        block_hw=block_hw,
    )


def _refuse_by_tag(page: _Page) -> None:
    """Raises `ImageError` for a kind that OpenCV 5.0 gives wrong or not at all, or that nothing here can check."""
    compression = page.tags.first(_COMPRESSION, 1)
    if page.photometric not in _COLOURS:
        kind = _NAMES.get(page.photometric, f"colours of kind {page.photometric}")
    elif set(page.tags.all(_FORMAT, (1,))) != {1}:
        raise ImageError(f"holds {_sample_kind(page)} pixels; convert it to 8 or 16 bits a channel")
    elif len(set(page.tags.all(_BITS, (1,)))) > 1 or not _bits_fit(page):
        kind = f"{page.bits} bits a channel"
    elif compression not in CHECKED:
        kind = f"{_COMPRESSIONS.get(compression, f'compression {compression}')} inside"
    elif page.photometric == _YCBCR and compression != _JPEG:
        kind = "YCbCr colours"
    elif not 0 <= page.extra <= 1 or (page.extra and page.photometric != _RGB and page.bits != 8):
        kind = f"{page.samples} channels"
    elif page.extra and (page.separate or page.photometric == _PALETTE):
        kind = "an extra channel beside separate planes or a palette"
    else:
        return
    raise ImageError(f"is a TIFF of {kind}; convert it to 8 or 16 bits, grey or RGB")


def _sample_kind(page: _Page) -> str:
    formats = {2: "int", 3: "float"}
    return f"{formats.get(page.tags.first(_FORMAT, 1), 'complex')}{page.bits}"


def _bits_fit(page: _Page) -> bool:
    if page.photometric == _PALETTE:
        return page.bits in (4, 8)
    if page.photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO) and page.samples == 1 and page.bits == 1:
        return True
    return page.bits == 8 or (page.bits == 16 and page.photometric != _YCBCR)


def _check(data: bytes, page: _Page) -> None:
    """Every strip or tile: there, inside the file, and of the length that its coding must give."""
    tiled = bool(page.tags.all(_TILE_OFFSETS))
    rows, columns = page.block_hw
    down, across = -(-page.height // rows), -(-page.width // columns)
    planes = page.samples if page.separate else 1
    if len(page.strips) != down * across * planes:
        raise DamagedImage(f"it holds {len(page.strips)} strips or tiles of {down * across * planes}")
    row_bytes = (columns * page.bits * (1 if page.separate else page.samples) + 7) // 8
    coding = Coding(page.tags.first(_COMPRESSION, 1), bytes(page.tags.all(_TABLES)), row_bytes)
    for index, (offset, length) in enumerate(page.strips):
        last = index % (down * across) // across == down - 1
        left = page.height - (down - 1) * rows if last and not tiled else rows
        if offset + length > len(data) or not length:
            raise DamagedImage("truncated" if length else "a strip without content")
        check_strip(data[offset : offset + length], coding, left, rows)


def _pixels(data: bytes, page: _Page) -> NDArray[np.generic]:
    if page.bits == 16 and page.separate:
        red, green, blue = (decoded(_one_plane(data, page, plane))[:, :, 0] for plane in range(3))
        return np.dstack([blue, green, red])
    pixels = decoded(data)
    if page.bits == 16 and page.photometric == _WHITE_IS_ZERO:
        return np.asarray(np.iinfo(np.uint16).max - np.asarray(pixels, np.uint16))  # OpenCV 5.0 gives it negative
    return pixels


def _one_plane(data: bytes, page: _Page, plane: int) -> bytes:
    """A grey TIFF of one of several planes, which OpenCV 5.0 takes for one after another of each pixel."""
    count = len(page.strips) // page.samples
    strips = page.strips[plane * count : (plane + 1) * count]
    tiled = bool(page.tags.all(_TILE_OFFSETS))
    kept = (_WIDTH, _HEIGHT, _COMPRESSION, _ORIENTATION, _ROWS, _PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT)
    values: dict[int, tuple[int, ...]] = {tag: (page.tags.first(tag, 0),) for tag in kept if tag in page.tags.values}
    body, at, offsets = b"", 8, []
    for offset, length in strips:
        offsets.append(at + len(body))
        body += data[offset : offset + length] + b"\0" * (length & 1)
    values |= {_BITS: (page.bits,), _PHOTOMETRIC: (_BLACK_IS_ZERO,), _SAMPLES: (1,)}
    values[_TILE_OFFSETS if tiled else _OFFSETS] = tuple(offsets)
    values[_TILE_LENGTHS if tiled else _LENGTHS] = tuple(length for _, length in strips)
    return _written(byte_order(data), values, body)


def _written(order: str, values: dict[int, tuple[int, ...]], body: bytes) -> bytes:
    """A classic TIFF: header, `body` from byte 8 on, and one directory of 32-bit numbers."""
    at = 8 + len(body)
    after = at + 2 + 12 * len(values) + 4
    entries, lists = b"", b""
    for tag, numbers in sorted(values.items()):
        packed = struct.pack(f"{order}{len(numbers)}I", *numbers)
        if len(numbers) > 1:
            packed, lists = struct.pack(order + "I", after + len(lists)), lists + packed
        entries += struct.pack(order + "HHI", tag, 4, len(numbers)) + packed
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return b"".join(
        [magic, struct.pack(order + "I", at), body, struct.pack(order + "H", len(values)), entries, bytes(4), lists]
    )

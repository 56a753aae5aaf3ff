"""Pixels as an industrial camera sends them, made BGR of 8 bits: the one place where that is done.

A format is known by its code in the GenICam Pixel Format Naming Convention (PFNC), which every buffer carries; how
many bits a sample has follows from it and from nothing else. Of a sample with more than 8 bits the 8 highest are kept,
before colours are made, so that ``BayerRG8`` and ``BayerRG12`` of one scene are the same picture. Colours of a Bayer
pattern are OpenCV's bilinear ones.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from math import gcd

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.errors import ImageError, SetupError

Bytes = NDArray[np.uint8]
Unpack = Callable[[Bytes, int, int], Bytes]  # of rows [R, bytes], samples in a row, bits of a sample: [R, samples]
Colour = Callable[[Bytes, int, int], Bytes]  # of samples, height and width: [H, W, 3], BGR


@dataclass(frozen=True)
class PixelFormat:
    """How the pixels of one format lie in memory."""

    name: str  # in the PFNC
    bits: int  # of a sample
    unpack: Unpack  # the 8 highest bits of each sample
    colour: Colour
    planes: int = 1  # that follow each other, one sample of each pixel in each


def to_bgr(code: int, data: Bytes, height: int, width: int, row_padding: int = 0) -> Bytes:
    """A picture [H, W, 3], BGR, from the bytes of a buffer, uint8 [n], with `row_padding` unused bytes after each row.

    The picture owns its memory. Raises `SetupError` for a format that is not known, and `ImageError` for a buffer that
    is too short for its size, or a size that the format cannot have.
    """
    form = format_of(code)
    bits = width * height * bits_per_pixel(code)
    rows = height * form.planes
    if bits // max(rows, 1) % 8 and not row_padding:
        rows = 1  # a row whose last byte is not full shares it with the next row
    row_bytes = -(-bits // max(rows, 1) // 8)
    needed = rows * (row_bytes + row_padding)
    if min(height, width) < 1 or data.size < needed - row_padding:
        raise ImageError(f"{data.size:,} bytes arrived of the {needed:,} of {width}×{height} pixels in {form.name}")
    if data.size < needed:  # the last row may come without its padding
        data = np.concatenate([data, np.zeros(needed - data.size, np.uint8)])
    lines = data[:needed].reshape(rows, row_bytes + row_padding)[:, :row_bytes]
    samples = bits // BITS_IN_MEMORY.get(form.unpack, form.bits) // rows
    return form.colour(form.unpack(lines, samples, form.bits), height, width)


def format_of(code: int) -> PixelFormat:
    """The format with a PFNC code. Raises `SetupError` for one that is not known."""
    form = FORMATS.get(code)
    if form is None:
        raise SetupError(
            f"the camera sends pixels of a format that is not known, {code:#010x}; set one that is, such as Mono8, "
            f"BayerRG8 or RGB8: --camera-set PixelFormat=Mono8"
        )
    return form


def bits_per_pixel(code: int) -> int:
    """How much memory a pixel takes, which each PFNC code says."""
    return code >> 16 & 0xFF


def _bytes(rows: Bytes, samples: int, bits: int) -> Bytes:
    return rows[:, :samples]


def _words(rows: Bytes, samples: int, bits: int) -> Bytes:
    """Samples in 16 bits each, the lower ones first."""
    values = np.ascontiguousarray(rows).view("<u2")[:, :samples] >> (bits - 8)
    return np.asarray(values if bits == 16 else np.minimum(values, 255), np.uint8)


def _lsb(rows: Bytes, samples: int, bits: int) -> Bytes:
    """Samples behind each other without a gap, the lowest bit of the first one first: names that end with ``p``."""
    together = 8 // gcd(bits, 8)  # samples that fill whole bytes
    groups = _groups(rows, samples, together, together * bits // 8)
    out = np.empty((*groups.shape[:2], together), np.uint8)
    for place in range(together):
        byte, shift = divmod(place * bits + bits - 8, 8)
        out[:, :, place] = groups[:, :, byte]
        if shift:
            out[:, :, place] >>= shift
            out[:, :, place] |= groups[:, :, byte + 1] << (8 - shift)
    return out.reshape(len(rows), -1)[:, :samples]


def _gigevision(rows: Bytes, samples: int, bits: int) -> Bytes:
    """Two samples in three bytes, the one in the middle with the lower bits of both: names that end with ``Packed``."""
    groups = _groups(rows, samples, 2, 3)
    return groups[:, :, ::2].reshape(len(rows), -1)[:, :samples]


BITS_IN_MEMORY: dict[Unpack, int] = {_words: 16, _gigevision: 12}  # of one sample, where it has unused ones


def _groups(rows: Bytes, samples: int, together: int, size: int) -> Bytes:
    """Rows as [R, groups, `size` bytes]; the last group is filled with zeros."""
    missing = -(-samples // together) * size - rows.shape[1]
    if missing > 0:
        rows = np.pad(rows, ((0, 0), (0, missing)))
    return rows[:, : -(-samples // together) * size].reshape(len(rows), -1, size)


def _grey(samples: Bytes, height: int, width: int) -> Bytes:
    return _by_opencv(samples.reshape(height, width), cv2.COLOR_GRAY2BGR)


def _bayer(conversion: int) -> Colour:
    return lambda samples, height, width: _by_opencv(samples.reshape(height, width), conversion)


def _interleaved(channels: int, conversion: int | None) -> Colour:
    return lambda samples, height, width: _by_opencv(samples.reshape(height, width, channels), conversion)


def _by_opencv(samples: Bytes, conversion: int | None) -> Bytes:
    return samples.copy() if conversion is None else np.asarray(cv2.cvtColor(samples, conversion), np.uint8)


def _planar(samples: Bytes, height: int, width: int) -> Bytes:
    red, green, blue = samples.reshape(3, height, width)
    return np.stack([blue, green, red], axis=-1)


def _luma_chroma(order: str, pixels: int, red_weight: float, blue_weight: float, narrow: bool) -> Colour:
    """Luma and chroma, `pixels` of them sharing one pair of chroma samples.

    `order` names the samples of such a group: ``y`` each, ``b`` and ``r`` once. The formula follows from the weights of
    red and blue in the luma, as ITU-R BT.601 and BT.709 give them; `narrow`: luma in 16 to 235 and chroma in 16 to 240,
    else both in 0 to 255 (JFIF).
    """
    lumas = [place for place, sample in enumerate(order) if sample == "y"]
    matrix, offset = _matrix(red_weight, blue_weight, narrow)

    def colour(samples: Bytes, height: int, width: int) -> Bytes:
        if width % pixels:
            raise ImageError(f"the picture is {width} pixels wide; this format has a multiple of {pixels}: set Width")
        groups = samples.reshape(height, width // pixels, len(order))
        planes = np.empty((height, width // pixels, pixels, 3), np.float32)
        planes[..., 0] = groups[:, :, lumas]
        planes[..., 1] = groups[:, :, order.index("b"), None]
        planes[..., 2] = groups[:, :, order.index("r"), None]
        bgr = planes.reshape(height, width, 3) @ matrix + offset
        return np.asarray(np.clip(np.rint(bgr), 0, 255), np.uint8)

    return colour


def _matrix(red: float, blue: float, narrow: bool) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What (luma, chroma of blue, chroma of red) is multiplied with from the right, and what is added: BGR."""
    green = 1 - red - blue
    scales = np.array([255 / 219, 255 / 224, 255 / 224] if narrow else [1, 1, 1])
    rows = np.array(
        [
            [1, 1, 1],
            [2 * (1 - blue), -2 * blue * (1 - blue) / green, 0],
            [0, -2 * red * (1 - red) / green, 2 * (1 - red)],
        ]
    )
    matrix = rows * scales[:, None]
    zero = np.array([16 if narrow else 0, 128, 128])
    return matrix.astype(np.float32), (-zero @ matrix).astype(np.float32)


JFIF, BT601, BT709 = (0.299, 0.114, False), (0.299, 0.114, True), (0.2126, 0.0722, True)
# PFNC names the pattern by its first row, OpenCV's newer names by its first two
BAYER = {
    "GR": cv2.COLOR_BayerGRBG2BGR,
    "RG": cv2.COLOR_BayerRGGB2BGR,
    "GB": cv2.COLOR_BayerGBRG2BGR,
    "BG": cv2.COLOR_BayerBGGR2BGR,
}
INTERLEAVED = {"RGB": cv2.COLOR_RGB2BGR, "BGR": None}


def _mono_formats() -> Iterator[tuple[int, PixelFormat]]:
    yield 0x01080001, PixelFormat("Mono8", 8, _bytes, _grey)
    for bits, code in {10: 0x01100003, 12: 0x01100005, 14: 0x01100025, 16: 0x01100007}.items():
        yield code, PixelFormat(f"Mono{bits}", bits, _words, _grey)
    for bits, code in {10: 0x010A0046, 12: 0x010C0047, 14: 0x010E0104}.items():
        yield code, PixelFormat(f"Mono{bits}p", bits, _lsb, _grey)
    for bits, code in {10: 0x010C0004, 12: 0x010C0006}.items():
        yield code, PixelFormat(f"Mono{bits}Packed", bits, _gigevision, _grey)


def _bayer_formats() -> Iterator[tuple[int, PixelFormat]]:
    kinds: tuple[tuple[str, int, Unpack, dict[str, int]], ...] = (
        ("8", 8, _bytes, {"GR": 0x01080008, "RG": 0x01080009, "GB": 0x0108000A, "BG": 0x0108000B}),
        ("10", 10, _words, {"GR": 0x0110000C, "RG": 0x0110000D, "GB": 0x0110000E, "BG": 0x0110000F}),
        ("12", 12, _words, {"GR": 0x01100010, "RG": 0x01100011, "GB": 0x01100012, "BG": 0x01100013}),
        ("14", 14, _words, {"GR": 0x01100109, "RG": 0x0110010A, "GB": 0x0110010B, "BG": 0x0110010C}),
        ("16", 16, _words, {"GR": 0x0110002E, "RG": 0x0110002F, "GB": 0x01100030, "BG": 0x01100031}),
        ("10p", 10, _lsb, {"BG": 0x010A0052, "GB": 0x010A0054, "GR": 0x010A0056, "RG": 0x010A0058}),
        ("12p", 12, _lsb, {"BG": 0x010C0053, "GB": 0x010C0055, "GR": 0x010C0057, "RG": 0x010C0059}),
        ("14p", 14, _lsb, {"GR": 0x010E0105, "RG": 0x010E0106, "GB": 0x010E0107, "BG": 0x010E0108}),
        ("10Packed", 10, _gigevision, {"GR": 0x010C0026, "RG": 0x010C0027, "GB": 0x010C0028, "BG": 0x010C0029}),
        ("12Packed", 12, _gigevision, {"GR": 0x010C002A, "RG": 0x010C002B, "GB": 0x010C002C, "BG": 0x010C002D}),
    )
    for ending, bits, unpack, codes in kinds:
        for pattern, code in codes.items():
            yield code, PixelFormat(f"Bayer{pattern}{ending}", bits, unpack, _bayer(BAYER[pattern]))


def _rgb_formats() -> Iterator[tuple[int, PixelFormat]]:
    kinds: tuple[tuple[str, int, Unpack, dict[str, int]], ...] = (
        ("8", 8, _bytes, {"RGB": 0x02180014, "BGR": 0x02180015}),
        ("10", 10, _words, {"RGB": 0x02300018, "BGR": 0x02300019}),
        ("12", 12, _words, {"RGB": 0x0230001A, "BGR": 0x0230001B}),
        ("14", 14, _words, {"RGB": 0x0230005E, "BGR": 0x0230004A}),
        ("16", 16, _words, {"RGB": 0x02300033, "BGR": 0x0230004B}),
        ("10p", 10, _lsb, {"RGB": 0x021E005C, "BGR": 0x021E0048}),
        ("12p", 12, _lsb, {"RGB": 0x0224005D, "BGR": 0x02240049}),
    )
    for ending, bits, unpack, codes in kinds:
        for order, code in codes.items():
            yield code, PixelFormat(f"{order}{ending}", bits, unpack, _interleaved(3, INTERLEAVED[order]))
    yield 0x02200016, PixelFormat("RGBa8", 8, _bytes, _interleaved(4, cv2.COLOR_RGBA2BGR))
    yield 0x02200017, PixelFormat("BGRa8", 8, _bytes, _interleaved(4, cv2.COLOR_BGRA2BGR))
    yield 0x02180021, PixelFormat("RGB8_Planar", 8, _bytes, _planar, planes=3)
    for bits, code in {10: 0x02300022, 12: 0x02300023, 16: 0x02300024}.items():
        yield code, PixelFormat(f"RGB{bits}_Planar", bits, _words, _planar, planes=3)


def _yuv_formats() -> Iterator[tuple[int, PixelFormat]]:
    """``YUV`` and plain ``YCbCr`` are of full range in the PFNC, ``YCbCr601`` and ``YCbCr709`` of those standards'."""
    kinds: tuple[tuple[str, tuple[float, float, bool], tuple[tuple[str, int, str, int], ...]], ...] = (
        (
            "YUV",
            JFIF,
            (
                ("8_UYV", 1, "byr", 0x02180020),
                ("422_8_UYVY", 2, "byry", 0x0210001F),
                ("422_8", 2, "ybyr", 0x02100032),
                ("411_8_UYYVYY", 4, "byyryy", 0x020C001E),
            ),
        ),
        (
            "YCbCr",
            JFIF,
            (
                ("8", 1, "ybr", 0x0218005B),
                ("8_CbYCr", 1, "byr", 0x0218003A),
                ("422_8", 2, "ybyr", 0x0210003B),
                ("422_8_CbYCrY", 2, "byry", 0x02100043),
                ("411_8_CbYYCrYY", 4, "byyryy", 0x020C003C),
            ),
        ),
        (
            "YCbCr601_",
            BT601,
            (
                ("8_CbYCr", 1, "byr", 0x0218003D),
                ("422_8", 2, "ybyr", 0x0210003E),
                ("422_8_CbYCrY", 2, "byry", 0x02100044),
                ("411_8_CbYYCrYY", 4, "byyryy", 0x020C003F),
            ),
        ),
        (
            "YCbCr709_",
            BT709,
            (
                ("8_CbYCr", 1, "byr", 0x02180040),
                ("422_8", 2, "ybyr", 0x02100041),
                ("422_8_CbYCrY", 2, "byry", 0x02100045),
                ("411_8_CbYYCrYY", 4, "byyryy", 0x020C0042),
            ),
        ),
    )
    for family, (red, blue, narrow), layouts in kinds:
        for ending, pixels, order, code in layouts:
            yield code, PixelFormat(f"{family}{ending}", 8, _bytes, _luma_chroma(order, pixels, red, blue, narrow))


FORMATS = dict(chain(_mono_formats(), _bayer_formats(), _rgb_formats(), _yuv_formats()))  # by their PFNC codes

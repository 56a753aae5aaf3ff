"""Reading image files: whatever arrives becomes uint8 BGR, or one clear error that names the file.

Decoders are lenient: a truncated JPEG decodes to a picture with a grey lower half. On a line that is a part nobody
looked at, so files are checked for their end before they are decoded.
"""

import struct
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.errors import ImageError, InputError

_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"  # the last chunk, which is empty, with its checksum
SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


def list_images(folder: Path) -> list[Path]:
    """The image files directly in `folder`, sorted by name. Raises `InputError` when there is no folder or no image."""
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give a folder of images ({', '.join(SUFFIXES)})")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    if not paths:
        below = _folders_with_images(folder)
        advice = (
            f"give one of its folders that do: {', '.join(below)}"
            if below
            else f"expected files ending in {', '.join(SUFFIXES)}"
        )
        raise InputError(f"{folder} holds no images; {advice}")
    return paths


def _folders_with_images(folder: Path) -> list[str]:
    """Up to five, one level deeper or two."""
    below = sorted(path for pattern in ("*/", "*/*/") for path in folder.glob(pattern) if path.is_dir())
    with_images = (path for path in below if any(file.suffix.lower() in SUFFIXES for file in path.iterdir()))
    return [str(path) for path in islice(with_images, 5)]


def read_image(path: Path) -> NDArray[np.uint8]:
    """One image file as uint8 [H, W, 3], BGR, upright.

    Grey becomes BGR, the EXIF orientation is applied, 16-bit values are scaled from their full range. Raises
    `ImageError` for a file that is missing, damaged, truncated, has transparent pixels, or keeps fewer than 16 bits in
    16 (a 12-bit camera's raw values, which would come out nearly black).
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path} cannot be read ({error.strerror}); check the path and its permissions") from error
    if _is_truncated(data):
        raise ImageError(f"{path} is truncated; copy it again or remove it")
    buffer = np.frombuffer(data, np.uint8)
    image = _decoded(buffer, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH, path)
    if _may_be_transparent(data):
        _refuse_transparent(_decoded(buffer, cv2.IMREAD_UNCHANGED, path), path)
    if image.dtype == np.uint16:
        return _from_16_bits(image, path)
    if image.dtype != np.uint8:
        raise ImageError(f"{path} holds {image.dtype} pixels; convert it to 8 or 16 bits a channel")
    return image.astype(np.uint8, copy=False)


def _decoded(buffer: NDArray[np.uint8], flags: int, path: Path) -> NDArray[np.generic]:
    try:
        image = cv2.imdecode(buffer, flags) if buffer.size else None
    except cv2.error as error:
        raise ImageError(f"{path} cannot be decoded ({error.err}); re-save it as PNG or JPEG") from error
    if image is None:
        raise ImageError(f"{path} is not an image that can be decoded; re-save it as PNG or JPEG")
    return np.asarray(image)


def _from_16_bits(image: NDArray[np.generic], path: Path) -> NDArray[np.uint8]:
    brightest = int(np.asarray(image).max())
    if brightest < 4096:
        raise ImageError(
            f"{path} keeps {max(brightest, 1).bit_length()}-bit values in 16 bits; "
            "scale them to the full 16-bit range or save 8 bits"
        )
    return (np.asarray(image, np.float32) / 257 + 0.5).astype(np.uint8)


def _refuse_transparent(image: NDArray[np.generic], path: Path) -> None:
    if image.ndim == 3 and image.shape[2] == 4:
        alpha = np.asarray(image[:, :, 3])
        if alpha.min() < np.iinfo(alpha.dtype).max:
            raise ImageError(f"{path} has transparent pixels; flatten it onto a background first")


def _may_be_transparent(data: bytes) -> bool:
    if data.startswith(b"\x89PNG"):
        return len(data) > 25 and data[25] in (4, 6)  # IHDR colour type: grey or RGB with alpha
    if data[8:16] == b"WEBPVP8X":
        return bool(data[20] & 0x10)
    return data[8:16] == b"WEBPVP8L" or data[:4] in (b"II*\0", b"MM\0*")


def _is_truncated(data: bytes) -> bool:
    """Whether a JPEG, PNG, WebP or BMP file stops before its own end marker or stated length."""
    if data.startswith(b"\xff\xd8"):
        return b"\xff\xd9" not in data[_jpeg_scan_start(data) :]
    if data.startswith(b"\x89PNG"):
        return _PNG_END not in data
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return len(data) < 8 + int(struct.unpack_from("<I", data, 4)[0])
    if data[:2] == b"BM" and len(data) >= 6:
        return len(data) < int(struct.unpack_from("<I", data, 2)[0])
    return False


def _jpeg_scan_start(data: bytes) -> int:
    """Offset of the first scan: an end marker before it belongs to an EXIF thumbnail, not to the picture."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        at += 2 + int(struct.unpack_from(">H", data, at + 2)[0])
    return at

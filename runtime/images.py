"""Reading image files: whatever arrives becomes uint8 BGR, or one clear error that names the file.

Decoders are lenient: a truncated JPEG decodes to a picture with a grey lower half. On a line that is a part nobody
looked at, so each format is checked as far as it can be (pictures/README.md says how far that is).
"""

import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.errors import DamagedImage, ImageError
from runtime.pictures.bmp import read_bmp
from runtime.pictures.exif import orientation_in
from runtime.pictures.folder import list_images
from runtime.pictures.jpeg import count_pictures, decode_jpeg, exif_of, is_truncated
from runtime.pictures.kinds import SUFFIXES, is_picture, kind_of, unread_kind
from runtime.pictures.other_formats import read_other
from runtime.pictures.pixel_limit import max_pixels as default_max_pixels
from runtime.pictures.png import read_png
from runtime.pictures.stored import TRUNCATED, Stored, refuse_several
from runtime.pictures.tiff import read_tiff
from runtime.pictures.webp import read_webp

__all__ = ["SUFFIXES", "decode_image", "is_picture", "list_images", "read_image"]

_HALF_RANGE = 1 << 15
_LEFT_ALIGNED = 16  # 12 bits or fewer, moved up to the top of 16: all values are multiples of it
_EIGHT_BITS = 257  # 8 bits spread over 16: 0 stays 0, and 255 becomes 65535


def read_image(path: Path, max_pixels: int | None = None) -> NDArray[np.uint8]:
    """One image file as uint8 [H, W, 3], BGR, upright.

    The content decides, not the ending. Grey becomes BGR, the EXIF orientation is applied, 16-bit values are scaled
    from their full range. Raises `ImageError` for a file that is missing, damaged, truncated, has transparent pixels,
    holds several pictures, has more than `max_pixels` (None: `pixel_limit.max_pixels`), is of a kind that cannot be
    read right, or keeps fewer than 16 bits in 16 (a camera's raw values, which would come out nearly black): its
    brightest value is in the lower half, and neither does the file state 16 bits (sBIT, MaxSampleValue), nor are all
    values multiples of 16 or of 257, as scaled values are.
    """
    try:
        if stat.S_ISFIFO(path.stat().st_mode):  # opening it would wait for a writer
            raise ImageError(f"{path} is a pipe; give an image file")
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path} cannot be read ({error.strerror}); check the path and its permissions") from error
    try:
        return decode_image(data, max_pixels)
    except DamagedImage as error:
        state = TRUNCATED if error.reason == TRUNCATED else f"damaged ({error.reason})"
        raise ImageError(f"{path} is {state}; copy it again or remove it") from error
    except ImageError as error:
        raise ImageError(f"{path} {error}") from error


def decode_image(data: bytes, max_pixels: int | None = None) -> NDArray[np.uint8]:
    """The content of one image file, as `read_image` gives it. Raises `DamagedImage` where it is damaged or truncated
    and `ImageError` where it is refused for another reason; neither names a file."""
    stored = _stored(data, default_max_pixels() if max_pixels is None else max_pixels)
    return _turned(_as_8_bits(stored), stored.orientation)


def _stored(data: bytes, limit: int) -> Stored:
    kind = kind_of(data[:32])
    if kind:
        return _READERS[kind](data, limit)
    unread = unread_kind(data[:32])
    if unread == "a side file of macOS":
        raise ImageError(f"is {unread}, no picture; remove it")
    if unread:
        raise ImageError(f"is {unread}, which cannot be read; convert it to PNG or JPEG")
    if not any(data):
        raise ImageError(f"is {'full of zeros' if data else 'empty'}; copy it again or remove it")
    raise ImageError("is not an image that can be decoded; re-save it as PNG or JPEG")


def _read_jpeg(data: bytes, limit: int) -> Stored:
    if is_truncated(data):
        raise DamagedImage(TRUNCATED)
    pixels = decode_jpeg(data, limit)
    refuse_several(count_pictures(data))
    return Stored(pixels, orientation_in(exif_of(data)))


_READERS: dict[str, Callable[[bytes, int], Stored]] = {
    "jpeg": _read_jpeg,
    "png": read_png,
    "webp": read_webp,
    "tiff": read_tiff,
    "bmp": read_bmp,
    "other": read_other,
}


def _as_8_bits(stored: Stored) -> NDArray[np.uint8]:
    image = stored.pixels
    if image.dtype == np.uint8:
        return image.astype(np.uint8, copy=False)
    if image.dtype != np.uint16:
        raise ImageError(f"holds {image.dtype} pixels; convert it to 8 or 16 bits a channel")
    brightest = int(np.asarray(image).max())
    if brightest < _HALF_RANGE and not stored.full_range and not _is_scaled(np.asarray(image, np.uint16)):
        raise ImageError(
            f"keeps {brightest.bit_length()}-bit values in 16 bits; "
            "scale them to the full 16-bit range or save 8 bits (a picture that is only dark: save 8 bits)"
        )
    return (np.asarray(image, np.float32) / 257 + 0.5).astype(np.uint8)


def _is_scaled(image: NDArray[np.uint16]) -> bool:
    """Whether all values are those of fewer bits, moved or spread to the full range."""
    return any(not np.any(image % step) for step in (_LEFT_ALIGNED, _EIGHT_BITS))


def _turned(image: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Upright, of a picture stored in one of the eight ways of EXIF."""
    if orientation in (5, 6, 7, 8):
        image = np.swapaxes(image, 0, 1)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return np.ascontiguousarray(image)

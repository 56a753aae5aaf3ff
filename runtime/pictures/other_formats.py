"""Formats beyond the common five, which Pillow decodes and complains of when they are not whole."""

import io
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.errors import DamagedImage, ImageError
from runtime.pictures.exif import orientation_in
from runtime.pictures.pixel_limit import refuse_above
from runtime.pictures.stored import Stored, refuse_several, refuse_transparent

if TYPE_CHECKING:
    from PIL import Image  # 50 ms when it is first imported, and most lines never need it

FORMATS = ("AVIF", "GIF", "JPEG2000", "PCX", "PPM", "QOI", "SGI", "SUN")
_EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX")
_SIXTEEN_BITS = ("I;16", "I;16B", "I;16L")
# what Pillow's readers raise for content that they do not understand, each in its own way
_COMPLAINTS = (ArithmeticError, EOFError, LookupError, MemoryError, OSError, RuntimeError, SyntaxError, TypeError,
               ValueError, struct.error)  # fmt: skip
_LOCK = threading.Lock()


def read_other(data: bytes, limit: int) -> Stored:
    """One of `FORMATS`. Raises `DamagedImage` for what Pillow complains of, `ImageError` for a format that is none of
    them, for several pictures, above `limit` pixels, for transparent pixels, and for pixels of another kind."""
    from PIL import Image

    with _unlimited():
        try:
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        except _COMPLAINTS as error:
            raise ImageError("is not an image that can be decoded; re-save it as PNG or JPEG") from error
        refuse_above(limit, *image.size)
        try:
            refuse_several(int(getattr(image, "n_frames", 1)))
            return Stored(_pixels(image), orientation_in(bytes(image.info.get("exif", b""))))
        except _COMPLAINTS as error:
            raise DamagedImage(str(error) or type(error).__name__) from error


def _pixels(image: "Image.Image") -> NDArray[np.generic]:
    if image.mode in _SIXTEEN_BITS or (image.mode == "I" and image.format == "PPM"):
        deep = np.asarray(image).astype(np.uint16)
        return np.repeat(deep[:, :, None], 3, axis=2)
    if image.mode not in _EIGHT_BITS:
        raise ImageError(f"holds pixels of kind {image.mode}; convert it to 8 or 16 bits, grey or RGB")
    if image.has_transparency_data:
        with_alpha = np.asarray(image.convert("RGBA"))
        refuse_transparent(with_alpha[:, :, 3])
        return cv2.cvtColor(with_alpha, cv2.COLOR_RGBA2BGR)
    return cv2.cvtColor(np.asarray(image.convert("RGB")), cv2.COLOR_RGB2BGR)


@contextmanager
def _unlimited() -> Iterator[None]:
    """Pillow's own limit on pixels and its warnings stand aside: `refuse_above` asks before anything is decoded."""
    from PIL import Image

    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before

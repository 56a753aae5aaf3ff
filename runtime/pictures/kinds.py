"""Which files are pictures: told by the first bytes, and by the ending where those say nothing."""

import re
from pathlib import Path

from runtime.pictures import jpeg, png, tiff
from runtime.pictures.bmp import is_bmp
from runtime.pictures.webp import is_webp

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")  # that messages name
_READ_SUFFIXES = (*SUFFIXES, ".jfif", ".jpe", ".gif", ".avif", ".jp2", ".j2k", ".pgm", ".ppm", ".pbm", ".pnm", ".qoi")
# pictures that nothing here reads: they are listed all the same, so that each is refused by its name
_UNREAD_SUFFIXES = (".heic", ".heif", ".jxl", ".psd", ".exr", ".hdr", ".tga", ".dng", ".cr2", ".cr3", ".nef", ".arw")
_PICTURE_SUFFIXES = frozenset(_READ_SUFFIXES + _UNREAD_SUFFIXES)
_VIDEO_SUFFIXES = frozenset({".mjpg", ".mjpeg"})  # JPEGs one after another, so that the first bytes are those of one
_HEAD_BYTES = 32

_UNREAD = {
    b"8BPS": "Photoshop",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"v/1\x01": "OpenEXR",
    b"#?RADIANCE": "Radiance HDR",
    b"P7\n": "PAM",
}
_OTHERS = (
    b"GIF87a",
    b"GIF89a",
    b"\0\0\0\x0cjP  ",
    b"\xff\x4f\xff\x51",
    b"qoif",
    b"\n\x05\x01",
    b"\x59\xa6\x6a\x95",
    b"\x01\xda",
)
_BRANDS = {b"avif": "", b"avis": "", b"crx ": "a camera's raw file"}
_HEIF = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_APPLE_DOUBLE = (b"\0\x05\x16\x07", b"\0\x05\x16\0")


def is_picture(path: Path) -> bool:
    """Whether the file's ending or its first bytes are those of a picture, sound or not. It is opened only where the
    ending does not tell. False for what is no regular file, for side files of macOS, and for what cannot be read."""
    if path.name.startswith("._") or path.suffix.lower() in _VIDEO_SUFFIXES:
        return False
    try:
        if not path.is_file():
            return False
        return ends_as_picture(path) or begins_as_picture(_head(path))
    except OSError:
        return False


def ends_as_picture(path: Path) -> bool:
    """Whether the file's ending is that of a picture. Nothing is opened."""
    return path.suffix.lower() in _PICTURE_SUFFIXES


def begins_as_picture(head: bytes) -> bool:
    """Whether `head`, the first bytes of a file, are those of a picture."""
    return bool(kind_of(head)) or unread_kind(head) not in ("", "a side file of macOS")


def kind_of(head: bytes) -> str:
    """``jpeg``, ``png``, ``webp``, ``tiff``, ``bmp`` or ``other``; empty for what is not read."""
    if head.startswith(jpeg.START + b"\xff"):
        return "jpeg"
    if head.startswith(png.START):
        return "png"
    if head.startswith(tiff.STARTS):
        return "tiff"
    if is_webp(head):
        return "webp"
    if is_bmp(head):
        return "bmp"
    portable = re.match(rb"P[1-6][\s#]", head)
    brand = head[4:8] == b"ftyp" and _BRANDS.get(head[8:12]) == ""
    return "other" if portable or brand or head.startswith(_OTHERS) else ""


def unread_kind(head: bytes) -> str:
    """In words, what a file that begins so is, when it is known and not read; else empty."""
    if head.startswith(_APPLE_DOUBLE):
        return "a side file of macOS"
    if head[4:8] == b"ftyp":
        return "HEIC" if head[8:12] in _HEIF else _BRANDS.get(head[8:12], "")
    return next((name for start, name in _UNREAD.items() if head.startswith(start)), "")


def _head(path: Path) -> bytes:
    with path.open("rb", buffering=0) as file:
        return file.read(_HEAD_BYTES)

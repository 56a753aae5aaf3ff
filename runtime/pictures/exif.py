"""The orientation that EXIF data states."""

from runtime.pictures.tiff_tags import Tags, TagsError, read_tags

_ORIENTATION = 274
_PREFIX = b"Exif\0\0"


def orientation_in(exif: bytes) -> int:
    """1 to 8; 1 (upright) where the data are empty, damaged, or say nothing of it. Some writers put ``Exif\\0\\0``
    before the data in WebP and PNG too, where it does not belong."""
    if exif.startswith(_PREFIX):
        exif = exif[len(_PREFIX) :]
    try:
        return orientation_of(read_tags(exif)[0])
    except TagsError:
        return 1


def orientation_of(tags: Tags) -> int:
    """1 to 8, of the first page or of EXIF data."""
    value = tags.first(_ORIENTATION, 1)
    return value if 1 <= value <= 8 else 1

"""How many pixels a picture may have: asked of its header, before anything of that size is taken from memory."""

import os

from runtime.errors import ImageError, InputError

MAX_PIXELS = 100_000_000
VARIABLE = "PROCTOR_MAX_MEGAPIXELS"


def max_pixels() -> int:
    """The limit in force: `PROCTOR_MAX_MEGAPIXELS` of the environment, else 100 megapixels.

    Raises `InputError` when the variable is no positive number.
    """
    text = os.environ.get(VARIABLE, "")
    return pixels_of(text, VARIABLE) if text else MAX_PIXELS


def pixels_of(megapixels: str, name: str) -> int:
    """The limit that an option or variable called `name` states. Raises `InputError` unless it is above 0."""
    try:
        pixels = int(float(megapixels) * 1e6)
    except (ValueError, OverflowError):
        pixels = 0
    if pixels < 1:
        raise InputError(f"{name} is {megapixels!r}; expected a number of megapixels above 0, such as 100")
    return pixels


def refuse_above(limit: int, width: int, height: int) -> None:
    """Raises `ImageError`, with a reason that names no file, when `width` × `height` is above `limit` pixels."""
    if width * height > limit:
        raise ImageError(
            f"has {width}×{height} pixels, above the limit of {limit / 1e6:g} megapixels; "
            f"make it smaller, or raise the limit ({VARIABLE})"
        )

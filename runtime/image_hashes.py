"""Many images in a short text, by which a detector file says which pictures it knows.

The text has the first 16 hexadecimal digits of each image's SHA-256, sorted, one image behind the other. Of 10,000
images in a file and 10,000 others that are looked up, one is taken for another with a chance of 1 in 180 billion.
"""

import re
from collections.abc import Iterable

from runtime.errors import InputError

DIGITS = 16


def packed(hashes: Iterable[str]) -> str:
    """The text of images by their SHA-256 in hexadecimal, or by its first digits."""
    return "".join(sorted({each[:DIGITS] for each in hashes}))


def unpacked(text: str) -> frozenset[str]:
    """The first digits of each image of a text."""
    return frozenset(text[start : start + DIGITS] for start in range(0, len(text), DIGITS))


def check_packed(name: str, text: str) -> None:
    """Raise `InputError` for what `packed` does not write."""
    if not re.fullmatch("[0-9a-f]*", text) or len(text) % DIGITS or packed(unpacked(text)) != text:
        raise InputError(f"{name} is no list of images; expected {DIGITS} hexadecimal digits of each, in order")

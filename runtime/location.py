"""Where a detector is: a file's path, or the address of a server that has it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from runtime.arguments import as_text
from runtime.errors import InputError

MARK = "://"


@dataclass(frozen=True)
class Address:
    """A served detector, as it was given: ``triton://HOST:PORT/MODEL``."""

    text: str

    @property
    def scheme(self) -> str:
        """What stands before ``://``: the protocol, in lower case."""
        return self.text.partition(MARK)[0].lower()

    def __str__(self) -> str:
        return self.text


Location: TypeAlias = Path | Address


def as_location(name: str, value: object) -> Location:
    """`value`, a path or text, as a path or an address. Raises `InputError` as `as_text` does, and for an address that
    was made a path, which loses one of its slashes."""
    text = as_text(name, value)
    if isinstance(value, str) and MARK in text:
        return Address(text)
    if re.match(r"[a-z]{2,}:[/\\]", text):
        raise InputError(f"{name} is {text!r}, an address that was made a path; give it as text")
    return Path(text)

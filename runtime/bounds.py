"""What the fields of a detector file may be: one sentence for the first that is out of its bounds."""

import math
import re
from collections.abc import Mapping

from runtime.errors import InputError
from runtime.printable import printable

LONGEST = 70  # characters of a value in a sentence
LONGEST_SENTENCE = 400  # of what is wrong with a file: a document of a few bytes more holds a value of a million
DEEPEST = 8  # levels of lists and objects in a setting; the methods' own have two


def shown(value: object, longest: int = LONGEST) -> str:
    """A value from a file as a sentence shows it: what does not print is escaped, and what is long is cut."""
    text = value if isinstance(value, str) else str(value)
    return printable(text[:longest]) + ("…" if len(text) > longest else "")


def check_depth(name: str, value: object) -> None:
    """Raise `InputError` where lists and objects lie in each other deeper than any setting's do: whoever writes or
    compares them goes a step down for each level, and Python's steps are counted."""
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [each for inner in level for each in _members(inner)]
        if not level:
            return
    raise InputError(f"{name} are lists within lists of more than {DEEPEST} levels; expected {DEEPEST} at most")


def _members(value: object) -> list[object]:
    if isinstance(value, Mapping):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple) else []


def _finite(value: float) -> bool:
    """Whether a number is finite; an integer that no float holds counts as infinite."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _number(value: float) -> str:
    return f"{value:g}" if _finite(value) else shown(value)


def check_between(name: str, value: float | None, low: float = -math.inf, high: float = math.inf) -> None:
    """Raise `InputError` unless `value` is none, or finite and from `low` to `high`."""
    if value is None or (low <= value <= high and _finite(value)):
        return
    if not math.isfinite(low):
        raise InputError(f"{name} is {shown(value)}; expected a finite number")
    expected = f"{low:g} or more" if high == math.inf else f"{low:g} to {high:g}"
    raise InputError(f"{name} is {_number(value)}; expected {expected}")


def check_above_zero(name: str, value: float | None) -> None:
    """Raise `InputError` unless `value` is none, or finite and above 0."""
    if value is not None and not (value > 0 and _finite(value)):
        raise InputError(f"{name} is {_number(value)}; expected a finite number above 0")


def check_sha256(name: str, value: str) -> None:
    """Raise `InputError` unless `value` is a SHA-256 in hexadecimal."""
    if not re.fullmatch("[0-9a-f]{64}", value):
        raise InputError(f"{name} is {value[:70]!r}; expected 64 hexadecimal digits")

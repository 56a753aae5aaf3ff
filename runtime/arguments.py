"""What callers pass to the public functions, checked where it enters: one sentence at once, whatever it is."""

import math
import numbers
import os
from collections.abc import Mapping
from pathlib import Path

from runtime.errors import InputError

MOST_THREADS = 1024  # ONNX Runtime starts as many as it is told to
LONGEST_S = 1e6  # eleven days; the system's own waits overflow somewhere above


def as_path(name: str, value: object) -> Path:
    """`value`, text or a path, as a path. Raises `InputError` as `as_text` does."""
    return Path(as_text(name, value))


def as_text(name: str, value: object) -> str:
    """`value`, text or a path, as text. Raises `InputError` for anything else, and for what no file can be called."""
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str):
        raise InputError(f"{name} is {described(value)}; expected text or a pathlib.Path")
    try:
        readable = b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        readable = False
    if not readable:
        raise InputError(f"{name} is {text!r}, which no file can be called; check the path")
    return text


def as_whole_number(name: str, value: object, least: int, most: int) -> int:
    """`value` as an integer from `least` to `most`; one of NumPy's is one, text and truth values are none."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or not least <= int(value) <= most:
        raise InputError(f"{name} is {described(value)}; expected a whole number from {least:,} to {most:,}")
    return int(value)


def as_threads(value: object) -> int:
    """`value` as a number of threads."""
    return as_whole_number("threads", value, 1, MOST_THREADS)


def as_seconds(name: str, value: object) -> float:
    """`value` as a time to wait: a finite number of seconds, 0 or more."""
    seconds = as_number(name, value)
    if not 0 <= seconds <= LONGEST_S:
        raise InputError(f"{name} is {described(value)}; expected seconds from 0 to {LONGEST_S:,.0f}")
    return seconds


def as_number(name: str, value: object) -> float:
    """`value` as a finite float; one of NumPy's is one, text and truth values are none."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise InputError(f"{name} is {described(value)}; give a finite number")
    return float(value)


def given_options(options: Mapping[str, object]) -> dict[str, object]:
    """The options that were given: None stands for one that was not, as a caller's own default often is."""
    return {name: value for name, value in options.items() if value is not None}


def described(value: object) -> str:
    """A value as a message shows it: short, with its type where the two could be confused."""
    if value is None or isinstance(value, bool | int | float | str):
        text = repr(value)
        return text if len(text) <= 60 else f"{text[:57]}..."
    kind = type(value).__name__
    return f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"

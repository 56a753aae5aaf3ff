"""What the fields of a detector file may be: one sentence for the first that is out of its bounds."""

import math
import re

from runtime.errors import InputError


def check_between(name: str, value: float | None, low: float = -math.inf, high: float = math.inf) -> None:
    """Raise `InputError` unless `value` is none, or finite and from `low` to `high`."""
    if value is None or (low <= value <= high and math.isfinite(value)):
        return
    if not math.isfinite(low):
        raise InputError(f"{name} is {value}; expected a finite number")
    expected = f"{low:g} or more" if high == math.inf else f"{low:g} to {high:g}"
    raise InputError(f"{name} is {value:g}; expected {expected}")


def check_above_zero(name: str, value: float | None) -> None:
    """Raise `InputError` unless `value` is none, or finite and above 0."""
    if value is not None and not 0 < value < math.inf:
        raise InputError(f"{name} is {value:g}; expected a finite number above 0")


def check_sha256(name: str, value: str) -> None:
    """Raise `InputError` unless `value` is a SHA-256 in hexadecimal."""
    if not re.fullmatch("[0-9a-f]{64}", value):
        raise InputError(f"{name} is {value[:70]!r}; expected 64 hexadecimal digits")

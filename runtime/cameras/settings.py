"""Settings of a camera, by the names that its driver or its GenICam description gives them, as text."""

import numbers
import re
from collections.abc import Mapping, Sequence

from runtime.arguments import described
from runtime.errors import InputError

FORM = "NAME=VALUE, such as ExposureTime=2000"
# a GenICam feature that exists once for each entry of another: LineMode[LineSelector=Line2]
NAME = r"[^=\[\]\s]+(?:\[[^=\[\]]+=[^\[\]]+\])?"


def parse_settings(texts: Sequence[str], option: str = "--camera-set") -> dict[str, str]:
    """``NAME=VALUE`` texts as values by name, in their order. Raises `InputError` for another form or a double name."""
    found: dict[str, str] = {}
    for text in texts:
        match = re.fullmatch(rf"({NAME})=(.*)", text, re.DOTALL)
        if match is None:
            raise InputError(f"{option} is {text!r}; expected {FORM}")
        name, value = match[1], match[2].strip()
        if name in found:
            raise InputError(f"{option} gives {name} twice, {found[name]} and {value}; leave one out")
        found[name] = value
    return found


def as_settings(name: str, value: object) -> dict[str, str]:
    """`value` of a Python caller as settings: a mapping of names to texts, numbers or truth values.

    Raises `InputError` for anything else.
    """
    if not isinstance(value, Mapping):
        raise InputError(f"{name} is {described(value)}; expected a mapping, such as {{'ExposureTime': 2000}}")
    return {_name(name, key): _text(f"{name}[{key!r}]", each) for key, each in value.items()}


def _name(option: str, key: object) -> str:
    if not isinstance(key, str) or not re.fullmatch(NAME, key):
        raise InputError(f"{option} has the name {described(key)}; expected one such as 'ExposureTime'")
    return key


def _text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, numbers.Real):
        return str(value)
    raise InputError(f"{name} is {described(value)}; expected text, a number or a truth value")

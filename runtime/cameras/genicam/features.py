"""Settings of a camera: text made a feature's value, and what the camera refuses said with its range."""

import re
from collections.abc import Mapping
from difflib import get_close_matches

from runtime.cameras.genicam.device import Device, Feature, Value
from runtime.errors import SetupError, SourceError

TRUTH = {"true": True, "1": True, "on": True, "yes": True, "false": False, "0": False, "off": False, "no": False}
# a camera takes the nearest value that its clock can make
ROUNDING = 0.01


def apply(device: Device, settings: Mapping[str, str]) -> None:
    """Make the settings, in their order. ``LineMode[LineSelector=Line2]`` selects first, then sets.

    Raises `SetupError` for a feature that the camera lacks or that cannot be set, for a value out of its range, and for
    one that the camera did not take.
    """
    for name, text in settings.items():
        selected = re.fullmatch(r"([^\[]+)\[([^=]+)=([^\]]+)\]", name)
        if selected:
            name, selector, entry = selected[1], selected[2], selected[3]
            _set(device, selector, entry)
        _set(device, name, text)


def _set(device: Device, name: str, text: str) -> None:
    feature = device.feature(name)
    if feature is None:
        close = get_close_matches(name, device.names(), 3, 0.6)
        hint = f"; it has {', '.join(close)}" if close else ""
        raise SetupError(f"{device.shown} has no feature {name}, or not with its other settings{hint}")
    if feature.kind == "command":
        device.execute(name)
        return
    if not feature.writable:
        if str(feature.value).lower() == text.lower():
            return
        raise SetupError(
            f"{device.shown} does not let {name} be set now, it is {feature.value}; another setting may lock it, "
            f"give that one first"
        )
    value = value_of(device.shown, feature, text)
    try:
        device.write(feature, value)
    except SourceError as error:
        raise SetupError(
            f"{device.shown} refused {name}={text} ({error}); it has {described_range(feature)}"
        ) from error
    now = device.feature(name)
    if now is not None and not _equal(now.value, value):
        raise SetupError(f"{device.shown} made {name} {now.value} instead of {text}; it has {described_range(now)}")


def value_of(shown: str, feature: Feature, text: str) -> Value:
    """`text` as a value of the feature. Raises `SetupError` for what is none or out of its range."""
    value: Value | None
    try:
        if feature.kind == "integer":
            value = int(text, 0)
        elif feature.kind == "float":
            value = float(text)
        elif feature.kind == "boolean":
            value = TRUTH.get(text.lower())
        else:
            value = text if feature.kind == "string" or text in feature.entries else None
    except ValueError:
        value = None
    if value is None or not _in_range(feature, value):
        raise SetupError(f"{shown} takes no {feature.name}={text}; it has {described_range(feature)}")
    return value


def described_range(feature: Feature) -> str:
    """What a feature can be, in words."""
    if feature.kind == "enumeration":
        return ", ".join(feature.entries) or "no entries now"
    if feature.kind == "boolean":
        return "true and false"
    if feature.kind == "string":
        return "text"
    if feature.least is None or feature.most is None:
        return "whole numbers" if feature.kind == "integer" else "numbers"
    step = f" in steps of {feature.step:,.10g}" if feature.step and feature.step != 1 else ""
    return f"{feature.least:,.10g} to {feature.most:,.10g}{step}"


def _in_range(feature: Feature, value: Value) -> bool:
    if isinstance(value, str | bool):
        return True
    if feature.least is not None and value < feature.least:
        return False
    if feature.most is not None and value > feature.most:
        return False
    if feature.kind == "integer" and feature.step and feature.least is not None:
        return (value - feature.least) % feature.step == 0
    return value == value  # not a number


def _equal(now: Value | None, asked: Value) -> bool:
    if isinstance(now, float) and isinstance(asked, float):
        return abs(now - asked) <= ROUNDING * abs(asked) or abs(now - asked) < 1e-9
    return now is None or now == asked

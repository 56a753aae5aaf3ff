"""Frozen dataclasses from plain mappings (JSON, YAML, command lines), with every name and type checked."""

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from runtime.errors import InputError, OptionError

T = TypeVar("T")


def option(
    default: Any, help: str, choices: tuple[Any, ...] | None = None, short: str | None = None, form: str | None = None
) -> Any:
    """A dataclass field that is a YAML key and a command-line option at once.

    `short` is another name of the option; `form` says how a value is written where its type does not.
    """
    metadata = {"help": help, "choices": choices, "short": short, "form": form}
    return dataclasses.field(default=default, metadata=metadata)


def build(cls: type[T], values: Mapping[str, object]) -> T:
    """`cls` with `values` over its defaults; nested dataclasses are mappings, tuples are lists or comma-separated text.

    Raises `InputError` for missing names; `OptionError` for unknown names, wrong types, and values outside a field's
    ``choices`` metadata.
    """
    fields = {field.name: field for field in dataclasses.fields(typing.cast(Any, cls))}
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise OptionError(f"unknown option {', '.join(unknown)}; known are {', '.join(fields)}", unknown[0])
    missing = [name for name, field in fields.items() if name not in values and _is_required(field)]
    if missing:
        raise InputError(f"{', '.join(missing)} is missing")
    forms = {name: field.metadata.get("form") or type_name(hints[name]) for name, field in fields.items()}
    converted = {name: _converted(name, value, hints[name], forms[name]) for name, value in values.items()}
    for name, value in converted.items():
        choices = fields[name].metadata.get("choices")
        if choices and value not in choices:
            raise OptionError(f"{name} is {as_text(value)}; expected one of {', '.join(map(str, choices))}", name)
    return cls(**converted)


def type_name(hint: Any) -> str:
    """A type as a person would write it: INTEGER, NUMBER, TEXT, yes|no."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return "|".join("none" if arm is type(None) else type_name(arm) for arm in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return type_name(typing.get_args(hint)[0]) + ",…"
    if dataclasses.is_dataclass(hint):
        return ", ".join(field.name for field in dataclasses.fields(hint))
    return {bool: "yes|no", int: "INTEGER", float: "NUMBER", str: "TEXT"}.get(hint, str(hint))


def as_text(value: object) -> str:
    """A value as the command line takes it."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _converted(name: str, value: object, hint: Any, form: str) -> object:
    try:
        return _coerced(value, hint)
    except (TypeError, ValueError, OverflowError) as error:
        raise OptionError(f"{name} is {value!r}; expected {form}", name) from error


def _coerced(value: object, hint: Any) -> object:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        if value is None or value == "none":
            return None
        hint = _arm(value, [arm for arm in typing.get_args(hint) if arm is not type(None)])
    if typing.get_origin(hint) is tuple:
        return _as_tuple(value, typing.get_args(hint))
    if typing.get_origin(hint) is dict:
        _, item = typing.get_args(hint)
        return {str(k): _coerced(v, item) for k, v in dict(typing.cast(Any, value)).items()}
    if dataclasses.is_dataclass(hint):
        if isinstance(value, typing.cast(Any, hint)):
            return value
        if not isinstance(value, Mapping):
            raise TypeError
        return build(typing.cast(Any, hint), value)
    if hint is object:
        return value
    if hint is bool:
        return _as_bool(value)
    if isinstance(value, bool) or (hint is int and isinstance(value, float) and value != int(value)):
        raise ValueError
    if hint is str and not isinstance(value, str):
        raise TypeError
    if hint is float and not math.isfinite(float(typing.cast(Any, value))):
        raise ValueError
    return hint(value)


def _arm(value: object, arms: list[Any]) -> Any:
    """Which of the types of a union a value is to be: a dataclass for a mapping or one of its own, else the first."""
    of_fields = isinstance(value, Mapping) or dataclasses.is_dataclass(value)
    return next((arm for arm in arms if dataclasses.is_dataclass(arm) == of_fields), arms[0])


def _as_tuple(value: object, hints: tuple[Any, ...]) -> tuple[object, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        parts = [parts]
    if hints[-1] is Ellipsis:
        return tuple(_coerced(part, hints[0]) for part in parts)
    if len(parts) != len(hints):
        raise ValueError
    return tuple(_coerced(part, hint) for part, hint in zip(parts, hints, strict=True))


def _as_bool(value: object) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if str(value).lower() not in words:
        raise ValueError
    return words[str(value).lower()]

"""Configuration: one frozen dataclass per command, filled from its defaults, a YAML file, then the command line."""

import argparse
import dataclasses
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from runtime.errors import InputError

T = TypeVar("T")


def option(default: Any, help: str, choices: tuple[Any, ...] | None = None) -> Any:
    """A dataclass field that is a YAML key and a command-line option at once."""
    return dataclasses.field(default=default, metadata={"help": help, "choices": choices})


def add_options(parser: argparse.ArgumentParser, config: type[Any]) -> None:
    """One ``--option`` for each field of `config`, and ``--config`` for a YAML file of the same names.

    A default is shown in the help but not set: what the command line leaves out must not hide the file's value.
    """
    parser.add_argument("--config", type=Path, metavar="YAML", help="file of these options; the command line wins")
    hints = typing.get_type_hints(config)
    for field in dataclasses.fields(config):
        default = "" if field.default is None else f" (default: {_as_text(field.default)})"
        parser.add_argument(
            "--" + field.name.replace("_", "-"),
            dest=field.name,
            default=None,
            metavar=_type_name(hints[field.name]),
            help=field.metadata["help"] + default,
        )


def resolve(config: type[T], arguments: argparse.Namespace) -> T:
    """The configuration of a parsed command line: defaults, then ``--config``, then the options given."""
    given = {f.name: getattr(arguments, f.name) for f in dataclasses.fields(_as_dataclass(config))}
    overrides = {name: value for name, value in given.items() if value is not None}
    from_file = read_yaml(arguments.config) if arguments.config else {}
    return build(config, {**from_file, **overrides})


def build(config: type[T], values: Mapping[str, object]) -> T:
    """`config` with `values` over its defaults. Raises `InputError` for unknown names and for values of a wrong type."""
    hints = typing.get_type_hints(config)
    fields = {field.name: field for field in dataclasses.fields(_as_dataclass(config))}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise InputError(f"unknown option {', '.join(unknown)}; known are {', '.join(fields)}")
    converted = {name: _converted(name, value, hints[name]) for name, value in values.items()}
    for name, value in converted.items():
        choices = fields[name].metadata.get("choices")
        if choices and value not in choices:
            raise InputError(f"{name} is {_as_text(value)}; expected one of {', '.join(map(str, choices))}")
    return config(**converted)


def read_yaml(path: Path) -> dict[str, object]:
    """The mapping in a YAML file. Raises `InputError` when it cannot be read or is no mapping."""
    try:
        values = yaml.safe_load(path.read_text())
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} holds {type(values).__name__}, expected options as 'name: value' lines")
    return {str(name): value for name, value in values.items()}


def as_yaml(config: Any) -> str:
    """A configuration as the YAML text that `read_yaml` and `build` turn back into it."""
    values = {
        name: list(value) if isinstance(value, tuple) else value for name, value in dataclasses.asdict(config).items()
    }
    return yaml.safe_dump(values, sort_keys=False)


def _as_dataclass(config: type[Any]) -> Any:
    assert dataclasses.is_dataclass(config)
    return config


def _converted(name: str, value: object, hint: Any) -> object:
    try:
        return _coerced(value, hint)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is {value!r}; expected {_type_name(hint)}") from error


def _coerced(value: object, hint: Any) -> object:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        if value is None or value == "none":
            return None
        hint = next(arm for arm in typing.get_args(hint) if arm is not type(None))
    if typing.get_origin(hint) is tuple:
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, list | tuple):
            parts = [parts]
        return tuple(_coerced(part, typing.get_args(hint)[0]) for part in parts)
    if hint is bool:
        return _as_bool(value)
    if isinstance(value, bool) or (hint is int and isinstance(value, float) and value != int(value)):
        raise ValueError
    if hint is str and not isinstance(value, str):
        raise TypeError
    return hint(value)


def _as_bool(value: object) -> bool:
    if isinstance(value, bool):
        return value
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if str(value).lower() not in words:
        raise ValueError
    return words[str(value).lower()]


def _type_name(hint: Any) -> str:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return "|".join("none" if arm is type(None) else _type_name(arm) for arm in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return _type_name(typing.get_args(hint)[0]) + ",…"
    return {bool: "yes|no", int: "INTEGER", float: "NUMBER", str: "TEXT"}.get(hint, str(hint))


def _as_text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)

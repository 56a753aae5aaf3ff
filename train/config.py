"""Configuration: one frozen dataclass per command, filled from its defaults, a YAML file, then the command line."""

import argparse
import dataclasses
import typing
from pathlib import Path
from typing import Any, TypeVar

import yaml

from runtime.cli import some_path
from runtime.errors import InputError
from runtime.typed import as_text, build, type_name

T = TypeVar("T")


def option(default: Any, help: str, choices: tuple[Any, ...] | None = None) -> Any:
    """A dataclass field that is a YAML key and a command-line option at once."""
    return dataclasses.field(default=default, metadata={"help": help, "choices": choices})


def add_options(parser: argparse._ActionsContainer, config: type[Any], show_defaults: bool = True) -> None:
    """One ``--option`` for each field of `config`, and ``--config`` for a YAML file of the same names.

    A default is shown in the help but not set: what the command line leaves out must not hide the file's value.
    """
    parser.add_argument("--config", type=some_path, metavar="YAML", help="file of these options; the command line wins")
    hints = typing.get_type_hints(config)
    for field in dataclasses.fields(config):
        choices = field.metadata["choices"]
        shown = show_defaults and field.default not in (None, "")
        default = f" (default: {as_text(field.default)})" if shown else ""
        parser.add_argument(
            "--" + field.name.replace("_", "-"),
            dest=field.name,
            default=None,
            metavar="|".join(map(str, choices)) if choices else type_name(hints[field.name]),
            help=field.metadata["help"].replace("%", "%%") + default,
        )


def resolve(config: type[T], arguments: argparse.Namespace) -> T:
    """The configuration of a parsed command line: defaults, then ``--config``, then the options given."""
    return build(config, given_options(config, arguments))


def given_options(config: type[Any], arguments: argparse.Namespace) -> dict[str, object]:
    """What ``--config`` and the command line say, the latter first; defaults are left out."""
    given = {field.name: getattr(arguments, field.name) for field in dataclasses.fields(typing.cast(Any, config))}
    overrides = {name: value for name, value in given.items() if value is not None}
    from_file = read_yaml(arguments.config) if arguments.config else {}
    return {**from_file, **overrides}


def read_yaml(path: Path) -> dict[str, object]:
    """The mapping in a YAML file. Raises `InputError` when it cannot be read or is no mapping."""
    try:
        values = yaml.safe_load(path.read_text())
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} holds {type(values).__name__}, expected options as 'name: value' lines")
    return {str(name): value for name, value in values.items()}


def as_mapping(config: Any) -> dict[str, object]:
    """A configuration as plain YAML values: tuples become lists."""
    values = dataclasses.asdict(config)
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def as_yaml(config: Any) -> str:
    """A configuration as the YAML text that `read_yaml` and `build` turn back into it."""
    return yaml.safe_dump(as_mapping(config), sort_keys=False)

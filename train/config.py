"""Configuration: one frozen dataclass per command, filled from its defaults, a YAML file, then the command line.

A field that is a dataclass itself (`runtime.scoring.Scoring`) is a group: its fields are options like all others, so
that a group can be carried whole in the code and nobody has to know of it outside.
"""

import argparse
import dataclasses
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

import yaml

from runtime.cli import some_path
from runtime.errors import InputError
from runtime.interest import RegionsOfInterest
from runtime.typed import as_text, build, type_name
from train.regions import region_of_option
from train.yaml_file import read_yaml

T = TypeVar("T")

IN_OTHER_WORDS = {"side": "size_hw", "epochs": "steps"}  # the second one wins where one file or command line has both


def add_options(
    parser: argparse._ActionsContainer, config: type[Any], presets: Mapping[str, Mapping[str, object]] | None = None
) -> None:
    """One ``--option`` for each field of `config`, and ``--config`` for a YAML file of the same names.

    A default is shown in the help but not set: what the command line leaves out must not hide the file's value. Where
    the options of `presets`, by name, stand between the two, those are the defaults that are shown.
    """
    parser.add_argument("--config", type=some_path, metavar="YAML", help="file of these options; the command line wins")
    for name, option in options_of(config).items():
        parser.add_argument(
            *("--" + each.replace("_", "-") for each in (name, option.short) if each),
            dest=name,
            default=None,
            metavar="|".join(map(str, option.choices)) if option.choices else option.form or type_name(option.hint),
            help=(option.help + _defaults_shown(name, option.default, presets or {"": {}})).replace("%", "%%"),
        )


def _defaults_shown(name: str, default: object, presets: Mapping[str, Mapping[str, object]]) -> str:
    """The end of an option's help; nothing for a text that has to be given."""
    values = {preset: _in_words(options.get(name, default)) for preset, options in presets.items()}
    if len(set(values.values())) > 1:
        return f" ({'; '.join(f'{preset}: {value}' for preset, value in values.items())})"
    shown = next(iter(values.values()))
    return f" (default: {shown})" if shown else ""


def _in_words(value: object) -> str:
    """A value as the command line and YAML take it."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return as_text(tuple(value) if isinstance(value, list) else value)


@dataclasses.dataclass(frozen=True)
class Option:
    """An option of a configuration."""

    hint: Any
    default: Any
    help: str
    choices: tuple[Any, ...] | None
    short: str | None = None  # another name on the command line
    form: str | None = None  # how a value is written, where its type does not say it


def options_of(config: Any) -> dict[str, Option]:
    """All options of a configuration, a class, by name; those of a group stand in its place."""
    found: dict[str, Option] = {}
    hints = typing.get_type_hints(config)
    for field in dataclasses.fields(config):
        hint, about = hints[field.name], field.metadata
        if dataclasses.is_dataclass(hint):
            group = _default(field)
            inner = options_of(hint)
            found |= {name: dataclasses.replace(each, default=getattr(group, name)) for name, each in inner.items()}
        else:
            found[field.name] = Option(hint, field.default, **about)
    return found


def configured(config: type[T], values: Mapping[str, object]) -> T:
    """The configuration of options by name, over its defaults. Raises `InputError` as `runtime.typed.build`."""
    known = options_of(config)
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise InputError(f"unknown option {', '.join(unknown)}; known are {', '.join(known)}")
    grouped: dict[str, object] = dict(values)
    hints = typing.get_type_hints(config)
    for field in dataclasses.fields(typing.cast(Any, config)):
        if dataclasses.is_dataclass(hints[field.name]):
            group = as_mapping(_default(field))
            grouped[field.name] = {name: grouped.pop(name, value) for name, value in group.items()}
    return build(config, grouped)


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def resolve(config: type[T], arguments: argparse.Namespace) -> T:
    """The configuration of a parsed command line: defaults, then ``--config``, then the options given."""
    return configured(config, given_options(config, arguments))


def given_options(config: type[Any], arguments: argparse.Namespace) -> dict[str, object]:
    """What ``--config`` and the command line say, the latter first; defaults are left out.

    The file may be a run folder's own, which names its method too. A file of regions that is named is read now: a run
    folder holds what it says. Raises `InputError` for another method than that of `config`, and for such a file that
    cannot be used.
    """
    given = {name: getattr(arguments, name) for name in options_of(config)}
    overrides = {name: value for name, value in given.items() if value is not None}
    from_file = read_yaml(arguments.config) if arguments.config else {}
    expected = getattr(config, "METHOD", None)
    if expected is not None and (method := from_file.pop("method", expected)) != expected:
        raise InputError(f"{arguments.config} has options of the method {method}, not of {expected}; see --method")
    options = laid_over(from_file, overrides)
    if "region_of_interest" in options:
        options["region_of_interest"] = region_of_option(options["region_of_interest"])
    return options


def laid_over(below: Mapping[str, object], above: Mapping[str, object]) -> dict[str, object]:
    """Options by name, those `above` over those `below`.

    What says the same below in other words goes (`IN_OTHER_WORDS`): a side that is given would else be hidden by the
    size of a preset.
    """
    hidden = {other for name, other in IN_OTHER_WORDS.items() if name in above and other not in above}
    return {name: value for name, value in below.items() if name not in hidden} | dict(above)


def as_mapping(config: Any) -> dict[str, object]:
    """A configuration's options by name, as plain YAML values: tuples become lists."""
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    plain: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, RegionsOfInterest):  # one option, however much it holds
            plain[name] = value.document
        elif dataclasses.is_dataclass(value):
            plain |= as_mapping(value)
        else:
            plain[name] = list(value) if isinstance(value, tuple) else value
    return plain


def as_yaml(options: Mapping[str, object]) -> str:
    """Options as the YAML text that `read_yaml` reads."""
    return yaml.safe_dump(dict(options), sort_keys=False)

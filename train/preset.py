"""Presets: options that were chosen together for one purpose, each a YAML file in `presets/` that names its method."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.errors import InputError
from train.config import configured, laid_over
from train.method import METHODS, loaded
from train.run_folder import FIRST_METHOD
from train.yaml_file import read_yaml

FOLDER = Path(__file__).parent / "presets"
AUTO = "auto"
ON_CPU, ON_GPU = "edge", "accurate"  # what auto takes; of one method, so that it is known before a GPU is looked for
# what auto takes where another method than theirs is asked for
OF_METHOD = {FIRST_METHOD: "students", "backbone-students": "imitation"}
REPLACED = {"balanced": "accurate"}  # names of before, and what took their place


@dataclass(frozen=True)
class Preset:
    """A preset as it stands in its file."""

    name: str
    method: str
    options: dict[str, object]


def preset_names() -> list[str]:
    """The presets that come with the install."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def renamed(name: str) -> str:
    """Today's name of a preset; of a former one it is said."""
    if name in REPLACED:
        print(f"preset {name} is now {REPLACED[name]}; the old name goes with the next version")
    return REPLACED.get(name, name)


def read_preset(name: str) -> Preset:
    """A preset by its name, or the one that took the place of a former one, which is said.

    Raises `InputError` for a name that is none.
    """
    name = renamed(name)
    if name not in preset_names():
        raise InputError(f"preset {name!r} is none of {', '.join(preset_names())}")
    options = read_yaml(FOLDER / f"{name}.yaml")
    return Preset(name, str(options.pop("method")), options)


def presets_of(method: str) -> list[Preset]:
    """The presets of a method."""
    return [preset for preset in map(read_preset, preset_names()) if preset.method == method]


def method_of(preset: str, method: str | None) -> str:
    """The method that a preset, or ``auto``, and a method, or none, mean. Raises `InputError` where they differ."""
    of_preset = read_preset(ON_CPU if preset == AUTO else preset).method
    if method is not None and method != of_preset and preset != AUTO:
        raise InputError(f"preset {preset} is of the method {of_preset}, not of {method}; leave out one of both")
    return method or of_preset


def configuration(preset: str, method: str, over: Mapping[str, object]) -> Any:
    """The options of a method, a preset's with those `over` it.

    A side or epochs that are given there replace a preset's size or steps. Raises `InputError` for a preset of another
    method.
    """
    found = chosen(preset, method, str(over.get("device", AUTO)))
    if found.method != method:
        raise InputError(f"preset {preset} is of the method {found.method}, not of {method}; leave out one of both")
    return configured(loaded(METHODS[method].options), laid_over(found.options, over))


def chosen(preset: str, method: str, device: str = "auto") -> Preset:
    """The preset that is meant by its name; ``auto`` is one for the device, `device` or what it finds, or the method's.

    Raises `InputError` for a name that is none, and for a method that has no presets.
    """
    from train.device import resolve_device  # PyTorch: not before it is known that there is work

    if preset != AUTO:
        return read_preset(preset)
    if method in OF_METHOD:
        return read_preset(OF_METHOD[method])
    found = read_preset(ON_GPU if resolve_device(device) == "cuda" else ON_CPU)
    return found if found.method == method else Preset(AUTO, method, {})

"""``python -m runtime.adjust``: change in a finished detector file what the runtime decides by, and nothing else.

That is the threshold, and which regions above it count. The graph and its scores stay. A threshold set by hand has no
proof. What is proven of a fitted one is proven as if every region counted, and a smallest area can only make fewer
rejects: it stays proven.
"""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from runtime.arguments import as_number, as_path, described
from runtime.cli import program, run, some_path
from runtime.detector_file import read_detector, write_recipe
from runtime.engine_options import add_key_option
from runtime.errors import InputError
from runtime.info import smallest_region
from runtime.lock import only_one_changes
from runtime.recipe import Recipe
from runtime.scoring import RUNTIME

NAMES = {"threshold": "the threshold", "smallest_area": "--smallest-area", "mm_per_pixel": "--mm-per-pixel"}


class Change(NamedTuple):
    """The recipe that was in force, and the one that is."""

    before: Recipe
    after: Recipe


def main() -> None:
    """The command."""
    run_command("runtime.adjust", "--threshold")


def run_command(module: str, threshold: str) -> None:
    """Change a file as the command line says; `threshold` is the argument that has it, an option or a second word."""
    # argparse takes -1e-3 for an option; behind a blank it is a value, and the same number
    negative = {text for text in sys.argv[1:] if text.startswith("-") and _is_number(text)}
    parser = _parser(module, threshold)
    given = vars(parser.parse_args([f" {text}" if text in negative else text for text in sys.argv[1:]]))
    values = {name: _as_value(name, given[name]) for name in NAMES if given.get(name) is not None}
    change = adjust(given["file"], values, given["key_file"])
    print("\n".join(f"{given['file']}: {line}" for line in _told(change, values)))


def adjust(path: Path | str, values: Mapping[str, float | None], key_file: Path | str | None = None) -> Change:
    """Write `values` (of `threshold`, `smallest_area`, `mm_per_pixel`) into the detector file at `path`, whole or not
    at all; None, of `mm_per_pixel` alone, takes the scale out.

    The graph keeps its hash, so that a plan built from it stays valid, and takes the new values over where both lie
    side by side. Of a plan the sidecar is changed, and the detector.onnx beside it. `key_file` is for a signed plan.
    Raises `DetectorError` when `path` is no detector, `InputError` for values that cannot be used, for a file that
    cannot be written or that another process is writing, and what `adjusted` raises.
    """
    path = as_path("the detector", path)
    key_file = None if key_file is None else as_path("key_file", key_file)
    values = _checked(values)
    if path.suffix == ".plan":
        from runtime.tensorrt.plans import change_plan_recipe

        with only_one_changes(path), only_one_changes(path.with_suffix(".onnx")):
            return Change(*change_plan_recipe(path, lambda recipe: adjusted(recipe, values), key_file))
    if key_file is not None:
        raise InputError(f"--key-file is for a signed plan, and {path} is none; leave it out")
    with only_one_changes(path):
        model, recipe = read_detector(path)
        changed = adjusted(recipe, values)
        write_recipe(path, model, changed)
    return Change(recipe, changed)


def adjusted(recipe: Recipe, values: Mapping[str, float | None]) -> Recipe:
    """The same detector with other `values`, as `adjust` takes them.

    Raises `InputError` for values out of their bounds, for a scale that would change the unit of a smallest area that
    stays, and where nothing vouches for a threshold that stays: the hash that is written would.
    """
    settings: dict[str, Any] = {name: values[name] for name in RUNTIME if name in values}
    scoring = replace(recipe.scoring, **settings)
    unit_changes = (scoring.mm_per_pixel is None) != (recipe.scoring.mm_per_pixel is None)
    if unit_changes and scoring.smallest_area and "smallest_area" not in values:
        units = ("pixels", "mm²") if recipe.scoring.mm_per_pixel is None else ("mm²", "pixels")
        number = f"{scoring.smallest_area:g}"
        raise InputError(
            f"the smallest area is {number} {units[0]}, which would become {number} {units[1]}; "
            "give --smallest-area in the new unit too"
        )
    threshold = values.get("threshold")
    if threshold is not None:
        recipe = recipe.with_threshold(threshold)
    elif not recipe.threshold.vouched:
        raise InputError(
            "nothing vouches for the threshold in this file (it has no recipe_sha256), and a file that is written anew "
            "would; set the threshold too, or export the detector again"
        )
    return replace(recipe, scoring=scoring)


def _checked(values: Mapping[str, float | None]) -> dict[str, float | None]:
    if not values:
        raise InputError("nothing is to be changed; give a threshold, --smallest-area or --mm-per-pixel")
    checked: dict[str, float | None] = {}
    for name, value in values.items():
        if name not in NAMES:
            raise InputError(f"{described(name)} cannot be changed in a file; expected one of {', '.join(NAMES)}")
        no_scale = name == "mm_per_pixel" and value is None
        checked[name] = None if no_scale else as_number(NAMES[name], value)
    return checked


def _told(change: Change, values: Mapping[str, float | None]) -> list[str]:
    """What was changed, in words, and what that means for the proof."""
    old, new = change.before.threshold.value, change.after.threshold.value
    told = []
    if "threshold" in values:
        told.append(f"threshold {old:.6g} -> {new:.6g}, set by hand; no false-reject rate is proven for it")
    if values.keys() & set(RUNTIME):
        told.append(smallest_region(change.after.scoring))
        if "threshold" not in values:
            told.append(f"the threshold stays {new:.6g}, with what is proven of it as if every region counted")
    return told


def _as_value(name: str, text: str) -> float | None:
    if name == "mm_per_pixel" and text == "none":
        return None
    if not _is_number(text):
        or_none = ", or none" if name == "mm_per_pixel" else ""
        raise InputError(f"{NAMES[name]} is {text!r}; give a number, as in 2.5{or_none}")
    return float(text)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # Python would read 1_3 as 13


def _parser(module: str, threshold: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program(module), description="Change in a detector file what is rejected; its graph and scores stay."
    )
    parser.add_argument(
        "file", type=some_path, metavar="FILE", help="a detector.onnx or .plan; it is replaced by the changed one"
    )
    rejects = "parts that score above it are rejected"
    if threshold.startswith("-"):
        parser.add_argument(threshold, metavar="VALUE", help=rejects)
    else:
        parser.add_argument(threshold, metavar="VALUE", help=rejects, nargs="?")
    parser.add_argument(
        "--smallest-area",
        metavar="AREA",
        help="smaller regions do not reject a part: mm² where the scale is known, else pixels of the camera's picture",
    )
    parser.add_argument(
        "--mm-per-pixel", metavar="MM", help="side of a pixel of the camera's picture in mm; none: not known"
    )
    add_key_option(parser)
    return parser


if __name__ == "__main__":
    run(main)

"""``python -m runtime.set_threshold``: change the threshold in a detector file, and nothing else."""

import argparse
import sys
from pathlib import Path

from runtime.arguments import as_number, as_path
from runtime.cli import program, run, some_path
from runtime.detector_file import read_detector, write_recipe
from runtime.engine_options import add_key_option
from runtime.errors import InputError


def main() -> None:
    # argparse takes -1e-3 for an option; behind a blank it is a value, and the same number
    negative = {text for text in sys.argv[1:] if text.startswith("-") and _is_number(text)}
    arguments = _parser().parse_args([f" {text}" if text in negative else text for text in sys.argv[1:]])
    value = _as_threshold(arguments.value)
    old = set_threshold(arguments.file, value, arguments.key_file)
    print(f"{arguments.file}: threshold {old:.6g} -> {value:.6g}, set by hand; no false-reject rate is proven for it")


def set_threshold(path: Path | str, value: float, key_file: Path | str | None = None) -> float:
    """Write `value` into the detector file at `path`, whole or not at all, and return the threshold it had.

    The graph keeps its hash, so that a plan built from it stays valid, and takes the new threshold over where both lie
    side by side. Of a plan the sidecar is changed, and the detector.onnx beside it. `key_file` is for a signed plan.
    Raises `DetectorError` when `path` is no detector, `InputError` for a value that is not finite or a file that cannot
    be written.
    """
    path, value = as_path("the detector", path), as_number("the threshold", value)
    key_file = None if key_file is None else as_path("key_file", key_file)
    if path.suffix == ".plan":
        from runtime.tensorrt.plans import set_plan_threshold

        return set_plan_threshold(path, value, key_file)
    if key_file is not None:
        raise InputError(f"--key-file is for a signed plan, and {path} is none; leave it out")
    model, recipe = read_detector(path)
    write_recipe(path, model, recipe.with_threshold(value))
    return recipe.threshold.value


def _as_threshold(text: str) -> float:
    if not _is_number(text):
        raise InputError(f"the threshold is {text!r}; give a number, as in 2.5")
    return float(text)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # Python would read 1_3 as 13


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program("runtime.set_threshold"), description="Change the threshold in a detector file."
    )
    parser.add_argument(
        "file", type=some_path, metavar="FILE", help="a detector.onnx or .plan; it is replaced by the changed one"
    )
    parser.add_argument("value", metavar="VALUE", help="parts that score above it are rejected")
    add_key_option(parser)
    return parser


if __name__ == "__main__":
    run(main)

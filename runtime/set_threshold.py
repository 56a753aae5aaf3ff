"""``python -m runtime.set_threshold``: change the threshold in a detector file, and nothing else."""

import argparse
import math
from pathlib import Path

from runtime.atomic import write_atomically
from runtime.cli import run
from runtime.detector import read_detector
from runtime.errors import InputError
from runtime.onnx_file import read_metadata, with_metadata


def main() -> None:
    arguments = _parser().parse_args()
    value = _as_threshold(arguments.value)
    old = set_threshold(arguments.file, value)
    print(f"{arguments.file}: threshold {old:.6g} -> {value:.6g}, set by hand; no false-reject rate is proven for it")


def set_threshold(path: Path, value: float) -> float:
    """Write `value` into the detector file at `path`, whole or not at all, and return the threshold it had.

    The graph keeps its hash, so that a plan built from it stays valid. Raises `DetectorError` when `path` is no
    detector, `InputError` for a value that is not finite or a file that cannot be written.
    """
    if not math.isfinite(value):
        raise InputError(f"the threshold is {value}; give a finite number")
    model, recipe = read_detector(path)
    changed = recipe.with_threshold(value).to_json()
    write_atomically(path, with_metadata(model, read_metadata(model) | {"recipe": changed}))
    return recipe.threshold.value


def _as_threshold(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"the threshold is {text!r}; give a number, as in 2.5") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m runtime.set_threshold", description="Change the threshold in a detector file."
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="a detector.onnx; it is replaced by the changed one")
    parser.add_argument("value", metavar="VALUE", help="parts that score above it are rejected")
    return parser


if __name__ == "__main__":
    run(main)

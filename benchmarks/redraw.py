"""A plot drawn again from the JSON that a benchmark wrote: what the commands share that do only this."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.cli import some_path
from runtime.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def redraw(module: str, draw: "Callable[[dict[str, Any]], Figure]") -> None:
    """The command ``python -m MODULE RESULT --out FILE``. Raises `InputError` for a file that is no JSON."""
    benchmark = module.rpartition(".")[0]
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=f"Plot a result of {benchmark} again.")
    parser.add_argument("result", type=some_path, help=f"what {benchmark} wrote with --json")
    parser.add_argument("--out", type=some_path, required=True, help="plot to write, .svg or .png")
    arguments = parser.parse_args()

    from benchmarks.plots import save

    save(draw(read_result(arguments.result)), arguments.out)
    print(f"{arguments.out} written")


def read_result(path: Path) -> dict[str, Any]:
    """What a benchmark wrote. Raises `InputError` for a file that is no JSON, or no object of JSON."""
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON ({error}); check the path") from error
    if not isinstance(document, dict):
        raise InputError(f"{path} holds a {type(document).__name__}; expected the object that a benchmark writes")
    return document

"""The accuracy of all methods on all categories: the paper's Tables 1 and 3.

::

    python -m benchmarks.table DATA… --out FOLDER [--methods ours,1-nn,patchcore] [--seeds 0,1,2] [--subset odd]
        [--layout NAME] [--teachers p17,p33,p65] [--students 1,3,5] [--size 256,256] [--set METHOD.OPTION=VALUE]…

DATA are test sets in any layout; of one without masks there are image-level figures only. Every method is fitted on the
same prepared good images and judged by the same figures at the size of the masks: AU-PRO up to 30 % false-positive
pixels (the paper's), image AUROC, overall and by defect, pixel AUROC. ``ours`` is a row for each teacher (the default:
the paper's three scales), for all of them together (multi-scale) if there are several, and for each number of students.
Each cell is a file below FOLDER/cells, so that the same command goes on after an interruption, and a changed option
computes only what depends on it. Writes FOLDER/table.md, .csv and figures.
"""

import argparse
import math
from collections.abc import Sequence
from typing import Any

from benchmarks.methods.registry import METHODS, entry
from benchmarks.options import add_layout_option, add_method_options, add_subset_option, assignments, integers
from runtime import cli
from runtime.errors import InputError

TEACHERS = "p17,p33,p65"  # the paper's three scales
LARGEST_SIDE = 4096  # of prepared frames, pixels
NOT_BY_DEFAULT = ("ocgan", "detector")  # small images only; needs a file


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    options = _parser().parse_args(arguments)
    methods, seeds = options.methods.split(","), integers("--seeds", options.seeds, 0)
    size_hw = integers("--size", options.size, 1)
    if len(size_hw) != 2 or max(size_hw) > LARGEST_SIDE:
        raise InputError(
            f"--size is {options.size}; expected height,width in pixels, {LARGEST_SIDE} at most, such as 256,256"
        )
    if not 0 <= options.features_gib * 2**30 < math.inf:
        raise InputError(f"--features-gib is {options.features_gib}; expected gibibytes, 0 or more")
    over = assignments(options.set or [])
    for name in [*methods, *over]:
        entry(name)  # a name that is none is refused before torch is loaded

    from benchmarks.table.run import run

    print(run(options, methods, seeds, (size_hw[0], size_hw[1]), over))


def _parser() -> argparse.ArgumentParser:
    parser: Any = argparse.ArgumentParser(
        prog=cli.program("benchmarks.table"),
        description="Compare methods on test sets, as the paper's Tables 1 and 3 do.",
    )
    default = ",".join(name for name in METHODS if name not in NOT_BY_DEFAULT)
    parser.add_argument("data", type=cli.some_path, nargs="+", help="test sets, in any layout")
    add_layout_option(parser)
    parser.add_argument("--out", type=cli.some_path, required=True, help="folder of cells, table and figures")
    parser.add_argument("--methods", default=default, help=f"comma-separated, of {', '.join(METHODS)} ({default})")
    parser.add_argument("--seeds", default="0", help="comma-separated; methods without a random part take the first")
    add_subset_option(parser, "all")
    parser.add_argument("--size", default="256,256", metavar="H,W", help="prepared frames, pixels (256,256)")
    parser.add_argument(
        "--teacher", default="p33", help="of the methods over descriptors: a shipped one or a file (p33)"
    )
    parser.add_argument(
        "--teachers", default=TEACHERS, help=f"of ours, comma-separated: shipped ones or files ({TEACHERS})"
    )
    parser.add_argument("--students", default="1,3,5", help="of ours, numbers M; the largest is trained (1,3,5)")
    parser.add_argument("--backbone", choices=("resnet18", "resnet18-layer23"), default="resnet18")
    parser.add_argument(
        "--weights", type=cli.some_path, help="the backbone's file; without it torchvision downloads it"
    )
    add_method_options(parser)
    parser.add_argument("--features-gib", type=float, default=4.0, help="most that kept features may take (4)")
    return parser  # type: ignore[no-any-return]


if __name__ == "__main__":
    cli.run(main)

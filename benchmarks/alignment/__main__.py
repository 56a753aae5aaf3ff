"""What alignment gives on parts that lie turned and shifted.

::

    python -m benchmarks.alignment DATA… --out FOLDER [--subset odd] [--seed 0] [--border mirror|repeat]
                                         [--preset edge] [--good N] [--poses …] [--json FILE]

Of each data set two more are made, good and test images each moved by a random transform of its own: ``near``, turned
by up to 15 degrees each way and shifted by up to 5 % of the shorter side, and ``any-angle``, turned by any angle. On
each of the three, detectors are made without alignment and with it. Two more are made of the images as they were, and
tested on those of ``near``: the line's parts lie otherwise than the good images did, and the one with alignment has its
limits from ``--align-shift`` and ``--align-angle``. Their files inspect the test images as on the line.

Errors are of places found in moved images against those found in the originals, moved alike. The same command goes on
after an interruption; detectors that are there are not made again. Tune on ``--subset even``, report on ``odd``.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.environment import describe_environment, one_line
from benchmarks.options import add_json_option, add_layout_option, add_subset_option
from runtime import cli
from runtime.atomic import write_atomically
from runtime.errors import InputError

if TYPE_CHECKING:
    from benchmarks.alignment.measure import Result, Set

STRAIGHT = "trained-straight"
ROWS = ("near", "any-angle", "as-it-was", STRAIGHT)
SHIFT = 0.05  # share of the shorter side
ANGLE = 15.0  # degrees
ALLOWED = {"align_shift": 0.1, "align_angle": 20.0}  # where the good images lie straight: SHIFT is in x and y each


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    options = _parser().parse_args(arguments)
    unknown = sorted(set(options.poses.split(",")) - set(ROWS))
    if unknown:
        raise InputError(f"--poses has {', '.join(unknown)}; expected some of {', '.join(ROWS)}, with commas between")

    from benchmarks.alignment.measure import measure, with_text

    results: list[Result] = []
    for category in options.data:
        for data, good, over in _cells(category, options):
            made = good.folder.parent / "-".join([options.preset, *map(str, over.values())])
            results.append(measure(data, good, over, options.preset, made))
            print(with_text(results[-1:]).splitlines()[-1], flush=True)
            _write(results, options)
    print(with_text(results))
    print(f"{options.subset} test images. {one_line(describe_environment())}")


def _cells(category: Path, options: argparse.Namespace) -> "Iterator[tuple[Set, Set, dict[str, object]]]":
    """Which test images, which good images, and the options of each detector; the moved sets are written."""
    from benchmarks.alignment.measure import Set
    from benchmarks.alignment.turned import Poses, write_turned
    from train.data import file_sha256
    from train.datasets.checked import checked_category

    training, test = checked_category(category, options.subset, options.layout)
    training = sorted(sorted(training, key=file_sha256)[: options.good])
    name, sets = category.resolve().name, {}
    for poses in (Poses("as it was", 0.0, 0.0), Poses("near", ANGLE, SHIFT), Poses("any-angle", 180.0, SHIFT)):
        settings = f"{name}-{options.subset}-{options.good or 'all'}-{options.seed}-{options.border}"
        folder = options.out / settings / poses.name.replace(" ", "-") / "data"
        write_turned(folder, training, test, poses, options.seed, options.border)
        originals = {f"test/{each.defect}/{each.path.stem}": each.path for each in test}
        sets[poses.name] = Set(name, poses, folder, originals)
    plain, near, any_angle = sets.values()
    for data, mode in ((near, "near"), (any_angle, "any-angle"), (plain, "near")):
        if data.poses.name.replace(" ", "-") in options.poses.split(","):
            yield data, data, {"align": "none"}
            yield data, data, {"align": mode}
    if STRAIGHT in options.poses.split(","):
        yield near, plain, {"align": "none"}
        yield near, plain, {"align": "near", **ALLOWED}


def _write(results: "Sequence[Result]", options: argparse.Namespace) -> None:
    from benchmarks.alignment.measure import document

    if options.json:
        settings = {name: getattr(options, name) for name in ("subset", "seed", "border", "preset", "good", "poses")}
        found = {**settings, "results": document(results), "environment": describe_environment()}
        write_atomically(options.json, json.dumps(found, indent=1).encode())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=cli.program("benchmarks.alignment"), description="What alignment gives on parts that lie turned."
    )
    parser.add_argument("data", type=cli.some_path, nargs="+", help="test sets, in any layout")
    add_layout_option(parser)
    parser.add_argument("--out", type=cli.some_path, required=True, help="folder of moved sets and detectors")
    add_subset_option(parser, "odd")
    parser.add_argument("--seed", type=cli.seed, default=0, help="of the moves (0)")
    parser.add_argument("--border", choices=("mirror", "repeat"), default="mirror", help="of moved images (mirror)")
    parser.add_argument(
        "--poses", default=",".join(ROWS), help=f"which detectors, comma-separated: {', '.join(ROWS)} (all)"
    )
    parser.add_argument("--good", type=cli.positive, help="images to train on, those of the lowest hashes (all)")
    parser.add_argument("--preset", default="edge", help="of the method memory-bank (edge)")
    add_json_option(parser)
    return parser


if __name__ == "__main__":
    cli.run(main)

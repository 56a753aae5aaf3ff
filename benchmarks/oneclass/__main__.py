"""One class of small images against all others: the protocol of the paper's Table 2, on MNIST or CIFAR-10.

::

    python -m benchmarks.oneclass DATA [--classes 0,1] [--methods ours,1-nn] [--students 5] [--steps 5000]
        [--train-limit N] [--test-limit N] [--seed 0] [--keep FOLDER] [--json FILE] [--plots FOLDER]

Every method is fitted on the training images of one class and judged by the image AUROC over the test images of all
classes, the others being anomalous; then the mean over the classes. ``ours`` are five students of a teacher of p = 33,
on images zoomed to its 33×33 pixels, one score for each image; 1-NN, OC-SVM, K-Means, ℓ2-AE and VAE see the same
teacher's descriptor of the same zoomed image, and OCGAN the image itself.

``DATA`` is a set as it is distributed, a folder of MNIST's four IDX files (gzipped or not) or of CIFAR-10's binary
version, or one ``.npz`` file; `benchmarks.oneclass.npz` says what that holds. Limits take the first images of each
class, in the files' order, and are said with the result: figures under a limit are no Table 2.

With ``--keep`` each class's result is a file of its own, and the same command goes on after an interruption.
``--plots`` draws the paper's Figure 4: the scores of every method and class, and for ours descriptors of a few images.
"""

import argparse
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.environment import describe_environment
from benchmarks.methods.registry import METHODS, entry
from benchmarks.oneclass.results import ClassResult
from benchmarks.oneclass.small_images import SmallImages, read_small_images
from benchmarks.options import add_json_option, add_method_options, add_plots_options, assignments, integers
from runtime import cli
from runtime.atomic import write_atomically
from runtime.errors import InputError

# image AUROC, mean over the ten classes of MNIST (paper, Table 2)
PAPER = {"ours": 0.9935, "1-nn": 0.9753, "oc-svm": 0.9463, "k-means": 0.9457}
SMALL_IMAGE_METHODS = ("ours", *(name for name in METHODS if METHODS[name].of_descriptors), "ocgan")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    options = _parser().parse_args(arguments)
    methods = options.methods.split(",")
    over = assignments(options.set or [])
    for name in [*methods, *over]:
        if name not in SMALL_IMAGE_METHODS:
            raise InputError(
                f"there is no method {name!r} for small images; choose among {', '.join(SMALL_IMAGE_METHODS)}"
            )
    images = read_small_images(options.data).limited(options.train_limit, options.test_limit)
    classes = _classes(options.classes, images)
    over["ours"] = {"students": str(options.students), "steps": str(options.steps), **over.get("ours", {})}
    if options.plots:
        import benchmarks.oneclass.plots  # noqa: F401  that matplotlib is missing is said before the work, not after
    from benchmarks.methods.base import Setting
    from benchmarks.oneclass.protocol import run
    from train.device import resolve_device

    setting = Setting(options.seed, resolve_device(options.device), options.teacher)
    found = run(methods, classes, images, over, setting, options.keep)
    print(_report(found, options, over["ours"], classes, images))
    if options.json:
        _save(options, found, images)
    if options.plots:
        from benchmarks.oneclass.plots import write_plots

        for path in write_plots(options.plots, found, images.test_labels, options.format):
            print(f"{path} written")


def _report(
    found: dict[str, dict[int, ClassResult]],
    options: argparse.Namespace,
    ours: dict[str, str],
    classes: Sequence[int],
    images: SmallImages,
) -> str:
    every = len(classes) == len(np.unique(images.test_labels))
    whole = every and options.train_limit is None and options.test_limit is None
    lines = [
        "",
        f"| method | {' | '.join(map(str, classes))} | mean | paper, MNIST |",
        "|---" * (len(classes) + 3) + "|",
    ]
    for name, by_class in found.items():
        areas = [by_class[kind].auroc for kind in classes]
        cells = " | ".join(f"{area:.4f}" for area in areas)
        printed = f"{PAPER[name]:.4f}" if name in PAPER else "–"
        lines.append(f"| {entry(name).title} | {cells} | {np.mean(areas):.4f} | {printed} |")
    what = "The whole protocol" if whole else "A SUBSET, not to be compared with the paper's figures"
    if "ours" in found:
        what = f"Ours: {ours['students']} students, {ours['steps']} steps. {what}"
    counts = [int((images.train_labels == kind).sum()) for kind in classes]
    lines += [
        "",
        f"{what}: classes {', '.join(map(str, classes))}, {min(counts)} to {max(counts)} training images each,"
        f" {len(images.test)} test images; seed {options.seed}.",
    ]
    return "\n".join(lines)


def _classes(text: str | None, images: SmallImages) -> tuple[int, ...]:
    present = images.classes()
    chosen = integers("--classes", text, 0) if text else present
    missing = [kind for kind in chosen if kind not in present]
    if missing:
        raise InputError(f"--classes names {missing[0]}; the data have {', '.join(map(str, present))}")
    return chosen


def _save(options: argparse.Namespace, found: dict[str, dict[int, ClassResult]], images: SmallImages) -> None:
    left_out = ("json", "keep", "plots", "format")
    document = {
        "data": options.data.absolute().name,
        "image_auroc": {
            name: {str(kind): result.auroc for kind, result in results.items()} for name, results in found.items()
        },
        "seconds": {name: round(sum(each.seconds for each in results.values()), 1) for name, results in found.items()},
        "options": {
            name: str(value) for name, value in vars(options).items() if value is not None and name not in left_out
        },
        "train_images": {str(kind): int((images.train_labels == kind).sum()) for kind in np.unique(images.test_labels)},
        "test_images": len(images.test),
        "environment": describe_environment(),
    }
    write_atomically(options.json, json.dumps(document, indent=1).encode())


def _parser() -> argparse.ArgumentParser:
    parser: Any = argparse.ArgumentParser(
        prog=cli.program("benchmarks.oneclass"), description="One class of small images against all others (Table 2)."
    )
    methods = ",".join(SMALL_IMAGE_METHODS)
    parser.add_argument(
        "data", type=cli.some_path, help="MNIST (IDX files) or CIFAR-10 (binary) as a folder, or as .npz"
    )
    parser.add_argument("--methods", default=methods, help=f"comma-separated ({methods})")
    parser.add_argument("--classes", help="comma-separated labels (default: all)")
    parser.add_argument("--teacher", default="p33", help="a shipped teacher or a file (p33)")
    parser.add_argument("--students", type=cli.positive, default=5, help="of ours (5)")
    parser.add_argument("--steps", type=cli.positive, default=5_000, help="of ours, for each class (5000)")
    parser.add_argument("--train-limit", type=cli.positive, metavar="N", help="most training images of a class")
    parser.add_argument("--test-limit", type=cli.positive, metavar="N", help="most test images of each class")
    parser.add_argument("--seed", type=cli.seed, default=0)
    add_method_options(parser)
    parser.add_argument(
        "--keep", type=cli.some_path, metavar="FOLDER", help="keep each class's result there, and go on from it"
    )
    add_json_option(parser)
    add_plots_options(parser)
    return parser  # type: ignore[no-any-return]


if __name__ == "__main__":
    cli.run(main)

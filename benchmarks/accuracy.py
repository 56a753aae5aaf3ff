"""The accuracy of a detector on a test set in one of the layouts that `benchmarks.datasets` reads.

::

    python -m benchmarks.accuracy detector.onnx DATA [--layout NAME] [--subset all|even|odd] [--json FILE]
                                  [--overlays DIR --count N]

Each test image is inspected as on the line. The anomaly map is resized, bilinearly, to the size of the image file,
where the masks are, so that the pixel figures of detectors of any size compare. Where a defective image has no mask
they are left out. Tune on ``--subset even``, report on ``odd``.
"""

import argparse
import hashlib
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from runtime import cli
from runtime.errors import InputError

if TYPE_CHECKING:
    from benchmarks.evaluation import Accuracy, Inspection, Rate
    from runtime.recipe import Threshold


def report(accuracy: "Accuracy", threshold: "Threshold") -> str:
    """The figures as text, a line each."""
    from runtime.promise import explain

    by_defect = accuracy.image_auroc_by_defect
    lines = [
        ("images", f"{accuracy.false_rejects.total} good, {accuracy.detected.total} defective"),
        ("image AUROC", f"{accuracy.image_auroc:.4f}"),
        *((f"  {kind} ({accuracy.images[kind]})", f"{value:.4f}") for kind, value in by_defect.items()),
        ("pixel AUROC", _pixel_figure(accuracy.pixel_auroc)),
        ("AU-PRO to 30 % FPR", _pixel_figure(accuracy.au_pro_30)),
        ("AU-PRO to 5 % FPR", _pixel_figure(accuracy.au_pro_5)),
        ("false rejects", f"{_in_words(accuracy.false_rejects)}, budget {_percent(threshold.budget)}"),
        ("detected", _in_words(accuracy.detected)),
        ("no decision", f"{accuracy.undecided}, counted above as rejected" if accuracy.undecided else "none"),
        ("threshold", f"{threshold.value:.4f}. {explain(threshold)}"),
    ]
    return "\n".join(f"{name:<20} {text}" for name, text in lines)


def _pixel_figure(value: float | None) -> str:
    return "not measured: defective images without a mask" if value is None else f"{value:.4f}"


def _in_words(rate: "Rate") -> str:
    interval = f"95 % interval {_percent(rate.low)} to {_percent(rate.high)}"
    return f"{rate.count} of {rate.total}, {_percent(rate.share)} ({interval})"


def _percent(rate: float) -> str:
    return f"{100 * rate:.3g} %"


def _document(accuracy: "Accuracy", inspections: "Sequence[Inspection]", data: Path) -> dict[str, object]:
    return {
        "accuracy": asdict(accuracy),
        "inspections": [
            {
                "path": str(each.image.path.relative_to(data)),
                "defect": each.image.defect,
                "score": each.score,
                "decision": each.verdict.decision.value,
                "reason": each.verdict.reason,
            }
            for each in inspections
        ],
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy", description="Measure a detector's accuracy on a test set."
    )
    parser.add_argument("detector", type=Path, help="detector.onnx")
    parser.add_argument("data", type=Path, help="folder of one category of a data set, such as MVTec AD's")
    parser.add_argument(
        "--layout",
        metavar="NAME",
        help="how it is laid out, of those that benchmarks.datasets --help lists (default: as it looks)",
    )
    parser.add_argument(
        "--subset", choices=("all", "even", "odd"), default="all", help="half of the images, by content"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write figures, scores and machine there")
    parser.add_argument("--overlays", type=Path, metavar="DIR", help="write pictures of inspected images there")
    parser.add_argument("--count", type=int, default=12, metavar="N", help="number of pictures (default 12)")
    parser.add_argument("--provider", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all cores)")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    options = _parser().parse_args(arguments)
    if options.count < 1:
        raise InputError(f"--count is {options.count}; expected the number of pictures, 1 or more")

    from tqdm import tqdm

    from benchmarks.datasets import read_test_set, select
    from benchmarks.environment import describe_environment, one_line
    from benchmarks.evaluation import inspect_all, summarize
    from benchmarks.overlays import write_overlays
    from runtime.atomic import write_atomically
    from runtime.detector import Detector

    images = select(read_test_set(options.data, options.layout), options.subset)
    with Detector.open(options.detector, options.provider, options.threads) as detector:
        inspections = list(tqdm(inspect_all(detector, images), total=len(images), unit="image", disable=None))
        threshold, engine = detector.recipe.threshold, detector.engine.description
    accuracy, environment = summarize(inspections), describe_environment()
    print(f"{options.detector} on {options.data}, {options.subset} images; {engine}")
    print(report(accuracy, threshold))
    print(one_line(environment))
    if options.json:
        document = _document(accuracy, inspections, options.data) | {
            "detector": str(options.detector),
            "detector_sha256": hashlib.sha256(options.detector.read_bytes()).hexdigest(),
            "engine": engine,
            "threshold": asdict(threshold),
            "data": str(options.data),
            "subset": options.subset,
            "command": shlex.join(["python", "-m", "benchmarks.accuracy", *(arguments or sys.argv[1:])]),
            "environment": environment,
        }
        write_atomically(options.json, json.dumps(document, indent=2).encode())
    if options.overlays:
        write_overlays(options.overlays, inspections, options.count)


if __name__ == "__main__":
    cli.run(main)

"""The accuracy of a detector on a test set: figures, a report, pictures.

::

    python -m benchmarks.accuracy detector.onnx DATA [--layout NAME] [--subset all|even|odd] [--report FILE.html]
                                                     [--json FILE] [--overlays DIR --count N] [--run RUN]

Each test image is inspected as on the line. The anomaly map is resized, bilinearly, to the size of the image file,
where the masks are, so that the pixel figures of detectors of any size compare. Where no mask is known there are no
pixel figures, and the command says so. A detector that is no better than chance (`benchmarks.accuracy.chance`) is named
as such in the first line of the output and of the report; the status stays 0, since its figures were measured. Tune on
``--subset even``, report on ``odd``. Test images that the detector was made from are left out, with a warning, as far
as its file, its run folder or the data set tells (`train.datasets.seen`); where none are left, nothing is measured.

With the figures go 95 % intervals (`auroc_interval`, `pro_interval`); the AUROC of size and brightness alone, and a
warning where they tell the images apart (`shortcuts`); and what other thresholds would find, beside the rate of false
rejects that the images held out in training prove of each (`thresholds`). Their scores are read from the run folder,
``--run`` or ``<detector>-run`` beside the file; without it the few quantiles in the file have to do (`held_out`).
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

from benchmarks.accuracy.chance import no_better_than_chance
from benchmarks.environment import describe_environment, one_line
from benchmarks.options import add_json_option, add_layout_option, add_subset_option
from runtime import cli
from runtime.atomic import check_writable, write_atomically
from runtime.engine_options import add_engine_options, open_detector
from runtime.errors import InputError

if TYPE_CHECKING:
    from benchmarks.accuracy.evaluation import Inspection
    from benchmarks.accuracy.terms import Terms
    from runtime.detector import Detector


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=cli.program("benchmarks.accuracy"), description="Measure a detector's accuracy on a test set."
    )
    parser.add_argument("detector", type=cli.some_path, help="detector.onnx or detector.plan")
    parser.add_argument("data", type=cli.some_path, help="folder of one category of a data set, such as MVTec AD's")
    add_layout_option(parser)
    add_subset_option(parser, "all")
    parser.add_argument("--report", type=cli.some_path, metavar="FILE", help="write a report there, one HTML file")
    add_json_option(parser)
    parser.add_argument(
        "--run",
        type=cli.some_path,
        metavar="RUN",
        help="run folder of its training (default: <detector>-run, if there)",
    )
    parser.add_argument(
        "--overlays", type=cli.some_path, metavar="DIR", help="write pictures of inspected images there"
    )
    parser.add_argument("--count", type=cli.positive, default=12, metavar="N", help="number of pictures (default 12)")
    add_engine_options(parser)
    return parser


def _checked(options: argparse.Namespace) -> argparse.Namespace:
    """The options, refused before any work is done rather than after all of it."""
    if options.report and options.report.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--report is {options.report}; expected a name ending in .html")
    if options.report:
        check_writable(options.report)
        import benchmarks.accuracy.report  # noqa: F401  (Matplotlib is an extra)
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    options = _checked(_parser().parse_args(arguments))

    from tqdm import tqdm

    from benchmarks.accuracy.evaluation import implausible_masks, inspect_all, rank_known_pixels, summarize
    from benchmarks.accuracy.findings import find
    from benchmarks.accuracy.held_out import held_out_of
    from benchmarks.accuracy.image_evidence import image_evidence_of
    from benchmarks.accuracy.overlays import write_overlays
    from benchmarks.accuracy.shortcuts import pictures_of, warning
    from benchmarks.accuracy.words import as_document, figures, lead, report
    from train.datasets import copies_among, read_test_set, select, without_seen

    images = select(read_test_set(options.data, options.layout), options.subset)
    with open_detector(options.detector, options) as detector:
        held_out = held_out_of(detector.recipe, options.detector, options.run)
        images, seen = without_seen(images, _made_from(options, detector), options.detector.name, options.data)
        training = pictures_of(_training_images(options))
        inspections = list(tqdm(inspect_all(detector, images), total=len(images), unit="image", disable=None))
        terms = _terms(detector, inspections) if options.report else []
        recipe, engine = detector.recipe, detector.engine.description
    ranking = rank_known_pixels(inspections)
    accuracy, environment = summarize(inspections, ranking), describe_environment()
    evidence = image_evidence_of(inspections, recipe)
    sized = recipe.scoring.smallest_area > 0 or recipe.alignment is not None
    findings = find(inspections, ranking, recipe.threshold, held_out, training, evidence, sized)
    if chance := no_better_than_chance(accuracy):
        print(chance)
    print(f"{options.detector} on {options.data}, {options.subset} images; {engine}")
    shortcuts = warning(findings.shortcuts, accuracy.image_auroc)
    found = (seen, implausible_masks(inspections), copies_among(images), shortcuts)
    warnings = [sentence for sentence in found if sentence is not None]
    for sentence in warnings:
        print(f"warning: {sentence}")
    print(report(accuracy, recipe.threshold, findings))
    print(one_line(environment))
    source = _source(options, arguments or sys.argv[1:]) | {"engine": engine}
    if options.json:
        document = as_document(accuracy, findings, inspections, options.data) | source
        document |= {"threshold": asdict(recipe.threshold), "environment": environment, "left_out": seen}
        write_atomically(options.json, json.dumps(document, indent=2).encode())
    if options.overlays:
        write_overlays(options.overlays, inspections, options.count)
    if options.report:
        from benchmarks.accuracy.report import Report, render

        source |= {"machine": one_line(environment), "date": str(environment["date"])}
        page = Report(
            title=f"Accuracy of {options.detector.name} on {options.data.resolve().name}",
            lead=lead(accuracy),
            warnings=warnings,
            figures=figures(accuracy, recipe.threshold, findings.intervals),
            provenance=[(name.replace("_", " "), value) for name, value in source.items()],
            data=options.data,
            recipe=recipe,
            accuracy=accuracy,
            findings=findings,
            inspections=inspections,
            ranking=ranking,
            terms=terms,
        )
        write_atomically(options.report, render(page).encode())


def _source(options: argparse.Namespace, arguments: Sequence[str]) -> dict[str, str]:
    return {
        "detector": str(options.detector),
        "detector_sha256": hashlib.sha256(options.detector.read_bytes()).hexdigest(),
        "data": str(options.data),
        "subset": options.subset,
        "command": shlex.join(["python", "-m", "benchmarks.accuracy", *arguments]),
    }


def _training_images(options: argparse.Namespace) -> Sequence[Path]:
    """The good training images of the data set; none where test images are all there is."""
    from train.datasets import training_images

    try:
        return training_images(options.data, options.layout)
    except InputError:
        return []


def _made_from(options: argparse.Namespace, detector: "Detector") -> frozenset[str]:
    """Each image that the detector was made from, as far as its file, its run folder or the data set tells."""
    from train.datasets import images_made_from, read_test_set
    from train.run_folder import RunFolder, run_beside

    split = RunFolder(options.run or run_beside(options.detector)).split_path
    tested = [image.path for image in read_test_set(options.data, options.layout) if not image.label]
    return images_made_from(detector.recipe, split, {*_training_images(options), *tested})


def _terms(detector: "Detector", inspections: "Sequence[Inspection]") -> "Sequence[Terms]":
    from benchmarks.accuracy.report import chosen_for_terms
    from benchmarks.accuracy.terms import terms_of

    return terms_of(detector, chosen_for_terms(inspections))


if __name__ == "__main__":
    cli.run(main)

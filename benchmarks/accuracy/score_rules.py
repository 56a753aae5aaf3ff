"""How should an image's score be taken from its map? The image AUROC of many rules, on one detector's maps.

::

    python -m benchmarks.accuracy.score_rules detector.onnx DATA [--layout NAME] [--subset even]
                                                        [--plot FILE.svg|.png] [--json FILE]

Rules: the maximum; the mean of the highest values (a share of the pixels); a high quantile; the maximum, and the mean
of the highest values, after Gaussian smoothing. Each with and without leaving out a border, where padding and the
part's own edge disturb. All are taken within the detector's region of interest, from maps at the detector's size.

A detector file carries the maximum and the mean of the highest values (``--score-pixels``) and a border
(``--region-of-interest``); a quantile and smoothing are there to tell whether they would be worth adding. Choose on
``--subset even``, the default, and report on ``odd``: the best of many rules looks better than it is. Each rule's
difference to the plain maximum has a 95 % interval from a paired bootstrap over images.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np

from benchmarks.environment import describe_environment, one_line
from benchmarks.options import (
    add_json_option,
    add_layout_option,
    add_plot_option,
    add_subset_option,
    add_threads_option,
)
from runtime import cli
from runtime.atomic import check_writable, write_atomically
from runtime.detector import Detector


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog=cli.program("benchmarks.accuracy.score_rules"), description="Compare score rules."
    )
    parser.add_argument("detector", type=cli.some_path, help="detector.onnx")
    parser.add_argument("data", type=cli.some_path, help="folder of a test set")
    add_layout_option(parser)
    add_subset_option(parser, "even")
    add_json_option(parser)
    add_plot_option(parser)
    add_threads_option(parser)
    options = parser.parse_args(arguments)
    if options.plot:
        from benchmarks.plots import format_of, save

        format_of(options.plot)  # refused before the work, not after
    for path in (options.json, options.plot):
        if path:
            check_writable(path)

    from tqdm import tqdm

    from benchmarks.accuracy.evaluation import inspect_all, scores_and_labels
    from benchmarks.accuracy.rules import all_rules, compare, plot, report, scores_of
    from train.datasets import read_test_set, select

    images = select(read_test_set(options.data, options.layout), options.subset)
    unmasked, rules = [replace(image, mask_path=None) for image in images], all_rules()  # their maps keep their size
    with Detector.open(options.detector, threads=options.threads) as detector:
        inspections = list(tqdm(inspect_all(detector, unmasked), total=len(images), unit="image", disable=None))
        recipe, engine = detector.recipe, detector.engine.description
    scores, (_, labels) = scores_of(inspections, recipe, rules), scores_and_labels(inspections)
    results = compare(scores, labels, np.array([image.defect for image in images]), rules)
    environment = describe_environment()
    counts = {"good": int(np.count_nonzero(~labels)), "defective": int(np.count_nonzero(labels))}
    images_in_words = f"{counts['good']} good and {counts['defective']} defective images"
    print(f"{options.detector} on {options.data}, {options.subset}: {images_in_words}; {engine}")
    print(report(results))
    print(one_line(environment))
    if options.json:
        document = {
            "detector": str(options.detector),
            "data": str(options.data),
            "subset": options.subset,
            "results": [asdict(each) | {"name": each.rule.name} for each in results],
            "images": counts,
            "environment": environment,
        }
        write_atomically(options.json, json.dumps(document, indent=1).encode())
    if options.plot:
        save(plot(results), options.plot)


if __name__ == "__main__":
    cli.run(main)

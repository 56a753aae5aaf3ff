"""What frame health notices, and what it refuses wrongly.

::

    python -m benchmarks.health DATA… --out FOLDER [--preset fast] [--subset odd] [--layout NAME] [--json FILE]

DATA are test sets in any layout; the rendered line is one more, drawn into FOLDER. For each of them a detector is made
as ``python -m train --preset`` makes it (or found in FOLDER, which ``python -m benchmarks.presets`` may share), and

- measures of sharpness are compared (`measures`): good images that are refused as they are, and the smallest blur that
  is noticed, also under noise and JPEG,
- the detector decides of blurred good and defective images (`decisions`), with and without its limit of sharpness,
- good and defective images that are refused as they are are counted by reason,
- frames without a part of the set are shown to it (`parts`),
- the checks are timed (`cost`) in turns with the inference, on the first set's detector.

At last a still scene is delivered live and frozen through encoders (`still`). Radii and lengths are pixels of the
prepared frame; the blur is of the camera's picture.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.environment import describe_environment, one_line
from benchmarks.options import add_json_option, add_layout_option, add_subset_option
from runtime import cli
from runtime.atomic import check_writable, write_atomically

DEMO, DEMO_GOOD, DEMO_BAD = "demo-line", 200, 60


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    options = _parser().parse_args(arguments)
    if options.json:
        check_writable(options.json)

    from benchmarks.health.cost import measure_cost
    from benchmarks.health.report import markdown
    from benchmarks.health.still import measure_still
    from benchmarks.presets.cells import checked_config, detector_of, label_of, read_data_set
    from runtime.detector import Detector
    from train.datasets import read_pixels

    config = checked_config(options.preset, {})
    data = [*options.data, _drawn(options.out / DEMO)]
    sets = {each.name: each for each in (read_data_set(folder, options.subset, options.layout) for folder in data)}
    good = {name: [read_pixels(image)[0] for image in each.test if not image.label] for name, each in sets.items()}
    results: dict[str, Any] = {}
    cost = None
    for name, each in sets.items():
        with Detector.open(detector_of(label_of(options.preset, config, {}), config, each, options.out)) as detector:
            cost = cost or measure_cost(detector)
            results[name] = _measured(detector, each, good)
            print(f"{name} measured", flush=True)
    environment = describe_environment()
    document = {
        "environment": environment,
        "subset": options.subset,
        "preset": options.preset,
        "sets": results,
        "cost": asdict(cost) if cost else None,
        "still": [asdict(row) for row in measure_still()],
    }
    print(markdown(document))
    print(one_line(environment))
    if options.json:
        write_atomically(options.json, json.dumps(document, indent=1).encode() + b"\n")


def _measured(detector: Any, data: Any, good: dict[str, list[Any]]) -> dict[str, object]:
    """All figures of one set, ready for JSON."""
    from benchmarks.health.decisions import decide_blurred, left_out_refusals, refusals
    from benchmarks.health.measures import compare
    from benchmarks.health.parts import refused_frames
    from calibration.health import unlimited
    from runtime.images import read_image
    from train.datasets import read_pixels

    size_hw = detector.recipe.size_hw
    training = [read_image(path) for path in data.training]
    defective = [read_pixels(image)[0] for image in data.test if image.label]
    kinds = sorted({image.defect for image in data.test if image.label})
    by_kind = {
        kind: [read_pixels(image)[0] for image in data.test if image.label and image.defect == kind] for kind in kinds
    }
    health = detector.recipe.health
    return {
        "sharpness_low": health.sharpness_low,
        "likeness_low": health.likeness_low,
        "unlimited": unlimited(health),
        "training": {"images": len(training), **left_out_refusals(training, size_hw)},
        "good": {"images": len(good[data.name]), **refusals(detector, good[data.name])},
        "defective": {kind: {"images": len(shown), **refusals(detector, shown)} for kind, shown in by_kind.items()},
        "measures": [asdict(row) for row in compare(training, good[data.name], size_hw)],
        "blurred": [asdict(row) for row in decide_blurred(detector, good[data.name], defective)],
        "without_a_part": refused_frames(detector, data.name, good),
    }


def _drawn(folder: Path) -> Path:
    """The rendered line as a test set, drawn where it is not there yet."""
    from runtime.demo import DemoLine
    from runtime.demo.dataset import write_dataset

    if not folder.exists():
        write_dataset(folder, DemoLine(1), DEMO_GOOD, DEMO_BAD)
    return folder


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=cli.program("benchmarks.health"), description="What frame health notices, and what it refuses wrongly."
    )
    parser.add_argument("data", type=cli.some_path, nargs="+", help="test sets, in any layout")
    parser.add_argument("--out", type=cli.some_path, required=True, help="folder of detectors")
    parser.add_argument("--preset", default="fast", help="of the detectors (fast)")
    add_layout_option(parser)
    add_subset_option(parser, "odd")
    add_json_option(parser)
    return parser


if __name__ == "__main__":
    cli.run(main)

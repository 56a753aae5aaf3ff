"""What the checks cost a frame, beside its preparation and its inference.

::

    python -m benchmarks.health.cost DETECTOR [--threads N] [--json FILE]

`benchmarks.health` measures the same of its first set's detector. All four take turns, so that a busy moment of the
machine meets them all; what counts is their ratio to the inference. It takes a minute or two.
"""

import argparse
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from benchmarks.documents import write_document
from benchmarks.environment import describe_environment, one_line
from benchmarks.options import add_json_option, add_threads_option
from benchmarks.throughput.timing import Turns, in_turns
from runtime import cli
from runtime.demo import DemoLine
from runtime.detector import Detector
from runtime.likeness import centred, likeness, pattern
from runtime.preparation import scaled
from runtime.sharpness import SharpnessMeter

CAMERA_HW = (1024, 1280)
REPEATS, WARM_UP = 200, 20
CHECKS = ("sharpness", "likeness")


@dataclass(frozen=True)
class Cost:
    """Medians over `repeats` turns, by what was timed."""

    camera_hw: tuple[int, int]
    prepared_hw: tuple[int, int]
    repeats: int
    load: float  # average of the machine in the minute before
    of_inference: dict[str, float]  # the inference's median is 1; "checks" are both together
    milliseconds: dict[str, float]  # good for this machine alone

    def line(self) -> str:
        """The ratios in words."""
        size, ratios = "×".join(map(str, reversed(self.camera_hw))), self.of_inference
        shown = ", ".join(f"{name} {ratios[name]:.2g}" for name in ("preparation", *CHECKS))
        return (
            f"Time for a frame of {size}, the inference = 1 (medians of {self.repeats} turns, load {self.load:.1f}): "
            f"{shown}; both checks {ratios['checks']:.2g}"
        )


def measure_cost(detector: Detector) -> Cost:
    """Time the checks on a part of the demo line, drawn at the size of a camera."""
    size_hw, load = detector.recipe.size_hw, os.getloadavg()[0]
    image = DemoLine(0, CAMERA_HW).good(0).image
    prepared = np.empty((*size_hw, 3), np.uint8)
    scaled(image, size_hw, prepared)
    meter, typical = SharpnessMeter(size_hw), centred(pattern(prepared))
    engine = detector.engine
    taken = in_turns(
        {
            "preparation": lambda: scaled(image, size_hw, prepared),
            "sharpness": lambda: meter.measure(prepared),
            "likeness": lambda: likeness(centred(pattern(prepared)), typical),
            "inference": lambda: engine.result(engine.submit(prepared[None])),
        },
        Turns(REPEATS, warm_up=WARM_UP),
    )
    medians = {name: float(np.median(seconds)) for name, seconds in taken.items()}
    medians["checks"] = sum(medians[name] for name in CHECKS)
    ratios = {name: seconds / medians["inference"] for name, seconds in medians.items()}
    milliseconds = {name: 1e3 * seconds for name, seconds in medians.items()}
    return Cost(CAMERA_HW, size_hw, len(taken["inference"]), load, ratios, milliseconds)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog=cli.program("benchmarks.health.cost"), description="Time the checks of a frame beside the inference."
    )
    parser.add_argument("detector", type=cli.file, help="detector.onnx")
    add_threads_option(parser)
    add_json_option(parser)
    options = parser.parse_args(arguments)
    with Detector.open(options.detector, threads=options.threads) as detector:
        found = measure_cost(detector)
    environment = describe_environment()
    print("\n".join([found.line(), one_line(environment)]))
    if options.json:
        write_document(options.json, {"cost": asdict(found), "environment": environment})


if __name__ == "__main__":
    cli.run(main)

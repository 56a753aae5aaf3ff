"""How many good parts a recalibration needs: what its files reject and find of parts that it never saw.

::

    python -m benchmarks.recalibration [--sizes 10,20,40,80,160,320] [--lights 90,100] [--seeds 3] [--most-repeated 80]
                                       [--good 300] [--defective 300] [--json FILE] [--plot FILE]

The demo detector is recalibrated to sets of good demo parts under some of the lamp's light, with new statistics and
with those that it had, and is tried on fresh parts under the same light, beside the file as it was. Frame health has no
part in the figures.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.documents import write_document
from benchmarks.environment import describe_environment, one_line
from benchmarks.options import add_json_option, add_plot_option, integers
from runtime import cli
from runtime.errors import InputError
from runtime.machine import available_cores


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    options = _parser().parse_args(arguments)
    import cv2

    from benchmarks.plots import format_of, save
    from benchmarks.recalibration.measure import Plan, measure, table
    from benchmarks.recalibration.plots import recalibration_plot
    from calibration.recalibration import FEWEST

    lights = integers("--lights", options.lights, 1)
    if max(lights) > 100:
        raise InputError(f"--lights is {options.lights}; expected percent of the lamp's light, 1 to 100")
    sizes = integers("--sizes", options.sizes, FEWEST)
    if options.plot:
        format_of(options.plot)
    plan = Plan(
        tuple(light / 100 for light in lights),
        sizes,
        options.seeds,
        options.most_repeated,
        options.good,
        options.defective,
    )
    cv2.setNumThreads(1)  # the recalibrations are side by side
    load, started = os.getloadavg()[0], time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(plan, Path(folder), available_cores())
    environment = describe_environment()
    document = {
        **asdict(plan),
        "rows": [asdict(row) for row in rows],
        "load": load,
        "seconds": round(time.monotonic() - started, 1),
        "environment": environment,
    }
    print(table(rows))
    print(f"{document['seconds']} s, load {load:.1f} at the start. {one_line(environment)}")
    if options.json:
        write_document(options.json, document)
    if options.plot:
        save(recalibration_plot(document), options.plot)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=cli.program("benchmarks.recalibration"), description="How many good parts a recalibration needs."
    )
    default = "10,20,40,80,160,320"
    parser.add_argument("--sizes", default=default, help=f"good parts of a set, comma-separated ({default})")
    parser.add_argument("--lights", default="90,100", help="percent of the lamp's light, comma-separated (90,100)")
    for name, number, words in (
        ("seeds", 3, "sets of each size"),
        ("most-repeated", 80, "larger sets are of the first seed alone"),
        ("good", 300, "fresh good parts under each light"),
        ("defective", 300, "fresh defective parts under each light"),
    ):
        parser.add_argument(f"--{name}", type=cli.positive, default=number, metavar="N", help=f"{words} ({number})")
    add_json_option(parser)
    add_plot_option(parser)
    return parser


if __name__ == "__main__":
    cli.run(main)

"""A long run of the triggered capture path: does memory stay flat, is anything dropped, what does a verdict cost beside
the inference?

::

    python -m benchmarks.stream.triggers [--minutes 30] [--every-ms 20] [--json FILE] [--plot FILE]
    python -m benchmarks.stream.triggers_plot FILE --out PLOT

The path is the real one: a pacer triggers `TriggeredSource`, whose pictures go through the pipeline. The camera is
simulated, 16 rendered parts kept in memory, each copied for every trigger as a driver does; the engine computes
nothing. So the time from picture to output is all overhead. Resident memory is read every hundredth of the run; its
growth is that of a line fitted to all readings after the first tenth, in which buffers find their size.
"""

import argparse
from dataclasses import replace

from benchmarks.stream.readings import Readings, Soak, add_result_options, engine_of_nothing, publish
from benchmarks.stream.soak import READINGS
from runtime import cli
from runtime.cameras.demo import DemoCapture
from runtime.cameras.pacer import Pacer
from runtime.cameras.triggered import TriggeredSource
from runtime.default_detector import DEMO_DETECTOR
from runtime.demo import DemoLine, DemoPart
from runtime.detector import Detector
from runtime.detector_file import read_detector
from runtime.errors import InputError
from runtime.pipeline import Pipeline

PARTS = 16


class KeptParts:
    """Rendered parts that are kept, each handed out as a copy."""

    def __init__(self, count: int = PARTS) -> None:
        line = DemoLine(0)
        self._parts = [line.part(number) for number in range(count)]

    def part(self, number: int) -> DemoPart:
        """A part, over and over."""
        kept = self._parts[number % len(self._parts)]
        return replace(kept, image=kept.image.copy())


def soak(triggers: int, every_s: float) -> tuple[dict[str, object], Soak]:
    """Trigger so often at that pace; the stream's summary and what was seen. Raises `InputError` below 100 triggers."""
    from tqdm import tqdm

    if triggers < READINGS:
        raise InputError(f"{triggers} triggers would be sent; expected {READINGS} or more, to see a trend")
    parts, recipe = KeptParts(), read_detector(DEMO_DETECTOR)[1]
    with (
        Detector(recipe, engine_of_nothing(recipe)) as detector,
        TriggeredSource("the camera", lambda: DemoCapture(parts.part)) as source,
        tqdm(total=triggers, unit="trigger", disable=None) as bar,
    ):
        readings = Readings(triggers, bar.update)
        pipeline = Pipeline(source, detector, readings, triggers)
        with Pacer(source.trigger, every_s, triggers):
            summary = pipeline.run()
    return summary.as_dict(), readings.seen("no trigger had its picture; give a longer --every-ms")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog=cli.program("benchmarks.stream.triggers"), description="Watch a long run of triggers."
    )
    parser.add_argument("--minutes", type=cli.positive_number, default=30.0, help="how long (30)")
    parser.add_argument(
        "--every-ms", type=cli.positive_number, default=20.0, metavar="N", help="the pace of the triggers (20)"
    )
    add_result_options(parser)
    options = parser.parse_args()
    if not (options.every_ms > 0 and 0 < options.minutes < 1e5):
        raise InputError(f"{options.minutes:g} minutes every {options.every_ms:g} ms; expected both above 0")
    summary, seen = soak(round(options.minutes * 60e3 / options.every_ms), options.every_ms / 1e3)
    publish(summary, seen, "trigger", ("frames", "triggered", "drops", "lost", "reconnects"), options)


if __name__ == "__main__":
    cli.run(main)

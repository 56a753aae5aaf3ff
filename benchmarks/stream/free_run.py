"""A long run of a live camera in free run: does memory stay flat, is a picture dropped, what does a verdict cost?

::

    PYLON_CAMEMU=1 python -m benchmarks.stream.free_run [--camera pylon:] [--minutes 30] [--fps 20] [--json FILE]
        [--plot FILE]

The path is the real one, from the camera's driver in its own process through shared memory to the verdict's output; the
engine computes nothing, so that all of the time is overhead, and the detector's limits of frame health are opened,
so that any picture is fit. Memory is that of this process and of those that it started, together. Its growth is that of
a line fitted to all readings after the first tenth. What the driver's process costs alone,
``benchmarks.cameras.process_cost`` tells.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from benchmarks.stream.readings import Readings, Soak, add_result_options, engine_of_nothing, publish
from benchmarks.stream.soak import READINGS, resident_mib
from runtime import cli
from runtime.cameras import open_camera
from runtime.default_detector import DEMO_DETECTOR
from runtime.detector import Detector
from runtime.detector_file import read_detector
from runtime.errors import InputError
from runtime.pipeline import Pipeline
from runtime.recipe import HealthLimits

ANY = HealthLimits(0.0, 255.0, 1.0, 1e-6, 1e6)


def soak(camera: str, settings: dict[str, str], frames: int) -> tuple[dict[str, object], Soak]:
    """The stream's summary over so many frames, and what was seen. Raises `InputError` below 100 frames."""
    from tqdm import tqdm

    if frames < READINGS:
        raise InputError(f"{frames} frames would be taken; expected {READINGS} or more, to see a trend")
    recipe = replace(read_detector(DEMO_DETECTOR)[1], health=ANY)
    with (
        Detector(recipe, engine_of_nothing(recipe)) as detector,
        open_camera(camera, {"settings": settings} if settings else {}) as source,
        tqdm(total=frames, unit="frame", disable=None) as bar,
    ):
        readings = Readings(frames, bar.update, resident_with_children)
        summary = Pipeline(source, detector, readings, frames).run()
    return summary.as_dict(), readings.seen("no picture came; see what the stream says of this camera")


def resident_with_children() -> float:
    """MiB of this process and of those that it started."""
    pids = Path("/proc/self/task").glob("*/children")
    children = [int(pid) for path in pids for pid in path.read_text().split()]
    return resident_mib() + sum(_if_there(pid) for pid in children)


def _if_there(pid: int) -> float:
    try:
        return resident_mib(pid)
    except (OSError, IndexError):  # it has just ended
        return 0.0


def main() -> None:
    parser = argparse.ArgumentParser(
        prog=cli.program("benchmarks.stream.free_run"), description="Watch a long run of a camera in free run."
    )
    parser.add_argument("--camera", default="pylon:", metavar="URI", help="(pylon:, the only one of Basler's)")
    parser.add_argument("--minutes", type=cli.positive_number, default=30.0, help="how long (30)")
    parser.add_argument("--fps", type=cli.positive_number, default=20.0, help="frames a second, set in the camera (20)")
    add_result_options(parser)
    options = parser.parse_args()
    if not (0 < options.fps < 1e4 and 0 < options.minutes < 1e5):
        raise InputError(f"{options.minutes:g} minutes at {options.fps:g} a second; expected both above 0")
    settings = {"AcquisitionFrameRateEnable": "1", "AcquisitionFrameRate": f"{options.fps:g}"}
    summary, seen = soak(options.camera, settings, round(options.minutes * 60 * options.fps))
    publish(summary, seen, "frame", ("frames", "NO_DECISION", "drops", "lost", "reconnects"), options)


if __name__ == "__main__":
    cli.run(main)

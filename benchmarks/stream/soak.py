"""A long run of the stream on the demo line: does memory stay flat, and how long does a verdict take?

::

    python -m benchmarks.stream.soak [--frames 10000] [--detector FILE] [--threads N] [--json FILE]

The stream is the one of ``python -m runtime.stream --camera demo``, rendering included, in this process. Resident
memory is read every hundredth of the run; its growth is that of a line fitted to all readings after the first tenth, in
which buffers find their size.
"""

import argparse
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.documents import write_document
from benchmarks.environment import describe_environment, one_line
from benchmarks.options import add_json_option, add_threads_option
from runtime import cli
from runtime.cameras import open_source
from runtime.default_detector import DEMO_DETECTOR
from runtime.detector import Detector
from runtime.errors import InputError
from runtime.frames import Frame
from runtime.pipeline import Pipeline
from runtime.verdict import Verdict

READINGS = 100
WARM_UP = 0.1  # share of the readings


@dataclass(frozen=True)
class Memory:
    """Resident memory over a run, MiB."""

    frames: tuple[int, ...]  # at which it was read
    resident_mib: tuple[float, ...]

    @property
    def growth_mib_per_1000(self) -> float:
        """Slope after the warm-up, per 1,000 frames; NaN of fewer than two readings."""
        first = int(len(self.frames) * WARM_UP)
        if len(self.frames) - first < 2:
            return math.nan
        return float(np.polyfit(self.frames[first:], self.resident_mib[first:], 1)[0]) * 1000


def soak(detector_path: Path, frames: int, threads: int | None) -> tuple[dict[str, object], Memory]:
    """Inspect `frames` parts of the demo line; the stream's summary and the memory. Raises `InputError` below 100."""
    from tqdm import tqdm

    if frames < READINGS:
        raise InputError(f"--frames is {frames}; expected {READINGS} or more, to see a trend")
    read_at, resident = [], []
    with (
        Detector.open(detector_path, threads=threads) as detector,
        open_source("demo") as source,
        tqdm(total=frames, unit="frame", disable=None) as bar,
    ):

        def sink(frame: Frame, verdict: Verdict) -> None:
            bar.update()  # a bar without a terminal does not count
            done = frame.frame_id + 1
            if done % (frames // READINGS) == 0:
                read_at.append(done)
                resident.append(resident_mib())

        summary = Pipeline(source, detector, sink, frames).run()
    return summary.as_dict(), Memory(tuple(read_at), tuple(resident))


def resident_mib(process: str | int = "self") -> float:
    """Resident memory of a process, this one by default, from Linux's /proc."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(
        prog=cli.program("benchmarks.stream.soak"), description="Watch a long run's memory."
    )
    parser.add_argument("--frames", type=cli.positive, default=10_000, help="parts to inspect (10000)")
    parser.add_argument(
        "--detector", type=cli.some_path, default=DEMO_DETECTOR, help="default: the packaged demo detector"
    )
    add_threads_option(parser)
    add_json_option(parser)
    options = parser.parse_args()
    summary, memory = soak(options.detector, options.frames, options.threads)
    environment = describe_environment()
    for name, value in summary.items():
        print(f"{name:<14} {value}")
    first, last = memory.resident_mib[0], memory.resident_mib[-1]
    print(f"memory         {first:.1f} MiB at frame {memory.frames[0]}, {last:.1f} MiB at the end")
    print(f"growth         {memory.growth_mib_per_1000:+.3f} MiB per 1,000 frames after warm-up")
    print(one_line(environment))
    if options.json:
        trend = {**asdict(memory), "growth_mib_per_1000": memory.growth_mib_per_1000}
        document = {"summary": summary, "memory": trend, "environment": environment}
        write_document(options.json, document)


if __name__ == "__main__":
    cli.run(main)

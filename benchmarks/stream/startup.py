"""How long after its process starts does the stream give its first verdict, and what does it do until then?

::

    python -m benchmarks.stream.startup [--repeats 10] [--detector FILE] [--threads N] [--json FILE]

Each measurement is a process of its own: ``python -m runtime.stream --camera demo --frames 1 --json``, timed by its
parent from before it starts to the first verdict on its stdout, and in turn with it the same with a clock between its
steps (`benchmarks.stream.startup_probe`). One of each before warms the disk cache. Figures are medians. Processor time
is that of all threads: it hardly grows when other work slows the machine down, the wall clock does.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from benchmarks.documents import write_document
from benchmarks.environment import describe_environment, one_line
from benchmarks.options import add_json_option, add_threads_option
from benchmarks.stream.imports import run_python
from benchmarks.stream.startup_probe import PHASES
from runtime import cli
from runtime.errors import ProctorError

TARGET_S = 2.0
STREAM = ("--camera", "demo", "--frames", "1", "--json")


@dataclass(frozen=True)
class StartUp:
    """Medians over `repeats` processes, in seconds; phases in the order in which they happen."""

    repeats: int
    first_verdict_s: float  # by the parent's clock
    slowest_s: float
    wall_s: dict[str, float]  # by phase
    cpu_s: dict[str, float]

    def lines(self) -> list[str]:
        """The figures as text."""
        verdict = "within" if self.first_verdict_s <= TARGET_S else "over"
        rows = [f"{name:<14}{1e3 * self.wall_s[name]:8.0f}{1e3 * self.cpu_s[name]:12.0f}" for name in PHASES]
        totals = 1e3 * sum(self.wall_s.values()), 1e3 * sum(self.cpu_s.values())
        return [
            f"first verdict {self.first_verdict_s:.2f} s after the process starts (median of {self.repeats}, slowest "
            f"{self.slowest_s:.2f} s): {verdict} the target of {TARGET_S:g} s",
            "phase          wall ms   processor ms",
            *rows,
            f"{'together':<14}{totals[0]:8.0f}{totals[1]:12.0f}",
        ]


def measure(repeats: int, options: Sequence[str] = ()) -> StartUp:
    """Start `repeats` streams with and without a clock inside; `options` are more of the stream's own."""
    arguments = [*STREAM, *options]
    seconds_to_first_verdict(arguments), probed(arguments)
    seconds, probes = [], []
    for _ in range(repeats):
        seconds.append(seconds_to_first_verdict(arguments))
        probes.append(probed(arguments))
    wall, cpu = (
        {phase: statistics.median(probe[kind][phase] for probe in probes) for phase in PHASES}
        for kind in ("wall_s", "cpu_s")
    )
    return StartUp(repeats, statistics.median(seconds), max(seconds), wall, cpu)


def seconds_to_first_verdict(arguments: Sequence[str]) -> float:
    """Start a stream, wait for its first line. Raises `ProctorError` with its last words when it ends without one."""
    command = [sys.executable, "-m", "runtime.stream", *arguments]
    start = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as stream:
        assert stream.stdout is not None
        line = stream.stdout.readline()
        seconds = time.monotonic() - start
        last_words = stream.communicate()[1].strip().splitlines()[-1:]
    if not line.startswith("{"):
        raise ProctorError(f"the stream ended without a verdict: {''.join(last_words) or 'no message'}")
    return seconds


def probed(arguments: Sequence[str]) -> dict[str, dict[str, float]]:
    """One stream with a clock between its steps: ``wall_s`` and ``cpu_s`` by phase."""
    done = run_python("-m", "benchmarks.stream.startup_probe", str(time.monotonic()), *arguments)
    found: dict[str, dict[str, float]] = json.loads(done.splitlines()[-1])
    return found


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog=cli.program("benchmarks.stream.startup"), description="Time the way to a verdict."
    )
    parser.add_argument("--repeats", type=cli.positive, default=10, metavar="N", help="processes of each kind (10)")
    parser.add_argument("--detector", type=cli.some_path, metavar="FILE", help="default: the packaged demo detector")
    add_threads_option(parser)
    add_json_option(parser)
    options = parser.parse_args(arguments)
    given = {"--detector": options.detector, "--threads": options.threads}
    found = measure(options.repeats, [text for name, value in given.items() if value for text in (name, str(value))])
    environment = describe_environment()
    print("\n".join(found.lines()))
    print(one_line(environment))
    if options.json:
        document = {**asdict(found), "target_s": TARGET_S, "environment": environment}
        write_document(options.json, document)


if __name__ == "__main__":
    cli.run(main)

"""How time and memory grow with the size of a frame, the students, the receptive fields and the batch.

::

    python -m benchmarks.growth [--json growth.json] [--plot growth.svg] [--threads N] [--rounds 3]

Detectors have random weights and go through the real export; each configuration runs in a process of its own, which
tells its peak memory. Configurations take turns within each round, so that a busy moment meets them all; times are the
median over all rounds, memory is the highest of any.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.environment import describe_environment, one_line
from benchmarks.growth.configuration import Configuration, Grid, exported
from benchmarks.growth.plots import growth_plot
from benchmarks.options import add_json_option, add_plot_option, add_threads_option
from runtime import cli
from runtime.atomic import write_atomically
from runtime.errors import EngineError
from runtime.machine import available_cores

TIMEOUT_S = 3600.0
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Measured:
    """One configuration; times are of a whole batch."""

    configuration: Configuration
    multiply_adds: int  # of a whole batch
    seconds_p50: float
    seconds_p95: float
    seconds_max: float
    samples: int
    ratio: float  # of the median time to the base's
    loaded_mib: float  # resident before the first batch
    peak_mib: float

    def line(self) -> str:
        """One row of the table."""
        return (
            f"{self.configuration.words():<42} {self.ratio:8.2f} {self.seconds_p50:10.3f} {self.peak_mib:9.0f} "
            f"{self.multiply_adds / 1e9:10.1f} {2 * self.multiply_adds / self.seconds_p50 / 1e9:8.1f}"
        )


@dataclass(frozen=True)
class Run:
    """What one process found; see `benchmarks.growth.child`."""

    seconds: list[float]
    loaded_mib: float
    peak_mib: float


def measure(grid: Grid, threads: int, provider: str, rounds: int, repeats: int) -> list[Measured]:
    """Measure all configurations of a grid, the base first.

    Raises what `exported` raises, `EngineError` when a configuration cannot be run.
    """
    from tqdm import tqdm

    from benchmarks.throughput.arithmetic import count

    configurations = grid.all()
    counted: dict[Configuration, int] = {}
    seconds: dict[Configuration, list[float]] = {c: [] for c in configurations}
    memory: dict[Configuration, list[tuple[float, float]]] = {c: [] for c in configurations}
    with tempfile.TemporaryDirectory() as folder:
        files: dict[Configuration, Path] = {}
        for graph in tqdm(dict.fromkeys(c.graph for c in configurations), "export", disable=None, leave=False):
            files[graph] = Path(folder) / f"{len(files)}.onnx"
            files[graph].write_bytes(exported(graph))
        for c in configurations:
            counted[c] = count(files[c.graph].read_bytes(), (c.batch, c.side, c.side, 3)).multiply_adds
        for _ in tqdm(range(rounds), "round", disable=None, leave=False):
            for c in configurations:
                found = _in_child(files[c.graph], c, threads, provider, repeats)
                seconds[c] += found.seconds
                memory[c].append((found.loaded_mib, found.peak_mib))
    base = float(np.median(seconds[configurations[0]]))
    return [_measured(c, counted[c], seconds[c], memory[c], base) for c in configurations]


def _measured(
    configuration: Configuration,
    multiply_adds: int,
    seconds: list[float],
    memory: list[tuple[float, float]],
    base: float,
) -> Measured:
    p50, p95, longest = (float(x) for x in np.quantile(seconds, (0.5, 0.95, 1)))
    loaded, peak = np.max(memory, axis=0)
    return Measured(
        configuration, multiply_adds, p50, p95, longest, len(seconds), p50 / base, float(loaded), float(peak)
    )


def _in_child(model: Path, c: Configuration, threads: int, provider: str, repeats: int) -> Run:
    command = [sys.executable, "-m", "benchmarks.growth.child", str(model)]
    command += [str(x) for x in (c.side, c.batch, threads, provider, repeats)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}, for lack of memory perhaps"]
        raise EngineError(f"{c.words()} could not be run ({lines[-1].removeprefix('error: ')}); leave it out")
    return Run(**json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(prog=cli.program("benchmarks.growth"), description="Measure how cost grows.")
    default = Grid()
    for name, what in (
        ("sides", "sides of the square frame"),
        ("students", "students of each scale"),
        ("patch-sizes", "scales, added in this order"),
        ("batches", "frames a batch"),
    ):
        values = getattr(default, name.replace("-", "_"))
        shown = " ".join(map(str, values))
        parser.add_argument(
            f"--{name}", type=cli.positive, nargs="+", default=values, metavar="N", help=f"{what} ({shown})"
        )
    parser.add_argument("--stride", type=cli.positive, default=default.stride, help=f"of the output ({default.stride})")
    parser.add_argument("--width", type=cli.positive_number, default=1.0, help="share of the paper's channels (1)")
    parser.add_argument("--provider", choices=("cpu", "cuda"), default="cpu", help="of ONNX Runtime (cpu)")
    add_threads_option(parser)
    parser.add_argument("--rounds", type=cli.positive, default=3, help="processes of each configuration (3)")
    parser.add_argument("--repeats", type=cli.positive, default=5, help="batches in each process (5)")
    add_json_option(parser)
    add_plot_option(parser)
    arguments = parser.parse_args()

    grid = Grid(
        tuple(arguments.sides),
        tuple(arguments.students),
        tuple(arguments.patch_sizes),
        tuple(arguments.batches),
        arguments.stride,
        arguments.width,
    )
    threads = arguments.threads or available_cores()
    measured = measure(grid, threads, arguments.provider, arguments.rounds, arguments.repeats)
    places = {entry.configuration: index for index, entry in enumerate(measured)}
    environment = describe_environment()
    document = {
        "measured": [asdict(entry) for entry in measured],
        "axes": {axis: [places[c] for c in chosen] for axis, chosen in grid.configurations().items()},
        "provider": arguments.provider,
        "threads": threads,
        "environment": environment,
    }
    print(f"{'':<42} {'ratio':>8} {'s a batch':>10} {'peak MiB':>9} {'G mult-add':>10} {'Gop/s':>8}")
    print("\n".join(entry.line() for entry in measured))
    print(f"times are good for this machine alone, threads: {threads}; {one_line(environment)}")
    if arguments.json:
        write_atomically(arguments.json, json.dumps(document, indent=1).encode())
    if arguments.plot:
        from benchmarks.plots import save

        save(growth_plot(json.loads(json.dumps(document))), arguments.plot)


if __name__ == "__main__":
    cli.run(main)

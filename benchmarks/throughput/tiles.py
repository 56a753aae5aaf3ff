"""``python -m benchmarks.throughput.tiles``: what tiles cost and save: peak memory, time and arithmetic of one frame.

    python -m benchmarks.throughput.tiles [--side 1024] [--tiles 1x1 2x2 4x4] [--presets students edge] [--json FILE]

Of graphs that ``python -m export.onnx`` writes, of random weights, in a process of its own each, through ONNX Runtime
on CPU cores. Tiles that a detector's networks see beyond are told as refused.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.environment import describe_environment, one_line
from benchmarks.options import add_threads_option
from benchmarks.throughput.arithmetic import count
from benchmarks.throughput.untrained import Untrained, shipped_or_file, untrained, untrained_memory_bank
from export.fused import FusedDetector
from export.graph import export_graph
from export.tiles import parsed
from runtime import cli
from runtime.atomic import write_atomically
from runtime.errors import EngineError, InputError
from runtime.machine import available_cores
from train.options import StudentsConfig
from train.preset import configuration, read_preset


@dataclass(frozen=True)
class Row:
    """One detector in some tiles."""

    preset: str
    side: int  # of the square frame, pixels
    tiles: str  # rows x columns
    tile_hw: tuple[int, int] | None  # pixels of each; none of the frame at once
    giga_multiply_adds: float  # a frame, the overlap included
    loaded_mib: float  # resident before the first frame
    peak_mib: float  # resident at most
    seconds: float  # a frame, median


def measure(preset: str, side: int, text: str, threads: int, repeats: int) -> Row:
    """One row. Raises `InputError` for tiles that are refused, `EngineError` when the process fails."""
    fused = FusedDetector(_untrained(preset, side).run, tiles=parsed(text))
    graph = export_graph(fused, (side, side))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.onnx"
        path.write_bytes(graph)
        words = [str(path), str(side), "1", str(threads), "cpu", str(repeats)]
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.growth.child", *words], capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise EngineError(f"{preset} in {text} tiles: {done.stderr.strip().splitlines()[-1:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    tile_hw = None if fused.tiles is None else fused.tiles.tiling.tile_hw
    arithmetic = count(graph, (1, side, side, 3)).multiply_adds / 1e9
    return Row(
        preset, side, text, tile_hw, arithmetic, found["loaded_mib"], found["peak_mib"], median(found["seconds"])
    )


def _untrained(preset: str, side: int) -> Untrained:
    method = read_preset(preset).method
    config = replace(configuration(preset, method, {"device": "cpu"}), size_hw=(side, side))
    if isinstance(config, StudentsConfig):
        return untrained(config, [shipped_or_file(name) for name in config.teachers])
    return untrained_memory_bank(config)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    options = _parser().parse_args(arguments)
    threads = options.threads or available_cores()
    rows = []
    for preset in options.presets:
        for text in options.tiles:
            try:
                rows.append(measure(preset, options.side, text, threads, options.repeats))
            except InputError as error:
                print(f"{preset:10} {text:>5} refused: {error}")
                continue
            row = rows[-1]
            print(
                f"{preset:10} {text:>5} {row.giga_multiply_adds:8.1f} G, peak {row.peak_mib:6.0f} MiB (loaded "
                f"{row.loaded_mib:.0f}), {row.seconds:.2f} s"
            )
    environment = describe_environment() | {"threads": threads}
    print(one_line(environment))
    if options.json:
        document = {"rows": [asdict(row) for row in rows], "environment": environment}
        write_atomically(options.json, json.dumps(document, indent=1).encode())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=cli.program("benchmarks.throughput.tiles"), description="Measure what tiles cost and save."
    )
    parser.add_argument("--side", type=cli.positive, default=1024, help="of the square frame, pixels (%(default)s)")
    parser.add_argument("--tiles", nargs="+", default=["1x1", "2x2", "4x4"], help="rows and columns (%(default)s)")
    parser.add_argument("--presets", nargs="+", default=["students", "edge"], help="of training (%(default)s)")
    add_threads_option(parser)
    parser.add_argument("--repeats", type=cli.positive, default=3, help="frames after one to warm up (%(default)s)")
    parser.add_argument("--json", type=cli.file, help="write rows and machine there")
    return parser


if __name__ == "__main__":
    cli.run(main)

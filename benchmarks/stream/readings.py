"""What is read during a long run of the stream: memory, and the time from a picture to the output of its verdict."""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.documents import write_document
from benchmarks.environment import describe_environment, one_line
from benchmarks.options import add_json_option
from benchmarks.stream.soak import READINGS, Memory, resident_mib
from runtime import cli
from runtime.engines import Output
from runtime.engines.threaded import ThreadedEngine
from runtime.errors import InputError
from runtime.frames import Frame
from runtime.recipe import Recipe
from runtime.verdict import Verdict


@dataclass(frozen=True)
class Soak:
    """What was seen. Times are from a picture to the output of its verdict."""

    memory: Memory
    p99_ms: tuple[float | None, ...]  # of the pictures between two readings, where there were some
    overall_p50_ms: float
    overall_p99_ms: float
    longest_ms: float

    def lines(self, unit: str) -> list[str]:
        """The figures as text."""
        first, last = self.memory.resident_mib[0], self.memory.resident_mib[-1]
        return [
            f"memory         {first:.1f} MiB at {unit} {self.memory.frames[0]:,}, {last:.1f} MiB at the end",
            f"growth         {self.memory.growth_mib_per_1000:+.3f} MiB per 1,000 {unit}s after warm-up",
            f"overhead       p50 {self.overall_p50_ms:.2f} ms, p99 {self.overall_p99_ms:.2f} ms, "
            f"longest {self.longest_ms:.2f} ms",
        ]


class Readings:
    """A sink that reads, every hundredth of a run of `count` frames, how much memory is resident."""

    def __init__(self, count: int, done: Callable[[], object], resident: Callable[[], float] = resident_mib) -> None:
        """`done` is called with each frame; `resident` says how many MiB are."""
        self._count, self._done, self._resident_mib, self._taken = count, done, resident, 0
        self._read_at, self._resident, self._p99_ms = list[int](), list[float](), list[float | None]()
        self._block, self._overheads = list[float](), np.full(count, np.nan, np.float32)

    def __call__(self, frame: Frame, verdict: Verdict) -> None:
        """Take a verdict."""
        self._done()
        self._taken += 1
        if frame.problem is None:
            at_s = time.monotonic() if verdict.output_s is None else verdict.output_s
            self._block.append(1e3 * (at_s - frame.captured_s))
            self._overheads[self._taken - 1] = self._block[-1]
        if self._taken % (self._count // READINGS) == 0:
            self._read_at.append(self._taken)
            self._resident.append(self._resident_mib())
            self._p99_ms.append(float(np.quantile(self._block, 0.99)) if self._block else None)
            self._block.clear()

    def seen(self, nothing: str) -> Soak:
        """What was read. Raises `InputError`, with the sentence `nothing`, where no picture came."""
        seen = self._overheads[np.isfinite(self._overheads)]
        if not len(seen):
            raise InputError(nothing)
        p50, p99 = (float(np.quantile(seen, share)) for share in (0.5, 0.99))
        memory = Memory(tuple(self._read_at), tuple(self._resident))
        return Soak(memory, tuple(self._p99_ms), p50, p99, float(seen.max()))


def engine_of_nothing(recipe: Recipe) -> ThreadedEngine:
    """An engine whose maps and scores are zeros, at once: all that is left is what a verdict costs beside it."""
    kinds = 1 + len(recipe.method.image_evidence)

    def compute(frames: NDArray[np.uint8]) -> Output:
        maps = np.zeros((1, *recipe.size_hw), np.float32)
        return Output(maps, np.zeros(1, np.float32), maps, np.zeros((1, kinds), np.float32))

    return ThreadedEngine(compute, recipe.size_hw, 1, 2, "an engine that computes nothing")


def add_result_options(parser: argparse.ArgumentParser) -> None:
    """Where a long run's figures go; see `publish`."""
    parser.add_argument("--plot", type=cli.some_path, metavar="FILE", help="draw memory and overhead, .svg or .png")
    add_json_option(parser)


def publish(
    summary: dict[str, object], seen: Soak, unit: str, shown: Sequence[str], options: argparse.Namespace
) -> None:
    """Print what was seen, with the counts of the stream's summary that are `shown`; write and draw it as asked.

    `unit` is what was counted: ``trigger`` or ``frame``.
    """
    environment = describe_environment()
    for name in shown:
        print(f"{name:<14} {summary[name]}")
    print("\n".join([*seen.lines(unit), one_line(environment)]))
    growth = seen.memory.growth_mib_per_1000
    figures = {"summary": summary, "seen": asdict(seen), "growth_mib_per_1000": growth, "unit": unit}
    document = figures | {"environment": environment}
    if options.json:
        write_document(options.json, document)
    if options.plot:
        from benchmarks.plots import save
        from benchmarks.stream.triggers_plot import draw

        save(draw(document), options.plot)

"""What the stream costs beside the inference, phase by phase, and how evenly it runs.

::

    python -m benchmarks.stream.overhead [--camera URI] [--frames 200] [--detector FILE] [--threads N] [--json FILE]

The stream is the real one, threads included; its steps are wrapped by a clock. A frame's time is the sum of its phases,
its overhead all of them but the inference. Without ``--camera`` the frames are 16 rendered parts, kept in memory and
handed out as a sensor's, over and over, so that rendering them is not counted as capture. The summary and a line of
JSON are the report. The first frames warm up and do not count.
"""

import argparse
import io
import itertools
import json
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from benchmarks.environment import describe_environment, one_line
from benchmarks.options import add_json_option
from runtime import cli, detector
from runtime.cameras import KNOWN, Source, open_source
from runtime.cameras.base import FreeRun
from runtime.detector import Detector
from runtime.engine_options import add_engine_options, open_detector
from runtime.engines import Output
from runtime.engines.threaded import ThreadedEngine
from runtime.errors import InputError
from runtime.frames import Frame
from runtime.health import HealthCheck
from runtime.pipeline import Pipeline
from runtime.sinks.lines import JsonLines
from runtime.summary import Summary
from runtime.verdict import Decision

PHASES = ("capture", "preparation", "health", "hand-over", "inference", "regions", "report")
TARGET_SHARE, TARGET_SPREAD = 0.05, 1.3
WARM_UP = 5
PARTS = 16


class Clock:
    """Seconds by phase, in the order of the frames."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)

    def timed(self, phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, each call of which is one frame's phase."""

        def wrapped(*arguments: Any, **options: Any) -> Any:
            start = time.perf_counter()
            result = function(*arguments, **options)
            self.seconds[phase].append(time.perf_counter() - start)
            return result

        return wrapped


class TimedEngine:
    """An engine that notes how long its batches take, and how long handing them over and their results back."""

    def __init__(self, engine: ThreadedEngine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock
        self._submitting: dict[int, tuple[int, float]] = {}  # by ticket: its place in the order, and how long it took
        self._places = itertools.count()
        self._done_s: list[float] = []
        self.max_batch, self.slots, self.description = engine.max_batch, engine.slots, engine.description
        inner = clock.timed("inference", engine._infer)

        def infer(frames: NDArray[np.uint8]) -> Output:
            output: Output = inner(frames)
            self._done_s.append(time.perf_counter())
            return output

        engine._infer = infer

    def submit(self, frames: NDArray[np.uint8]) -> int:
        """See `Engine.submit`."""
        start = time.perf_counter()
        ticket = self._engine.submit(frames)
        self._submitting[ticket] = next(self._places), time.perf_counter() - start
        return ticket

    def result(self, ticket: int, timeout_s: float = 30.0) -> Output:
        """See `Engine.result`."""
        asked_s = time.perf_counter()
        output = self._engine.result(ticket, timeout_s)
        # waiting for the inference is no overhead; from its end, or from asking later than that, it is
        place, submitting_s = self._submitting.pop(ticket)
        since_s = max(asked_s, self._done_s[place])
        self._clock.seconds["hand-over"].append(submitting_s + time.perf_counter() - since_s)
        return output

    def close(self) -> None:
        """See `Engine.close`."""
        self._engine.close()


class KeptParts(FreeRun):
    """A source of rendered parts that are kept in memory, as from a sensor. Without end."""

    live, drops, lost, reconnects = False, 0, 0, 0

    def __init__(self, count: int = PARTS) -> None:
        with open_source("demo") as line:
            kept = [frame for _ in range(count) if (frame := line.read()) is not None]
        self._parts, self._numbers = itertools.cycle(kept), itertools.count()

    def read(self, timeout_s: float = 5.0) -> Frame | None:
        """See `Source.read`."""
        return replace(
            next(self._parts),
            frame_id=next(self._numbers),
            live=True,
            captured_s=time.monotonic(),
            captured_at=time.time(),
        )

    def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True)
class Overhead:
    """What was measured over `frames` frames."""

    frames: int
    rejected: int  # frames that were searched for regions, warm-up included
    p50_ms: dict[str, float]  # by phase
    p99_ms: dict[str, float]
    frame_p50_ms: float
    frame_p99_ms: float
    overhead_share: float  # median over the frames, of the frame's time

    @property
    def spread(self) -> float:
        """p99 over p50 of the frame's time."""
        return self.frame_p99_ms / self.frame_p50_ms

    def lines(self) -> list[str]:
        """The figures as a table."""
        rows = [(name, self.p50_ms[name], self.p99_ms[name]) for name in PHASES]
        rows.append(("frame", self.frame_p50_ms, self.frame_p99_ms))
        share, spread = _judged(self.overhead_share, TARGET_SHARE), _judged(self.spread, TARGET_SPREAD)
        return [
            f"{'phase':<12}{'p50 ms':>9}{'p99 ms':>9}{'share':>9}",
            *(f"{n:<12}{p50:9.3f}{p99:9.3f}{100 * p50 / self.frame_p50_ms:8.2f}%" for n, p50, p99 in rows),
            f"overhead {100 * self.overhead_share:.2f} % of a frame's time ({share} {100 * TARGET_SHARE:.0f} %)",
            f"p99 {self.spread:.2f} times p50 ({spread} {TARGET_SPREAD:g})",
            f"{self.frames} frames after {WARM_UP} to warm up; {self.rejected} of all rejected, with their regions",
        ]


def measure(opened: Detector, source: Source, frames: int) -> Overhead:
    """Run `frames` frames of a source through a detector over a `ThreadedEngine`, after some to warm up.

    The detector must be fresh. Raises `InputError` for another engine, and when the source ends early or delivers
    frames that are not scored: what was not done has no time.
    """
    if not isinstance(opened.engine, ThreadedEngine):
        raise InputError(f"{opened.engine.description} computes on a device of its own; expected ONNX Runtime")
    clock, total = Clock(), WARM_UP + frames
    opened.engine = TimedEngine(opened.engine, clock)
    steps = {"preparation": (detector, "prepare"), "health": (HealthCheck, "problem"), "regions": (Detector, "_judged")}
    with ExitStack() as stack:
        for phase, (owner, name) in {**steps, "capture": (source, "read"), "summary": (Summary, "add")}.items():
            stack.enter_context(mock.patch.object(owner, name, clock.timed(phase, getattr(owner, name))))
        sink = clock.timed("report", JsonLines(io.StringIO()).write)
        rejected = Pipeline(source, opened, sink, total).run().decisions[Decision.NG]
    scored = len(clock.seconds["inference"])
    if scored < total:
        raise InputError(f"{scored} of {total} frames were scored; expected a source of enough frames, all healthy")
    return _overhead({name: np.array(found[WARM_UP:total]) * 1e3 for name, found in clock.seconds.items()}, rejected)


def _overhead(ms: dict[str, NDArray[np.float64]], rejected: int) -> Overhead:
    """The figures of milliseconds by phase, each [frames]."""
    phases = {**ms, "report": ms["report"] + ms["summary"]}
    found = np.array([phases[name] for name in PHASES])  # [phases, frames]
    frame = found.sum(axis=0)
    p50, p99 = np.quantile(found, (0.5, 0.99), axis=1)
    return Overhead(
        frames=len(frame),
        rejected=rejected,
        p50_ms=dict(zip(PHASES, p50.tolist(), strict=True)),
        p99_ms=dict(zip(PHASES, p99.tolist(), strict=True)),
        frame_p50_ms=float(np.quantile(frame, 0.5)),
        frame_p99_ms=float(np.quantile(frame, 0.99)),
        overhead_share=float(np.median(1 - phases["inference"] / frame)),
    )


def _judged(value: float, target: float) -> str:
    return "within the target of" if value <= target else "over the target of"


def main(arguments: list[str] | None = None) -> None:
    from runtime.atomic import write_atomically
    from runtime.default_detector import DEMO_DETECTOR

    parser = argparse.ArgumentParser(
        prog=cli.program("benchmarks.stream.overhead"), description="Time the stream's own work."
    )
    parser.add_argument("--camera", metavar="URI", help=f"{KNOWN} (default: rendered parts kept in memory)")
    parser.add_argument("--frames", type=cli.positive, default=200, metavar="N", help="that count (200)")
    parser.add_argument(
        "--detector", type=cli.some_path, default=DEMO_DETECTOR, help="default: the packaged demo detector"
    )
    add_engine_options(parser)
    add_json_option(parser)
    options = parser.parse_args(arguments)
    with (
        open_source(options.camera) if options.camera else KeptParts() as source,
        open_detector(options.detector, options) as opened,
    ):
        description = f"{options.detector.name} on {opened.engine.description}"
        found = measure(opened, source, options.frames)
    environment = describe_environment()
    print("\n".join([description, *found.lines(), one_line(environment)]))
    if options.json:
        figures = {
            **asdict(found),
            "spread": found.spread,
            "target_share": TARGET_SHARE,
            "target_spread": TARGET_SPREAD,
        }
        document = {**figures, "detector": description, "environment": environment}
        write_atomically(options.json, json.dumps(document, indent=1).encode())


if __name__ == "__main__":
    cli.run(main)

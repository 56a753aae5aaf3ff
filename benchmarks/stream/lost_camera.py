"""Two cameras on one line, one of them killed and gone for a minute: what does the other one notice of it?

::

    python -m benchmarks.stream.lost_camera [--seconds 60] [--fps 4] [--detector FILE] [--threads N] [--json FILE]

The line is ``python -m runtime.stream --line``, in a process of its own, on two HTTP cameras that are processes, too
(`benchmarks.stream.parts_camera`); both have the same detector, and so share its engine. For a third of the time both
are there; then one is killed for all of it; then it is started again at its address, for another third. The other's
latencies, from capture to decision, are compared before and while the first is gone; and from the first third to the
last it must have a verdict for every picture that its camera sent, which keeps its pace by the clock.
"""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.documents import write_document
from benchmarks.environment import describe_environment, one_line
from benchmarks.options import add_json_option, add_threads_option
from runtime import cli
from runtime.default_detector import DEMO_DETECTOR
from runtime.errors import ProctorError

TARGET_RATIO = 1.2
SETTLE_S = 2.0  # after a change, before latencies count
LONGEST_WAIT_S = 60.0


@dataclass(frozen=True)
class Phase:
    """The verdicts of the camera that stays, in one phase."""

    verdicts: int
    seconds: float
    p50_ms: float
    p99_ms: float
    largest_ms: float


@dataclass(frozen=True)
class Lost:
    """What was measured."""

    phases: dict[str, Phase]
    fps: float  # of each camera
    sent: int  # pictures of the camera that stays, from the first phase to the last
    judged: int  # of these, with a score
    losses: int  # of the other camera, as its verdicts say
    reconnects: int

    @property
    def ratio(self) -> float:
        """p99 while the other is gone over p99 before."""
        return self.phases["one gone"].p99_ms / self.phases["both"].p99_ms

    @property
    def complete(self) -> bool:
        """Whether every picture of the camera that stays was judged; one may be under way at each end."""
        return self.judged >= self.sent - 2

    def lines(self) -> list[str]:
        """The figures as a table."""
        verdict = "within" if self.ratio <= TARGET_RATIO else "over"
        return [
            f"{'phase':<12}{'verdicts':>9}{'seconds':>9}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}",
            *(
                f"{name:<12}{each.verdicts:9d}{each.seconds:9.1f}{each.p50_ms:9.1f}{each.p99_ms:9.1f}"
                f"{each.largest_ms:9.1f}"
                for name, each in self.phases.items()
            ),
            f"p99 while the other camera is gone {self.ratio:.2f} times that before: {verdict} the target of "
            f"{TARGET_RATIO:g}",
            f"of the camera that stays {self.judged} of {self.sent} pictures were judged: "
            f"{'all' if self.complete else 'NOT all'}, but for those under way",
            f"of the other: {self.losses} losses, {self.reconnects} reconnects",
        ]


class Camera:
    """A camera's process, which is killed and started again at the same address."""

    def __init__(self, seed: int, period_s: float) -> None:
        self._seed, self._period_s, self.port = seed, period_s, 0
        self.start()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        command = [sys.executable, "-m", "benchmarks.stream.parts_camera", self.port, self._seed, self._period_s]
        self._process = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        if not answer:
            raise ProctorError("a camera's process ended at its start; its words stand above")
        self.port = int(answer)

    def kill(self) -> None:
        """End it as a power cut does."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


class Verdicts:
    """What a line prints, with when it was printed, by camera."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.of: dict[str, list[tuple[float, dict[str, Any]]]] = {"stays": [], "leaves": []}
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, args=(lines,), daemon=True)
        self._thread.start()

    def wait_for_both(self) -> None:
        """Wait until both cameras are judged. Raises `ProctorError` when that takes too long."""
        with self._changed:
            before = {name: self._judged(name) for name in self.of}
            if not self._changed.wait_for(
                lambda: all(self._judged(name) > before[name] for name in before), LONGEST_WAIT_S
            ):
                raise ProctorError(f"both cameras were not judged within {LONGEST_WAIT_S:g} s; see what the line said")

    def join(self) -> None:
        """Wait for the end of what is printed."""
        self._thread.join(LONGEST_WAIT_S)

    def _judged(self, name: str) -> int:
        return sum(verdict["score"] is not None for _, verdict in self.of[name])

    def _read(self, lines: Iterator[str]) -> None:
        for line in lines:
            verdict = json.loads(line)
            with self._changed:
                self.of[verdict["camera"]].append((time.monotonic(), verdict))
                self._changed.notify_all()


def measure(seconds: float, fps: float, detector: Path, threads: int | None) -> Lost:
    """Run the line. Raises `ProctorError` where the line ends early or a camera is not judged."""
    with tempfile.TemporaryDirectory() as folder, _cameras(fps) as (stays, leaves):
        _describe(Path(folder), detector, threads, {"stays": stays.port, "leaves": leaves.port})
        with _line(Path(folder)) as (process, verdicts):
            verdicts.wait_for_both()
            spans = {"both": _span(seconds / 3)}
            leaves.kill()
            spans["one gone"] = _span(seconds)
            leaves.start()
            verdicts.wait_for_both()
            spans["both again"] = _span(seconds / 3)
            process.send_signal(signal.SIGTERM)
            verdicts.join()
            if process.wait() != 0:
                raise ProctorError("the line ended with an error, which stands above")
        summary = json.loads((Path(folder) / "summary.json").read_text())
    return _figures(verdicts, spans, summary, fps)


def _span(seconds: float) -> tuple[float, float]:
    """Wait, and return from when to when what happens counts."""
    time.sleep(SETTLE_S)
    start_s = time.monotonic()
    time.sleep(seconds)
    return start_s, time.monotonic()


@contextmanager
def _cameras(fps: float) -> Iterator[tuple[Camera, Camera]]:
    stays = Camera(3, 1 / fps)
    try:
        leaves = Camera(4, 1 / fps)
        try:
            yield stays, leaves
        finally:
            leaves.kill()
    finally:
        stays.kill()


@contextmanager
def _line(folder: Path) -> Iterator[tuple["subprocess.Popen[str]", Verdicts]]:
    command = [sys.executable, "-m", "runtime.stream", "--line", "line.yaml", "--json", "--summary", "summary.json"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, Verdicts(process.stdout)
        finally:
            process.kill()


def _describe(folder: Path, detector: Path, threads: int | None, ports: dict[str, int]) -> None:
    """Write the line's description, and its detector under another name: the packaged one is for the demo line."""
    shutil.copy(detector, folder / f"lid{detector.suffix}")
    how = f", threads: {threads}" if threads else ""
    cameras = "\n".join(f"  {name}: {{uri: 'http://127.0.0.1:{port}/video'}}" for name, port in ports.items())
    text = f"detectors: {{lid: {{file: lid{detector.suffix}{how}}}}}\ncameras:\n{cameras}\n"
    (folder / "line.yaml").write_text(text)


def _figures(verdicts: Verdicts, spans: dict[str, tuple[float, float]], summary: dict[str, Any], fps: float) -> Lost:
    stays = verdicts.of["stays"]
    start_s, end_s = spans["both"][0], spans["both again"][1]
    return Lost(
        phases={name: _phase(stays, *span) for name, span in spans.items()},
        fps=fps,
        sent=round((end_s - start_s) * fps),
        judged=sum(verdict["score"] is not None and start_s <= at_s < end_s for at_s, verdict in stays),
        losses=sum(verdict["reason"].startswith("camera lost") for _, verdict in verdicts.of["leaves"]),
        reconnects=summary["cameras"]["leaves"]["reconnects"],
    )


def _phase(verdicts: list[tuple[float, dict[str, Any]]], start_s: float, end_s: float) -> Phase:
    latencies = [verdict["latency_ms"] for at_s, verdict in verdicts if start_s <= at_s < end_s]
    if not latencies:
        raise ProctorError("the camera that stays was not judged in one of the phases; see what the line said")
    p50, p99 = np.quantile(latencies, (0.5, 0.99))
    return Phase(len(latencies), end_s - start_s, float(p50), float(p99), max(latencies))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog=cli.program("benchmarks.stream.lost_camera"), description="Kill one of two cameras and watch the other."
    )
    parser.add_argument("--seconds", type=cli.positive_number, default=60.0, help="that one camera is gone (60)")
    parser.add_argument("--fps", type=cli.positive_number, default=4.0, help="of each camera (4)")
    parser.add_argument(
        "--detector", type=cli.some_path, default=DEMO_DETECTOR, help="default: the packaged demo detector"
    )
    add_threads_option(parser)
    add_json_option(parser)
    options = parser.parse_args(arguments)
    found = measure(options.seconds, options.fps, options.detector, options.threads)
    environment = describe_environment()
    print("\n".join([*found.lines(), one_line(environment)]))
    if options.json:
        figures = {**asdict(found), "ratio": found.ratio, "complete": found.complete, "target_ratio": TARGET_RATIO}
        write_document(options.json, {**figures, "environment": environment})


if __name__ == "__main__":
    cli.run(main)

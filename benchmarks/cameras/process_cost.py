"""What a driver in a process of its own costs per frame, against the same driver in this process.

::

    python -m benchmarks.cameras.process_cost [--frames 500] [--size 1024x1040] [--pixel-format Mono8] [--json FILE]

Basler's emulated camera is opened twice, in this process and in one of its own, and both are triggered by turns, so
that both see the same machine. A frame's time is from before the trigger until its pixels are here as BGR. The emulated
exposure takes the larger part of it, so the difference is told too, and what the way of the pixels alone takes: a
picture of that size that a driver has ready, which in this process takes no time at all.
"""

import argparse
import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from benchmarks.environment import describe_environment, one_line
from benchmarks.options import add_json_option
from runtime import cli
from runtime.atomic import write_atomically
from runtime.cameras.capture import Shot, TriggeredCapture
from runtime.cameras.driver.hosted import Driver
from runtime.cameras.genicam.pylon import capture_of, pylon_driver
from runtime.errors import InputError, SourceError

SERIAL = "0815-0000"
WARM_UP = 20
PATIENCE_S = 10.0


@dataclass(frozen=True)
class Cost:
    """Times of a frame, milliseconds."""

    frames: int
    here_p50_ms: float
    here_p99_ms: float
    apart_p50_ms: float  # in a process of its own
    apart_p99_ms: float
    difference_p50_ms: float  # of frames one after the other
    difference_p99_ms: float
    pixels_p50_ms: float  # the way of the pixels alone
    pixels_p99_ms: float

    def lines(self) -> list[str]:
        """The figures as a table."""
        return [
            f"{'trigger to picture':<32}{'p50 ms':>9}{'p99 ms':>9}",
            f"{'driver in this process':<32}{self.here_p50_ms:9.3f}{self.here_p99_ms:9.3f}",
            f"{'driver in a process of its own':<32}{self.apart_p50_ms:9.3f}{self.apart_p99_ms:9.3f}",
            f"{'ratio':<32}{self.apart_p50_ms / self.here_p50_ms:9.3f}{self.apart_p99_ms / self.here_p99_ms:9.3f}",
            f"{'difference, pair by pair':<32}{self.difference_p50_ms:9.3f}{self.difference_p99_ms:9.3f}",
            f"{'the way of the pixels alone':<32}{self.pixels_p50_ms:9.3f}{self.pixels_p99_ms:9.3f}",
            f"{self.frames} frames of each, by turns, after {WARM_UP} to warm up",
        ]


class Still:
    """A camera that has its picture ready when it is triggered."""

    drops = 0
    pairs_by = "frame counter"

    def __init__(self, height: int, width: int) -> None:
        self._picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        self._triggered = False

    def trigger(self) -> None:
        """See `TriggeredCapture.trigger`."""
        self._triggered = True

    def wait(self, timeout_s: float) -> Shot | None:
        """See `TriggeredCapture.wait`."""
        end_s = time.monotonic() + timeout_s
        while not self._triggered:
            if time.monotonic() > end_s:
                return None
            time.sleep(5e-5)
        self._triggered = False
        return Shot(self._picture, time.monotonic(), time.time())

    def is_alive(self) -> bool:
        """See `TriggeredCapture.is_alive`."""
        return True

    def release(self) -> None:
        """See `TriggeredCapture.release`."""


def open_still(height: int, width: int) -> Still:
    """For the driver's process."""
    return Still(height, width)


def measure(frames: int, size_hw: tuple[int, int], pixel_format: str) -> Cost:
    """Trigger both cameras `frames` times by turns. Raises `SourceError` where one does not deliver."""
    height, width = size_hw
    settings = {"Width": str(width), "Height": str(height), "PixelFormat": pixel_format}
    here = capture_of(SERIAL, settings, "software")
    try:
        apart = pylon_driver(f"pylon:{SERIAL}", settings, "software").open()
        try:
            pairs = [(_timed(here), _timed(apart)) for _ in range(WARM_UP + frames)][WARM_UP:]
        finally:
            apart.release()
    finally:
        here.release()
    still = Driver(
        "a still picture", "benchmarks.cameras.process_cost:open_still", {"height": height, "width": width}
    ).open()
    try:
        handed = [_handed(still, still.trigger) for _ in range(WARM_UP + frames)][WARM_UP:]
    finally:
        still.release()
    return _cost(np.array(pairs) * 1e3, np.array(handed) * 1e3)


def _timed(capture: TriggeredCapture) -> float:
    """Seconds from the trigger to the picture."""
    start_s = time.perf_counter()
    capture.trigger()
    shot = capture.wait(PATIENCE_S)
    if shot is None or not isinstance(shot.picture, np.ndarray):
        raise SourceError(f"a triggered camera delivered {'nothing' if shot is None else shot.picture}; start again")
    return time.perf_counter() - start_s


def _handed(capture: TriggeredCapture, trigger: Callable[[], None]) -> float:
    """Seconds from when the driver had the picture until it is here."""
    trigger()
    shot = capture.wait(PATIENCE_S)
    if shot is None:
        raise SourceError("a picture that was ready did not come; start again")
    return time.monotonic() - shot.captured_s


def _cost(pairs_ms: NDArray[np.float64], handed_ms: NDArray[np.float64]) -> Cost:
    """The figures of pairs [N, 2] and hand-overs [N]."""

    def quantiles(ms: NDArray[np.float64]) -> tuple[float, float]:
        p50, p99 = np.quantile(ms, (0.5, 0.99))
        return float(p50), float(p99)

    return Cost(
        len(pairs_ms),
        *quantiles(pairs_ms[:, 0]),
        *quantiles(pairs_ms[:, 1]),
        *quantiles(pairs_ms[:, 1] - pairs_ms[:, 0]),
        *quantiles(handed_ms),
    )


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise InputError(f"--size is {text!r}; expected WIDTHxHEIGHT, such as 1024x1040")
    return int(match[2]), int(match[1])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog=cli.program("benchmarks.cameras.process_cost"), description="Time a driver in a process of its own."
    )
    parser.add_argument("--frames", type=cli.positive, default=500, metavar="N", help="of each that count (500)")
    parser.add_argument("--size", default="1024x1040", metavar="WxH", help="of the emulated camera (1024x1040)")
    parser.add_argument("--pixel-format", default="Mono8", metavar="NAME", help="of the emulated camera (Mono8)")
    add_json_option(parser)
    options = parser.parse_args(arguments)
    os.environ["PYLON_CAMEMU"] = "1"
    found = measure(options.frames, _size(options.size), options.pixel_format)
    environment = describe_environment()
    print("\n".join([f"{options.size} {options.pixel_format}", *found.lines(), one_line(environment)]))
    if options.json:
        document = {
            **asdict(found),
            "ratio_p50": found.apart_p50_ms / found.here_p50_ms,
            "ratio_p99": found.apart_p99_ms / found.here_p99_ms,
            "size": options.size,
            "pixel_format": options.pixel_format,
            "driver": f"pypylon {version('pypylon')}",
            "environment": environment,
        }
        write_atomically(options.json, json.dumps(document, indent=1).encode() + b"\n")


if __name__ == "__main__":
    cli.run(main)

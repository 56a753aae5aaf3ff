"""What it costs to notice damage: videos read by the product's source and by OpenCV's FFmpeg.

::

    python -m benchmarks.pictures.checks [--frames 60] [--side 1024] [--out FILE]

Each reads the whole file from memory's cache, in turn with the other, `PASSES` times. Figures are milliseconds a frame:
the wall clock's, as median and 90 % quantile over the passes, and the processor's, of all threads, which other work on
the machine hardly changes. OpenCV decodes H.264 in as many threads as there are cores; the product's source decodes in
the thread that reads, so that a failure belongs to the packet that it came from.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from benchmarks.environment import describe_environment, one_line
from runtime import cli
from runtime.atomic import write_atomically
from runtime.cameras import open_source
from runtime.demo import DemoLine
from runtime.errors import InputError

PARTS = 8  # rendered once, and then repeated
PASSES = 7
RATE = 25
VIDEOS = {"mjpeg.avi": "mjpeg", "h264.mp4": "libx264"}


@dataclass(frozen=True)
class Cost:
    """Milliseconds a frame of one video, and how many times OpenCV's the product's are: the medians' ratios."""

    video: str
    frames: int
    checked_ms: tuple[float, float]  # median, 90 % quantile
    opencv_ms: tuple[float, float]
    checked_cpu_ms: float  # medians
    opencv_cpu_ms: float
    ratio: float
    cpu_ratio: float

    def line(self) -> str:
        """The figures in words."""
        return (
            f"{self.video}: {self.checked_ms[0]:.2f} ms a frame (p90 {self.checked_ms[1]:.2f}), "
            f"OpenCV {self.opencv_ms[0]:.2f} ({self.opencv_ms[1]:.2f}): {self.ratio:.2f} times; "
            f"of the processor {self.checked_cpu_ms:.2f}, OpenCV {self.opencv_cpu_ms:.2f}: {self.cpu_ratio:.2f} times"
        )


def write_video(path: Path, codec: str, frames: int, side: int) -> None:
    """A video of `frames` rendered parts of `side` × `side` pixels."""
    line = DemoLine(0, (side, side), 0.3)
    parts = [line.part(number).image for number in range(PARTS)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = side, side
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.options = {"qmin": "2", "qmax": "4"} if codec == "mjpeg" else {"preset": "veryfast", "bf": "0"}
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(parts[number % PARTS], "bgr24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def measure(path: Path, frames: int) -> Cost:
    """Read a video by both, in turn. Raises `InputError` where one of them delivers another number of pictures."""
    readers = (_read_checked, _read_by_opencv)
    ms = np.array([[_timed_ms(read, path, frames) for read in readers] for _ in range(PASSES + 1)])[1:]
    middle, high = np.quantile(ms, (0.5, 0.9), axis=0)  # [reader, clock]
    ratios = middle[0] / middle[1]
    wall = [(float(middle[reader, 0]), float(high[reader, 0])) for reader in (0, 1)]
    cpu = [float(middle[reader, 1]) for reader in (0, 1)]
    return Cost(path.name, frames, wall[0], wall[1], cpu[0], cpu[1], float(ratios[0]), float(ratios[1]))


def _read_checked(path: Path) -> int:
    count = 0
    with open_source(str(path)) as source:
        while (frame := source.read()) is not None:
            count += frame.problem is None
    return count


def _read_by_opencv(path: Path) -> int:
    capture, count = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG), 0
    while capture.read()[0]:
        count += 1
    capture.release()
    return count


def _timed_ms(read: Callable[[Path], int], path: Path, frames: int) -> tuple[float, float]:
    """By the wall clock and by the processor's, a frame."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    count = read(path)
    if count != frames:
        raise InputError(f"{count} pictures came of {frames}; decode the video with a player")
    return 1e3 * (time.perf_counter() - wall_s) / frames, 1e3 * (time.process_time() - cpu_s) / frames


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pictures.checks", description="Time the checks of videos."
    )
    parser.add_argument("--frames", type=cli.positive, default=60, metavar="N", help="of each video (%(default)s)")
    parser.add_argument("--side", type=cli.positive, default=1024, metavar="PIXELS", help="of a frame (%(default)s)")
    parser.add_argument("--out", type=cli.some_path, metavar="FILE", help="write the figures and the machine there")
    options = parser.parse_args(arguments)
    if options.side < 64 or options.side % 2:
        raise InputError(f"--side is {options.side}; expected an even number of pixels, 64 or more, for H.264")
    with tempfile.TemporaryDirectory() as folder:
        costs = []
        for name, codec in VIDEOS.items():
            write_video(Path(folder) / name, codec, options.frames, options.side)
            costs.append(measure(Path(folder) / name, options.frames))
    environment = describe_environment()
    print("\n".join([*(cost.line() for cost in costs), one_line(environment)]))
    if options.out:
        document = {"side": options.side, "videos": [asdict(cost) for cost in costs], "environment": environment}
        write_atomically(options.out, json.dumps(document, indent=1).encode())


if __name__ == "__main__":
    cli.run(main)

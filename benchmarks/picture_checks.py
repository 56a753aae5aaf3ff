"""What it costs to notice damage: videos read by the product's source and by OpenCV's FFmpeg, frame by frame in turn.

::

    python -m benchmarks.picture_checks [--frames 60] [--side 1024] [--out FILE]

Both read the same file of rendered parts at the same time, one frame each in turn, so that a busy machine slows both.
Figures are milliseconds a frame and the median of the ratios, frame by frame. OpenCV decodes H.264 in as many threads
as there are cores and ahead of who reads; the product's source decodes in the thread that reads, so that a failure
belongs to the packet that it came from. `serial` is OpenCV on one thread, which does the same work without looking.
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
from runtime.demo import DemoLine
from runtime.errors import InputError
from runtime.sources import open_source

PARTS = 8  # rendered once, and then repeated
WARM_UP = 5
RATE = 25
VIDEOS = {"mjpeg.avi": "mjpeg", "h264.mp4": "libx264"}


@dataclass(frozen=True)
class Cost:
    """Milliseconds a frame of one video, and how many times OpenCV's the product's are."""

    video: str
    frames: int
    checked_ms: tuple[float, float]  # median, 90 % quantile
    opencv_ms: tuple[float, float]
    serial_ms: tuple[float, float]
    ratio: float
    ratio_to_serial: float

    def line(self) -> str:
        """The figures in words."""
        return (
            f"{self.video}: {self.checked_ms[0]:.2f} ms a frame (p90 {self.checked_ms[1]:.2f}), "
            f"OpenCV {self.opencv_ms[0]:.2f} ({self.opencv_ms[1]:.2f}): {self.ratio:.2f} times; "
            f"OpenCV on one thread {self.serial_ms[0]:.2f} ({self.serial_ms[1]:.2f}): {self.ratio_to_serial:.2f} times"
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
    """Read a video three times at once. Raises `InputError` where a reader delivers less than `frames`."""
    quick = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    serial = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    with open_source(str(path)) as source:

        def checked() -> bool:
            frame = source.read()
            return frame is not None and frame.problem is None

        readers = (checked, lambda: quick.read()[0], lambda: serial.read()[0])
        ms = np.array([[_timed_ms(read) for read in readers] for _ in range(frames)])[WARM_UP:]
    for capture in (quick, serial):
        capture.release()
    medians, p90 = np.quantile(ms, (0.5, 0.9), axis=0)
    ratios = np.median(ms[:, :1] / ms[:, 1:], axis=0)
    summaries = [(float(middle), float(high)) for middle, high in zip(medians, p90, strict=True)]
    return Cost(path.name, len(ms), summaries[0], summaries[1], summaries[2], float(ratios[0]), float(ratios[1]))


def _timed_ms(read: Callable[[], bool]) -> float:
    start = time.perf_counter()
    if not read():
        raise InputError("a reader delivered no picture where all should; decode the video with a player")
    return 1e3 * (time.perf_counter() - start)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.picture_checks", description="Time the checks of videos."
    )
    parser.add_argument("--frames", type=cli.positive, default=60, metavar="N", help="of each video (%(default)s)")
    parser.add_argument("--side", type=cli.positive, default=1024, metavar="PIXELS", help="of a frame (%(default)s)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures and the machine there")
    options = parser.parse_args(arguments)
    if options.frames <= WARM_UP or options.side < 64:
        raise InputError(f"expected more than {WARM_UP} frames of 64 pixels or more")
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

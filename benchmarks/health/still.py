"""A still scene through encoders: delivered live, with the sensor's noise, and by a camera that hangs behind one.

The limit is measured as ``python -m runtime.stillness`` does, on live frames of the scene. Then the same encoder gets
live frames, and from one moment on the same picture over and over, into which a clock is drawn.
"""

import io
from dataclasses import dataclass
from fractions import Fraction

import av
import cv2
import numpy as np

from benchmarks.health.spoiled import Image, noisy
from runtime.cameras.still import StillCheck, measure_stillness
from runtime.demo import DemoLine
from runtime.errors import InputError
from runtime.frames import Frame

SIZE_HW = (512, 640)
RATE = 25
FRAMES = 100  # to measure by, live, and frozen, each
NOISES = (0.5, 1.0, 2.0, 4.0)  # of the sensor, grey levels
X264 = {"preset": "veryfast", "tune": "zerolatency", "g": "25"}
CODECS: dict[str, tuple[str, str, str, dict[str, str]]] = {  # container, codec, pixels, options
    "MJPEG, q 3": ("avi", "mjpeg", "yuvj420p", {"qmin": "3", "qmax": "3"}),
    "MJPEG, q 8": ("avi", "mjpeg", "yuvj420p", {"qmin": "8", "qmax": "8"}),
    "H.264, crf 18": ("mpegts", "libx264", "yuv420p", {**X264, "crf": "18"}),
    "H.264, crf 23": ("mpegts", "libx264", "yuv420p", {**X264, "crf": "23"}),
    "H.264, 2 Mbit/s": (
        "mpegts",
        "libx264",
        "yuv420p",
        {**X264, "b": "2000000", "maxrate": "2000000", "bufsize": "200000"},
    ),
}


@dataclass(frozen=True)
class Still:
    """One encoder and one noise: the frames of each kind, and how many of them are called frozen.

    There is no limit where none was to be had. The first frame of those that stand still has changed, and does not
    count.
    """

    encoder: str
    noise: float
    least: float
    limit: float | None
    live: int
    live_called_frozen: int
    frozen: int
    frozen_called_frozen: int


def measure_still() -> list[Still]:
    """Every encoder and noise."""
    scene = cv2.GaussianBlur(DemoLine(0, SIZE_HW, 0.0).good(0).image, (0, 0), 1.0)  # without the line's own noise
    return [_measured(np.asarray(scene, np.uint8), name, noise) for name in ("raw", *CODECS) for noise in NOISES]


def _measured(scene: Image, encoder: str, noise: float) -> Still:
    live = [noisy(scene, noise, number) for number in range(2 * FRAMES)]
    shown = [_with_clock(image, number) for number, image in enumerate([*live, *[live[-1]] * FRAMES])]
    frames = [Frame(image, number, live=True) for number, image in enumerate(_through(encoder, shown))]
    found = measure_stillness(frames[2:FRAMES])  # an encoder's first pictures are its worst
    try:
        check = StillCheck(found.limit)
    except InputError:
        return Still(encoder, noise, found.least, None, FRAMES, 0, FRAMES, 0)
    called = [check.problem(frame) is not None for frame in frames[FRAMES:]]
    return Still(
        encoder, noise, found.least, found.limit, FRAMES, sum(called[:FRAMES]), FRAMES - 1, sum(called[FRAMES + 1 :])
    )


def _with_clock(image: Image, number: int) -> Image:
    shown = image.copy()
    cv2.putText(shown, f"12:00:{number / RATE:05.2f}", (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1)
    return shown


def _through(encoder: str, images: list[Image]) -> list[Image]:
    """Pictures as an encoder's receiver sees them."""
    if encoder == "raw":
        return images
    container, codec, pixels, options = CODECS[encoder]
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=RATE, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = SIZE_HW
        stream.pix_fmt = pixels
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, "bgr24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    file.seek(0)
    with av.open(file, "r") as received:
        return [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in received.decode(video=0)]

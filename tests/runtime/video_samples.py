"""Videos for tests: each picture shows its own number, and packets are damaged or left out as the test says."""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from runtime.cameras import open_source
from runtime.frames import Frame

HEIGHT, WIDTH = 96, 128
Damage = Callable[[bytes], bytes]


def numbered_picture(number: int, size_hw: tuple[int, int] = (HEIGHT, WIDTH)) -> NDArray[np.uint8]:
    """Eight blocks, bright where the number has a one, over noise of its own and a bar that moves."""
    image = np.full((*size_hw, 3), 100, np.uint8)
    noise = np.random.default_rng(number).integers(0, 80, (6, size_hw[1] // 4, 1), np.uint8)
    image[42:54] = 60 + noise.repeat(2, axis=0).repeat(4, axis=1)[:, : size_hw[1]]
    for bit in range(8):
        if number >> bit & 1:
            image[8:40, 8 + 14 * bit : 20 + 14 * bit] = 220
    left = number * 5 % (size_hw[1] - 16)
    image[60:90, left : left + 12] = 30
    return image


def number_of(image: NDArray[np.uint8]) -> int:
    """The number that a picture shows."""
    return sum(int(image[14:34, 11 + 14 * bit : 17 + 14 * bit].mean() > 160) << bit for bit in range(8))


def write_numbered(
    path: Path,
    codec: str = "libx264",
    count: int = 30,
    options: Mapping[str, str] = {},
    key_every: int = 10,
    dropped: Sequence[int] = (),
    damaged: Mapping[int, Damage] = {},
    rate: int = 25,
    size_hw: tuple[int, int] = (HEIGHT, WIDTH),
) -> list[bool]:
    """Write a video of which some packets (by their place in the file) are dropped or damaged; which are key frames."""
    keys = []
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=dict(options))
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = size_hw
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.gop_size = key_every
        for number in range(count + 1):
            frame = None
            if number < count:
                frame = av.VideoFrame.from_ndarray(numbered_picture(number)[: size_hw[0], : size_hw[1]].copy(), "bgr24")
                frame.pts, frame.time_base = number, Fraction(1, rate)
            for packet in stream.encode(frame):
                at = len(keys)
                keys.append(packet.is_keyframe)
                if at not in dropped:
                    container.mux(_damaged(packet, damaged[at]) if at in damaged else packet)
    return keys


def read_all(path: Path) -> list[Frame]:
    """The frames of a video file."""
    frames = []
    with open_source(str(path)) as source:
        while (frame := source.read()) is not None:
            frames.append(frame)
    return frames


def _damaged(packet: "av.Packet[av.VideoStream]", damage: Damage) -> "av.Packet[av.VideoStream]":
    worse = av.Packet(damage(bytes(packet)))
    worse.stream, worse.time_base, worse.pts, worse.dts = packet.stream, packet.time_base, packet.pts, packet.dts
    worse.duration, worse.is_keyframe = packet.duration, packet.is_keyframe
    return worse


def cut(data: bytes) -> bytes:
    """The 45 % of it that arrived."""
    return data[: len(data) * 45 // 100]


def zeroed(data: bytes) -> bytes:
    """A quarter of it, from the middle on, is zero."""
    half, quarter = len(data) // 2, len(data) // 4
    return data[:half] + bytes(quarter) + data[half + quarter :]


def shortened(data: bytes) -> bytes:
    """A quarter of it is missing from the middle."""
    half = len(data) // 2
    return data[:half] + data[half + len(data) // 4 :]

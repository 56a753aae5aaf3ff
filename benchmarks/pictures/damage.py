"""How much damage to image files is noticed, by format, and what looking for it costs.

::

    python -m benchmarks.pictures.damage [--data FOLDER] [--pictures 8] [--variants 25] [--seed 0] [--repeats 15]
        [--side 1000] [--out JSON]

Each picture is written in each format and damaged `variants` times in each way, at places drawn from the seed. A
damaged file is refused or accepted; of an accepted one the pixels count that are off by more than 8 grey levels in a
channel. Without ``--data`` the pictures are rendered parts. The cost is the processor time (other work on the machine
hardly changes it) of `decode_image`, checks included, over that of `cv2.imdecode` alone, of one picture of a megapixel,
the two taken in turn.
"""

import argparse
import io
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.environment import describe_environment, one_line
from runtime import cli
from runtime.atomic import write_atomically
from runtime.demo import DemoLine
from runtime.errors import ImageError
from runtime.images import decode_image, list_images, read_image

Picture = NDArray[np.uint8]
OFF_BY = 8  # grey levels
SPOILED = 0.01  # share of the pixels
COSTED = ("JPEG", "WebP", "WebP lossless", "PNG", "TIFF LZW", "TIFF deflate")
_SKIPPED = 64  # first bytes of a file: damage to its header is noticed by anybody
_BLOCK = 512  # bytes of a disk's sector; less in a file that has fewer than eight


def _opencv(suffix: str, *flags: int) -> Callable[[Picture], bytes]:
    return lambda image: bytes(cv2.imencode(suffix, image, flags)[1])


def _pillow(form: str, **options: str) -> Callable[[Picture], bytes]:
    def encode(image: Picture) -> bytes:
        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(image[:, :, ::-1])).save(file, form, **options)
        return file.getvalue()

    return encode


FORMATS: dict[str, Callable[[Picture], bytes]] = {
    "JPEG": _opencv(".jpg", cv2.IMWRITE_JPEG_QUALITY, 90),
    "JPEG progressive": _opencv(".jpg", cv2.IMWRITE_JPEG_QUALITY, 90, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "WebP": _opencv(".webp", cv2.IMWRITE_WEBP_QUALITY, 80),
    "WebP lossless": _opencv(".webp", cv2.IMWRITE_WEBP_QUALITY, 101),
    "PNG": _opencv(".png"),
    "TIFF deflate": _pillow("TIFF", compression="tiff_adobe_deflate"),
    "TIFF LZW": _pillow("TIFF", compression="tiff_lzw"),
    "TIFF PackBits": _pillow("TIFF", compression="packbits"),
    "TIFF JPEG": _pillow("TIFF", compression="jpeg"),
    "TIFF": _pillow("TIFF"),
    "BMP": _opencv(".bmp"),
}


def flipped(data: bytes, rng: np.random.Generator) -> bytes:
    """One bit is another."""
    broken, at = bytearray(data), int(rng.integers(min(_SKIPPED, len(data) // 2), len(data)))
    broken[at] ^= 1 << int(rng.integers(8))
    return bytes(broken)


def zeroed(data: bytes, rng: np.random.Generator) -> bytes:
    """A block is zeros, as after a write that did not reach the disk."""
    begin, end = _block(data, rng)
    return data[:begin] + bytes(end - begin) + data[end:]


def overwritten(data: bytes, rng: np.random.Generator) -> bytes:
    """A block is another file's."""
    begin, end = _block(data, rng)
    return data[:begin] + rng.bytes(end - begin) + data[end:]


def without_block(data: bytes, rng: np.random.Generator) -> bytes:
    """A block is missing, and what followed it moved up."""
    begin, end = _block(data, rng)
    return data[:begin] + data[end:]


DAMAGES = {
    "bit flipped": flipped,
    "block zeroed": zeroed,
    "block overwritten": overwritten,
    "block lost": without_block,
}


def _block(data: bytes, rng: np.random.Generator) -> tuple[int, int]:
    """Where a block begins and ends that is not all zeros."""
    length = min(_BLOCK, len(data) // 8)
    while True:
        begin = int(rng.integers(min(_SKIPPED, len(data) // 2), len(data) - length))
        if any(data[begin : begin + length]):
            return begin, begin + length


@dataclass(frozen=True)
class Noticed:
    """What became of the damaged files of one format and kind of damage. Shares are of all files but for `worst`, the
    largest share of pixels that is off in an accepted one."""

    files: int
    refused: float
    unharmed: float  # accepted, and no pixel is off by more than OFF_BY
    spoiled: float  # accepted, and more than SPOILED of the pixels are
    worst: float
    off_when_accepted: float  # mean share of pixels


def notice(pictures: list[Picture], form: str, damage: str, variants: int, seed: int) -> Noticed:
    """Damage each picture `variants` times and read it."""
    rng = np.random.default_rng([seed, list(FORMATS).index(form), list(DAMAGES).index(damage)])
    off = []
    for picture in pictures:
        data = FORMATS[form](picture)
        sound = decode_image(data)
        off += [share_off(DAMAGES[damage](data, rng), sound) for _ in range(variants)]
    accepted = [share for share in off if share is not None]
    return Noticed(
        files=len(off),
        refused=1 - len(accepted) / len(off),
        unharmed=accepted.count(0.0) / len(off),
        spoiled=sum(share > SPOILED for share in accepted) / len(off),
        worst=max(accepted, default=0.0),
        off_when_accepted=statistics.fmean(accepted) if accepted else 0.0,
    )


def share_off(data: bytes, sound: Picture) -> float | None:
    """The share of pixels that differ from the sound picture by more than `OFF_BY`; None when the file is refused."""
    try:
        read = decode_image(data)
    except ImageError:
        return None
    if read.shape != sound.shape:
        return 1.0
    return float((np.abs(read.astype(np.int16) - sound).max(axis=2) > OFF_BY).mean())


@dataclass(frozen=True)
class Cost:
    """Milliseconds of processor time of one picture of `megapixels`, and the ratio of the medians."""

    megapixels: float
    alone_ms: float
    alone_p90_ms: float
    checked_ms: float
    checked_p90_ms: float
    ratio: float


def cost(picture: Picture, form: str, repeats: int) -> Cost:
    """Time `cv2.imdecode` and `decode_image` in turn."""
    data = FORMATS[form](picture)
    buffer = np.frombuffer(data, np.uint8)
    ways = (partial(cv2.imdecode, buffer, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH), partial(decode_image, data))
    times: tuple[list[float], list[float]] = [], []
    for turn in range(repeats + 1):
        for way in (0, 1) if turn % 2 else (1, 0):  # neither always finds the caches as the other left them
            times[way].append(_milliseconds(ways[way]))
    alone, checked = (taken[1:] for taken in times)  # the first of each warms up
    medians = statistics.median(alone), statistics.median(checked)
    p90 = float(np.quantile(alone, 0.9)), float(np.quantile(checked, 0.9))
    return Cost(picture[:, :, 0].size / 1e6, medians[0], p90[0], medians[1], p90[1], medians[1] / medians[0])


def _milliseconds(decode: Callable[[], object]) -> float:
    start = time.process_time()
    decode()
    return 1e3 * (time.process_time() - start)


def pictures_of(folder: Path | None, count: int, seed: int) -> list[Picture]:
    """`count` pictures drawn from `folder`, or rendered parts."""
    if folder is None:
        line = DemoLine(seed)
        return [line.good(index).image for index in range(count)]
    paths = list_images(folder)
    chosen = np.random.default_rng(seed).permutation(len(paths))[:count]
    return [read_image(paths[index]) for index in sorted(chosen)]


def lines(noticed: dict[str, dict[str, Noticed]], costs: dict[str, Cost]) -> list[str]:
    """The figures as text."""
    rows = ["format            damage               files  refused  unharmed  spoiled  worst"]
    for form, by_damage in noticed.items():
        for damage, one in by_damage.items():
            rows.append(
                f"{form:<18}{damage:<20}{one.files:6}{one.refused:9.1%}{one.unharmed:10.1%}{one.spoiled:9.1%}{one.worst:7.0%}"
            )
    rows.append("format            alone ms  (p90)   checked ms  (p90)   ratio")
    for form, one_cost in costs.items():
        rows.append(
            f"{form:<18}{one_cost.alone_ms:8.2f}{one_cost.alone_p90_ms:8.2f}{one_cost.checked_ms:12.2f}"
            f"{one_cost.checked_p90_ms:8.2f}{one_cost.ratio:8.2f}"
        )
    return rows


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog=cli.program("benchmarks.pictures.damage"), description="Damage image files and read them."
    )
    parser.add_argument("--data", type=cli.some_path, metavar="FOLDER", help="of pictures (default: rendered parts)")
    parser.add_argument("--pictures", type=cli.positive, default=8, metavar="N", help="of them (8)")
    parser.add_argument(
        "--variants", type=cli.positive, default=25, metavar="N", help="of each picture and damage (25)"
    )
    parser.add_argument("--repeats", type=cli.positive, default=15, metavar="N", help="timed decodings (15)")
    parser.add_argument(
        "--side", type=cli.positive, default=1000, metavar="N", help="pixels of the timed picture (1000)"
    )
    parser.add_argument("--seed", type=cli.seed, default=0)
    parser.add_argument("--out", type=cli.some_path, metavar="JSON", help="write the figures and the machine there")
    options = parser.parse_args(arguments)
    pictures = pictures_of(options.data, options.pictures, options.seed)
    noticed = {
        form: {damage: notice(pictures, form, damage, options.variants, options.seed) for damage in DAMAGES}
        for form in FORMATS
    }
    large = DemoLine(options.seed, (options.side, options.side)).good(0).image
    costs = {form: cost(large, form, options.repeats) for form in COSTED}
    environment = describe_environment()
    print("\n".join(lines(noticed, costs)))
    print(one_line(environment))
    if options.out:
        document = {
            "pictures": "rendered parts" if options.data is None else options.data.name,
            **{name: getattr(options, name) for name in ("seed", "variants", "repeats")},
            "picture_count": len(pictures),
            "noticed": {form: {damage: asdict(one) for damage, one in each.items()} for form, each in noticed.items()},
            "costs": {form: asdict(one) for form, one in costs.items()},
            "decoders": {name: version(name) for name in ("simplejpeg", "pillow", "opencv-python-headless")},
            "environment": environment,
        }
        write_atomically(options.out, json.dumps(document, indent=1).encode())


if __name__ == "__main__":
    cli.run(main)

"""Does the rule of `train.inspection.copies` find pictures that were saved again, and no others?

::

    python -m benchmarks.pictures.copies DATA... [--demo N] [--pictures N] [--json FILE]

All good images of each folder are different pictures, so any two that the rule takes for copies are *false matches* (or
copies that the data set's authors did not mean to publish: the nearest two are named, for a look). Of some pictures
every file that a person might make of them is made: other JPEG and WebP qualities, PNG, another size, another
brightness. *Recall* is the share of those files that are found to be copies of the original, and of any two of them
that land in one group. Limits are compared on pictures whose content hash is even; the figures are of all.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.environment import describe_environment, one_line
from runtime import cli
from runtime.atomic import write_atomically
from runtime.demo import DemoLine
from runtime.errors import InputError
from runtime.images import list_images, read_image
from runtime.preparation import scaled
from train.datasets import content_parity, layout_of
from train.inspection import copies

Image = NDArray[np.uint8]
LIMITS = (0.4, 0.6, 0.8, 1.0, 1.2, 1.5)  # grey levels, compared on even pictures
SIZES = (None, 192, 256)  # sides to which pictures are prepared before they are made small; None is the rule itself
DEMO_HW = (240, 320)
LEAST_EVEN = 2  # pictures


def _same(image: Image) -> Image:
    return image


def _saved(suffix: str, image: Image, *options: int) -> Image:
    return np.asarray(cv2.imdecode(cv2.imencode(suffix, image, list(options))[1], cv2.IMREAD_COLOR), np.uint8)


def _jpeg(quality: int, image: Image) -> Image:
    return _saved(".jpg", image, cv2.IMWRITE_JPEG_QUALITY, quality)


def _webp(quality: int, image: Image) -> Image:
    return _saved(".webp", image, cv2.IMWRITE_WEBP_QUALITY, quality)


def _resized(scale: float, image: Image) -> Image:
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale), np.uint8)


def _lighter(gain: float, image: Image) -> Image:
    return np.asarray(np.clip(image * gain + 0.5, 0, 255), np.uint8)


VARIANTS: dict[str, Callable[[Image], Image]] = {
    "PNG": lambda image: _saved(".png", image),
    **{f"JPEG {quality}": partial(_jpeg, quality) for quality in (95, 85, 75, 65, 50)},
    "PNG of JPEG 75": lambda image: _saved(".png", _jpeg(75, image)),
    **{f"WebP {quality}": partial(_webp, quality) for quality in (90, 75, 60)},
    **{f"{scale:g} times the size": partial(_resized, scale) for scale in (0.9, 0.95, 1.05, 1.1)},
    **{f"{gain:g} times as bright": partial(_lighter, gain) for gain in (0.98, 1.02)},
    "0.9 times the size, JPEG 75": lambda image: _jpeg(75, _resized(0.9, image)),
}


@dataclass(frozen=True)
class Pairs:
    """Pairs of different pictures, and how many of them the rule takes for copies."""

    side: int | None  # to which they were prepared before they were made small; None where they were not
    pairs: int
    matched: int
    nearest: float  # difference of the nearest two over their limit; 1 and less is a match
    nearest_names: tuple[str, str]


@dataclass(frozen=True)
class Recall:
    """Pictures saved again, by what was done to them: how many there were, and how many were found."""

    pictures: int
    found: dict[str, int]  # copies of the original, of `pictures` each
    largest: float  # difference over limit, of all of them
    pairs: int  # of files of one picture, originals among them
    pairs_together: int  # in one group, all files of all pictures being grouped at once
    mixed: int  # groups that hold files of two pictures


@dataclass(frozen=True)
class Found:
    """One folder's figures."""

    name: str
    images: int
    different: tuple[Pairs, ...]
    again: Recall
    by_limit: dict[str, dict[str, float]]  # even pictures: share of pairs matched, and of files found, at each limit


def good_pictures(data: Path) -> list[Path]:
    """Every good image of a data set's category, to train on and to test on, or all of a flat folder."""
    try:
        layout = layout_of(data)
    except InputError:
        return list_images(data)
    return [*layout.training(data), *(image.path for image in layout.test(data) if not image.label)]


def over_limit(pictures: Sequence[Image]) -> NDArray[np.float64]:
    """The difference of any two small pictures over their limit, [n, n]; infinite on and below the diagonal."""
    search = copies.Search(np.stack(pictures))
    found = np.full((len(pictures), len(pictures)), np.inf)
    for index in range(len(pictures) - 1):
        others = np.arange(index + 1, len(pictures))
        found[index, others] = search.in_limits(index, others)
    return found


def different(images: Sequence[Image], names: Sequence[str], side: int | None) -> Pairs:
    """What the rule says of pictures that are all different."""
    at_size = images if side is None else [scaled(image, (side, side)) for image in images]
    ratio = over_limit([copies.small_picture(image) for image in at_size])
    one, other = (int(i) for i in np.unravel_index(int(ratio.argmin()), ratio.shape))
    matched = int((ratio <= 1).sum())
    pairs = len(images) * (len(images) - 1) // 2
    return Pairs(side, pairs, matched, float(ratio.min()), (names[one], names[other]))


def again(images: Sequence[Image]) -> Recall:
    """What the rule says of pictures that were saved again."""
    small = [[copies.small_picture(change(image)) for change in (_same, *VARIANTS.values())] for image in images]
    ratios = np.array([_ratios(each) for each in small])
    order = np.random.default_rng(0).permutation(sum(map(len, small)))  # whatever order their hashes would have
    owners = np.repeat(np.arange(len(small)), len(small[0]))[order]
    groups = copies.group_copies(np.stack([picture for each in small for picture in each])[order])
    counts = [np.unique(owners[group], return_counts=True)[1] for group in groups]
    together = sum(int((count * (count - 1) // 2).sum()) for count in counts)
    files = len(small[0])
    return Recall(
        pictures=len(small),
        found={name: int((ratios[:, place] <= 1).sum()) for place, name in enumerate(VARIANTS)},
        largest=float(ratios.max()),
        pairs=len(small) * files * (files - 1) // 2,
        pairs_together=together,
        mixed=sum(len(count) > 1 for count in counts),
    )


def _ratios(files: Sequence[Image]) -> list[float]:
    """Of an original and its copies: the difference of each copy over the limit."""
    search = copies.Search(np.stack(files))
    return list(search.in_limits(0, np.arange(1, len(files))))


def by_limit(images: Sequence[Image]) -> dict[str, dict[str, float]]:
    """Shares of different pairs matched and of files found at each of `LIMITS`."""
    pairs = over_limit([copies.small_picture(image) for image in images])
    saved = [_ratios([copies.small_picture(change(i)) for change in (_same, *VARIANTS.values())]) for i in images]
    count, found = len(images) * (len(images) - 1) / 2, np.array(saved)
    scales = {limit: limit / copies.LARGEST_DIFFERENCE for limit in LIMITS}
    return {
        f"{limit:g}": {"matched": float((pairs <= s).sum() / count), "found": float((found <= s).mean())}
        for limit, s in scales.items()
    }


def measure(name: str, images: Sequence[Image], names: Sequence[str], even: Sequence[bool], pictures: int) -> Found:
    """All figures of one folder; recall of `pictures` of its images."""
    step = max(1, len(images) // pictures)
    halves = [image for image, is_even in zip(images, even, strict=True) if is_even]
    return Found(
        name,
        len(images),
        tuple(different(images, names, side) for side in tqdm(SIZES, name, leave=False, disable=None)),
        again(images[::step][:pictures]),
        by_limit(halves[:: max(1, len(halves) // pictures)][:pictures]),
    )


def report(found: Sequence[Found]) -> str:
    """The figures as text."""
    lines = []
    for each in found:
        for pairs in each.different:
            at = f"prepared to {pairs.side}" if pairs.side else "as they are"
            lines.append(
                f"{each.name}, {at}: {pairs.matched} of {pairs.pairs:,} pairs match; the nearest "
                f"({' and '.join(pairs.nearest_names)}) differ by {pairs.nearest:.2f} of the limit"
            )
        recall = each.again
        total = recall.pictures * len(recall.found)
        missed = [f"{name} {n} of {recall.pictures}" for name, n in recall.found.items() if n < recall.pictures]
        lines.append(
            f"{each.name}: {sum(recall.found.values()):,} of {total:,} files saved again are found"
            f"{' but ' + ', '.join(missed) if missed else ''}; {recall.pairs_together:,} of {recall.pairs:,} pairs of"
            f" files of one picture lie in one group, {recall.mixed} groups mix pictures"
        )
        curve = ", ".join(f"{k}: {v['matched']:.2%} and {v['found']:.2%}" for k, v in each.by_limit.items())
        lines.append(f"{each.name}, even pictures, pairs matched and files found at each limit: {curve}")
    return "\n".join(lines)


def _even(data: Path) -> dict[Path, bool]:
    """The good pictures of a folder, and whether the content hash of each is even. Raises as `_check_even`."""
    found = {path: content_parity(path) == "even" for path in good_pictures(data)}
    _check_even(str(data), list(found.values()))
    return found


def _check_even(name: str, even: Sequence[bool]) -> None:
    """Raises `InputError` where limits cannot be compared: on fewer than two even pictures, of some."""
    if even and sum(even) < LEAST_EVEN:
        raise InputError(
            f"{name} gives {sum(even)} pictures whose content hash is even, of {len(even)}; "
            f"limits are compared on {LEAST_EVEN} or more, so give more pictures"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog=cli.program("benchmarks.pictures.copies"), description="Measure the rule of copies."
    )
    parser.add_argument(
        "data", type=cli.some_path, nargs="*", help="folders of good images that are all different pictures"
    )
    parser.add_argument("--demo", type=cli.positive, default=0, metavar="N", help="and so many parts of the demo line")
    parser.add_argument("--pictures", type=cli.positive, default=60, metavar="N", help="saved again, of each (60)")
    parser.add_argument("--json", type=cli.file, metavar="FILE", help="write the figures and the machine there")
    options = parser.parse_args(arguments)
    if not options.data and not options.demo:
        raise InputError("no folder was given; name folders of good images, or --demo N")
    folders = {data: _even(data) for data in options.data}
    _check_even("--demo", parts_even := [index % 2 == 0 for index in range(options.demo)])
    found = []
    for data, parity in folders.items():
        names = [path.relative_to(data).as_posix() for path in parity]
        images = [read_image(path) for path in parity]
        found.append(measure(data.resolve().name, images, names, list(parity.values()), options.pictures))
    if options.demo:
        line = DemoLine(0, DEMO_HW, defect_rate=0)
        parts = [line.good(index).image for index in range(options.demo)]
        names = [f"part {index}" for index in range(options.demo)]
        found.append(measure("demo line", parts, names, parts_even, options.pictures))
    environment = describe_environment()
    print(report(found))
    print(one_line(environment))
    if options.json:
        document = {
            "rule": {
                "side": copies.SIDE,
                "smoothing": copies.SMOOTHING,
                "largest_difference": copies.LARGEST_DIFFERENCE,
                "largest_detail": copies.LARGEST_DETAIL,
                "largest_share": copies.LARGEST_SHARE,
                "largest_gain": copies.LARGEST_GAIN,
                "reach": copies.REACH,
            },
            "found": [asdict(each) for each in found],
            "environment": environment,
        }
        write_atomically(options.json, json.dumps(document, indent=1).encode())


if __name__ == "__main__":
    cli.run(main)

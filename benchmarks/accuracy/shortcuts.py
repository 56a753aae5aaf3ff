"""Can good and defective test images be told apart without looking at the part?

Where defective parts were photographed on another day, or cut out to another size, whatever notices size or light gets
a high AUROC. So the plain values of a picture, as it comes from its file, are ranked like scores, in the two ways in
which a detector could profit from them:

- higher, or lower: the AUROC of the value, or of its negative;
- unusual: that of its distance from the median of good training images, and of width and height together that from
  their mean by their covariance (Mahalanobis, Proc. Natl. Inst. Sci. India 1936). Tiles of which the defective ones are
  both larger and smaller are told apart by this alone. It needs training images beside the test's.

Of each value the best way is reported, which favours the shortcut: it is chosen on these very images. So a shortcut is
named only where its interval excludes 1/2, at 1 − 0.05 over the number of ways tried (Bonferroni).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.auroc_interval import AurocInterval, auroc_interval
from benchmarks.accuracy.evaluation import Inspection, scores_and_labels
from runtime.health import brightness
from runtime.images import read_image

LEVEL = 0.65  # from here on a value alone is named, however good the detector
REFERENCES = 100  # training images that are read: a median needs no more
Pictures = NDArray[np.float64]  # [n, 3]: width and height in pixels, mean brightness from 0 to 255


@dataclass(frozen=True)
class Value:
    """A plain value of pictures, and what a picture with more, less or an unusual amount of it is called."""

    name: str
    higher: str
    lower: str
    unusual: str
    of: Callable[[Pictures], NDArray[np.float64]]


VALUES = (
    Value("width", "wider", "narrower", "of unusual width", lambda pictures: pictures[:, 0]),
    Value("height", "taller", "less tall", "of unusual height", lambda pictures: pictures[:, 1]),
    Value("width to height", "flatter", "more upright", "of unusual shape", lambda each: each[:, 0] / each[:, 1]),
    Value("mean brightness", "brighter", "darker", "unusually bright or dark", lambda pictures: pictures[:, 2]),
)
SIZE = "width and height"


@dataclass(frozen=True)
class Shortcut:
    """How well one value tells defective images from good ones, by itself."""

    name: str
    auroc: AurocInterval  # in the best of the ways tried
    direction: str  # what the defective images are, "narrower" say; "all alike" where no value differs
    named: bool  # whether it tells them apart beyond chance, and at `LEVEL` or as well as the detector


@dataclass(frozen=True)
class Shortcuts:
    """The AUROC of each plain value."""

    values: Sequence[Shortcut]
    training_images: int  # good ones that "unusual" is measured from; 0 where it was not tried


def pictures_of(paths: Sequence[Path]) -> Pictures:
    """The values of up to `REFERENCES` images, evenly among them. Raises `ImageError` for one that cannot be read."""
    chosen = [paths[index * len(paths) // REFERENCES] for index in range(REFERENCES)] if paths else []
    pictures = [read_image(path) for path in dict.fromkeys(chosen)]
    return _as_pictures([(pixels.shape[1], pixels.shape[0], brightness(pixels)) for pixels in pictures])


def find_shortcuts(inspections: Sequence[Inspection], training: Pictures) -> Shortcuts:
    """The AUROC of each plain value; `training` is of good training images, and may be empty.

    Raises `InputError` unless good and defective images are there.
    """
    scores, labels = scores_and_labels(inspections)
    pictures = _as_pictures([(each.size_hw[1], each.size_hw[0], each.brightness) for each in inspections])
    ways = {value.name: _ways(value, pictures, training) for value in VALUES}
    if len(training):
        ways[SIZE] = {"of unusual size": _distance(pictures[:, :2], training[:, :2])}
    # higher and lower are one trial: an interval has two sides
    trials = sum(max(1, len(tried) - 1) for tried in ways.values())
    level = min(LEVEL, auroc_interval(scores, labels).auroc)
    values = [_best(name, tried, labels, level, trials) for name, tried in ways.items()]
    return Shortcuts(values, len(training))


def warning(shortcuts: Shortcuts, detector: float) -> str | None:
    """A sentence on what tells the images apart by itself; None where nothing does. `detector` is its image AUROC."""
    named = sorted((each for each in shortcuts.values if each.named), key=lambda each: -each.auroc.auroc)
    if not named:
        return None
    told = ", ".join(f"{each.name} (AUROC {each.auroc.auroc:.2f}, defective ones {each.direction})" for each in named)
    compared = "" if named[0].auroc.auroc < detector else f", no worse than by the detector ({detector:.2f})"
    return (
        f"these test images can be told apart without looking at the part{compared}, by their {told}. The image AUROC "
        "says less than it seems, unless the defects cause the difference. Take good and defective pictures in one way."
    )


def _ways(value: Value, pictures: Pictures, training: Pictures) -> dict[str, NDArray[np.float64]]:
    """What to rank images by, by what the high ones are."""
    values = value.of(pictures)
    ways = {value.higher: values, value.lower: -values}
    if len(training):
        ways[value.unusual] = np.abs(values - np.median(value.of(training)))
    return ways


def _best(
    name: str, ways: dict[str, NDArray[np.float64]], labels: NDArray[np.bool_], level: float, trials: int
) -> Shortcut:
    found = {direction: auroc_interval(ranked, labels) for direction, ranked in ways.items()}
    direction = max(found, key=lambda each: found[each].auroc)
    best = found[direction]
    surely = auroc_interval(ways[direction], labels, 1 - 0.05 / trials).low > 0.5
    differs = any(np.ptp(ranked) for ranked in ways.values())
    return Shortcut(name, best, direction if differs else "all alike", surely and best.auroc >= level)


def _distance(values: NDArray[np.float64], training: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mahalanobis distance of each of `values` [n, d]. A pixel of rounding is added, so that equal sizes have one."""
    covariance = np.cov(training.T, ddof=0) + np.eye(training.shape[1])
    offset = values - training.mean(axis=0)
    return np.asarray(np.sqrt((offset @ np.linalg.inv(covariance) * offset).sum(axis=1)))


def _as_pictures(rows: Sequence[tuple[float, float, float]]) -> Pictures:
    return np.array(rows, np.float64).reshape(-1, 3)

"""Can good and defective test images be told apart without looking at the part?

Where defective parts were photographed on another day, or cut out to another size, whatever notices size or light gets a
high AUROC. So each plain value of a picture, as it comes from its file, is ranked like a score.

A value has a direction: the AUROC is that of the value, or of its negative where that is higher. Both are easy to check
and need no training images. The direction is chosen on these very images, which favours the shortcut; so a shortcut is
named only where the interval excludes 1/2, at 1 − 0.05 / 4 since four values are tried (Bonferroni). A direction cannot
see a value at which the defective images lie on both sides of the good ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.accuracy.auroc_interval import AurocInterval, auroc_interval
from benchmarks.accuracy.evaluation import Inspection, scores_and_labels

LEVEL = 0.65  # from here on a value alone is named, however good the detector


@dataclass(frozen=True)
class Value:
    """A plain value of a picture, and what its being higher or lower is called."""

    name: str
    higher: str
    lower: str
    of: Callable[[Inspection], float]


VALUES = (
    Value("width", "wider", "narrower", lambda each: each.size_hw[1]),
    Value("height", "taller", "less tall", lambda each: each.size_hw[0]),
    Value("width to height", "wider for their height", "taller for their width", lambda each: _aspect(each.size_hw)),
    Value("mean brightness", "brighter", "darker", lambda each: each.brightness),
)


@dataclass(frozen=True)
class Shortcut:
    """How well one value tells defective images from good ones, by itself."""

    name: str
    auroc: AurocInterval  # of the value or of its negative, at least 1/2
    direction: str  # what the defective images are, "narrower" say; "all alike" where no value differs
    named: bool  # whether it tells them apart beyond chance, at `LEVEL` or as well as the detector


def find_shortcuts(inspections: Sequence[Inspection]) -> list[Shortcut]:
    """The AUROC of each plain value. Raises `InputError` unless good and defective images are there."""
    scores, labels = scores_and_labels(inspections)
    detector = auroc_interval(scores, labels).auroc
    found = []
    for value in VALUES:
        values = np.array([value.of(each) for each in inspections], np.float64)
        higher = auroc_interval(values, labels).auroc >= 0.5
        ranked = values if higher else -values
        alone = auroc_interval(ranked, labels)
        beyond_chance = auroc_interval(ranked, labels, 1 - 0.05 / len(VALUES)).low > 0.5
        direction = (value.higher if higher else value.lower) if np.ptp(values) else "all alike"
        named = beyond_chance and alone.auroc >= min(LEVEL, detector)
        found.append(Shortcut(value.name, alone, direction, named))
    return found


def warning(shortcuts: Sequence[Shortcut], detector: float) -> str | None:
    """A sentence on what tells the images apart by itself; None where nothing does. `detector` is its image AUROC."""
    named = sorted((each for each in shortcuts if each.named), key=lambda each: -each.auroc.auroc)
    if not named:
        return None
    told = ", ".join(f"{each.name} (AUROC {each.auroc.auroc:.2f}, defective ones {each.direction})" for each in named)
    compared = "" if named[0].auroc.auroc < detector else f", no worse than by the detector ({detector:.2f})"
    return (
        f"these test images can be told apart by their {told} alone{compared}: the image AUROC says less than it "
        "seems, unless the defects themselves cause the difference. Take good and defective pictures in the same way"
    )


def _aspect(size_hw: tuple[int, int]) -> float:
    return size_hw[1] / size_hw[0]

"""The look over a folder: images are added as they are decoded, and then compared."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from train.inspection.copies import find_copies, same_file
from train.inspection.measure import FRAME_HW, Measurement, measure
from train.inspection.outliers import FEWEST, unusualness
from train.inspection.quality import describe_shapes, describe_sizes, find_bad_pictures
from train.inspection.refused import find_refused

OUTLYING = (
    3.5  # deviations of the logarithm of the score; 15 good images in 1,000 at the most stood out so far in trials
)
LEAST_TYPICAL = 5  # images named in any case, for a person to look at
NAMES_SHOWN = 3  # in one warning

SUMMARY = {
    "unreadable": "unreadable",
    "copy": "copies of others, byte for byte",
    "near-copy": "nearly copies of others, and counted as one picture with them",
    "outlier": "unlike the others, and a bad part among the good ones spoils the threshold",
    "empty": "as without a part in view, and a detector trained on them takes empty frames for good ones",
    "flat": "without anything to see",
    "blurred": "blurred, compared with the others",
    "dark": "darker than the others",
    "bright": "brighter than the others",
    "under-exposed": "under-exposed, compared with the others",
    "over-exposed": "over-exposed, compared with the others",
    "shape": "of another shape than the others",
    "size": "of another size than the others",
}


@dataclass(frozen=True)
class Suspect:
    """An image to look at. `kind` is a key of `SUMMARY`, `reason` a few words, `strength` orders suspects of one kind.

    `other` is the image that it is a copy of. `point_xy` is where an outlier is most unlike, in shares of its width and
    height.
    """

    path: Path
    kind: str
    reason: str
    strength: float
    other: Path | None = None
    point_xy: tuple[float, float] | None = None


@dataclass(frozen=True)
class Report:
    """What a folder holds. `suspects` come by kind, in the order of `SUMMARY`, the strongest first.

    `least_typical` are the images most unlike the others, suspects among them, best first: in a folder without fault
    there are such, too. `notes` are sentences about the folder as a whole.
    """

    images: int
    suspects: tuple[Suspect, ...]
    least_typical: tuple[Suspect, ...]
    notes: tuple[str, ...]

    def warnings(self) -> list[str]:
        """A line for each kind of suspect, naming a few, and one for each note."""
        lines = []
        for kind, words in SUMMARY.items():
            names = [suspect.path.name for suspect in self.suspects if suspect.kind == kind]
            if names:
                more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
                lines.append(f"{words}: {', '.join(names[:NAMES_SHOWN])}{more}, of {self.images} images")
        return [*lines, *self.notes]


class Inspector:
    """Gathers what is measured of good images, and says which of them to look at. For one thread at a time."""

    def __init__(self, size_hw: tuple[int, int] = FRAME_HW) -> None:
        """`size_hw` is of the frames that a detector is to see."""
        self._size_hw = size_hw
        self._paths: list[Path] = []
        self._measured: list[Measurement] = []
        self._unreadable: list[Suspect] = []

    def add(self, path: Path, image: NDArray[np.uint8]) -> None:
        """Measure one image, uint8 [H, W, 3], BGR, as read from `path`."""
        self._paths.append(path)
        self._measured.append(measure(image, self._size_hw))

    def add_unreadable(self, path: Path, reason: str) -> None:
        """Count an image that cannot be read."""
        self._unreadable.append(Suspect(path, "unreadable", reason, 0.0))

    def report(self) -> Report:
        """Compare the images that were added. Takes a few milliseconds an image."""
        suspects, typical, notes = list(self._unreadable), list[Suspect](), list[str]()
        if self._paths:
            suspects += self._copies()
            findings = find_bad_pictures(self._measured)
            suspects += [Suspect(self._paths[index], kind, why, far) for index, kind, why, far in findings]
            notes += [note for note in (describe_shapes(self._measured), describe_sizes(self._measured)) if note]
        if len(self._paths) >= FEWEST:
            typical = self._by_unusualness()
            suspects += [each for each in typical if each.strength > OUTLYING]
        else:
            notes.append(
                f"{len(self._paths)} images are too few to tell which of them are unlike; bring {FEWEST} or more"
            )
        suspects += self._refused({each.path for each in suspects if each.kind in ("blurred", "outlier", "flat")})
        order = {kind: place for place, kind in enumerate(SUMMARY)}
        suspects.sort(key=lambda suspect: (order[suspect.kind], -suspect.strength))
        images = len(self._paths) + len(self._unreadable)
        return Report(images, tuple(suspects), tuple(typical[:LEAST_TYPICAL]), tuple(notes))

    def _copies(self) -> Iterator[Suspect]:
        for index, earlier, difference in find_copies(np.stack([each.grey for each in self._measured])):
            path, other = self._paths[index], self._paths[earlier]
            if same_file(path, other):
                yield Suspect(path, "copy", f"a copy of {other.name}, byte for byte", 0.0, other)
            else:
                reason = f"hardly differs from {other.name}: by {difference:.1f} grey levels"
                yield Suspect(path, "near-copy", reason, -difference, other)

    def _refused(self, named: set[Path]) -> Iterator[Suspect]:
        """What a detector of the others would refuse, but for those that are `named` already."""
        found = find_refused(self._measured) if self._measured else ()
        for index, kind, reason, far in found:
            if self._paths[index] not in named:
                yield Suspect(self._paths[index], kind, reason, far)

    def _by_unusualness(self) -> list[Suspect]:
        """Every image as an outlier, the strongest first."""
        pictures = np.stack([each.colour for each in self._measured])
        far, peaks = unusualness(pictures)
        side = pictures.shape[1]
        return [
            Suspect(
                self._paths[index],
                "outlier",
                f"unlike the others: {far[index]:.1f} deviations",
                float(far[index]),
                point_xy=((peaks[index, 1] + 0.5) / side, (peaks[index, 0] + 0.5) / side),
            )
            for index in np.argsort(-far, kind="stable")
        ]

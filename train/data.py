"""Good images: splitting them once by content, and holding them prepared. `train.datasets` finds them."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from runtime.atomic import write_atomically
from runtime.errors import ImageError, InputError
from runtime.images import read_image
from runtime.preparation import prepare

FEWEST_IMAGES = 7  # two for statistics, two for the threshold (which needs two scores), three to train on
FEWEST_OF_A_USE = 5  # for statistics and threshold each, where a third of the images allows it
SET_APART = 0.2  # share of good images kept for a test where a data set does not say which
PROBLEMS_SHOWN = 5  # in one message
CACHE_BYTES = 2 << 30  # prepared images beyond this are read again each time


def set_apart(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Good images that nobody has split, as those to train on and those to test on, one in five, in order.

    An image's own SHA-256 tells, whatever else is given, so that images which are added later move none.
    """
    apart = {path: int(file_sha256(path)[:8], 16) < SET_APART * 2**32 for path in paths}
    return [path for path in paths if not apart[path]], [path for path in paths if apart[path]]


@dataclass(frozen=True)
class Split:
    """Good images by use, disjoint in content."""

    training: tuple[Path, ...]
    statistics: tuple[Path, ...]  # of equation 11
    threshold: tuple[Path, ...]
    sha256: dict[str, str]  # of each file, by its path

    @property
    def images_sha256(self) -> str:
        """One hash over all images: that of their hashes, sorted."""
        return sha256_of_images(self.sha256.values())

    @property
    def counts(self) -> dict[str, int]:
        """Images by use."""
        return {name: len(getattr(self, name)) for name in ("training", "statistics", "threshold")}

    def threshold_images(self, scales: int, students: int, by_position: bool) -> tuple[Path, ...]:
        """The images whose scores the threshold is fitted to: all that no network was trained on, where that is fair.

        Equation 11 turns a lone term, of one scale and one student, into another of the same order: it moves and
        stretches all scores alike, and smoothing and means of pixels with them. Whether a new part's score passes an
        order statistic then does not depend on the statistics, so that the images which gave them are as good as any.
        Where terms are added or scores are `by_position`, the statistics weigh terms or places, and images that helped
        to choose the weights are left out.

        Of equal files the first alone: what n scores prove, they prove as n independent images.
        """
        fair = scales == students == 1 and not by_position
        different: dict[str, Path] = {}
        for path in (*self.threshold, *self.statistics) if fair else self.threshold:
            different.setdefault(self.sha256[str(path)], path)
        return tuple(different.values())

    def copies_left_out(self, images: Sequence[Path]) -> str | None:
        """A sentence on the files that are copies of these `threshold_images`; None where there are none."""
        counted = {self.sha256[str(path)] for path in images}
        copies = sum(self.sha256[str(path)] in counted for path in (*self.threshold, *self.statistics)) - len(images)
        if not copies:
            return None
        return (
            f"left out of the threshold: {copies:,} copies of the {len(images):,} images it counts; they prove nothing"
        )

    def save(self, path: Path) -> None:
        """Write the split as JSON, with whole paths: a run goes on, and is exported, from any working folder."""
        document: dict[str, object] = {
            name: [str(p.absolute()) for p in getattr(self, name)] for name in ("training", "statistics", "threshold")
        }
        document["sha256"] = {str(Path(p).absolute()): sha256 for p, sha256 in self.sha256.items()}
        write_atomically(path, json.dumps(document, indent=1).encode())

    @classmethod
    def load(cls, path: Path) -> "Split":
        """Read a split. Raises `InputError` when it is missing, or when an image was removed or changed since."""
        try:
            document: Any = json.loads(path.read_text())
            uses = {n: tuple(Path(p) for p in document[n]) for n in ("training", "statistics", "threshold")}
            split = cls(**uses, sha256=dict(document["sha256"]))
            if not all(uses.values()) or any(str(p) not in split.sha256 for paths in uses.values() for p in paths):
                raise ValueError
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(
                f"{path} is missing or damaged; delete {path.parent}, or name another run folder, and train anew"
            ) from error
        for image, sha256 in split.sha256.items():
            if not Path(image).exists():
                raise InputError(
                    f"{image} was removed since training; restore it, or train without it in a new run folder"
                )
            if file_sha256(Path(image)) != sha256:
                raise InputError(f"{image} was changed since training; restore it, or train again in a new run folder")
        return split


def split_by_content(paths: Sequence[Path], holdout: float) -> Split:
    """Split images into training, statistics and threshold by their content's hash.

    `holdout` is the share held out, a quarter of it for the statistics, which need few images, and the rest for the
    threshold, which proves more the more it has; small sets hold out five for each as far as a third of the images
    goes. Equal files share a fate, so that no image is both trained and judged on. Raises `InputError` for
    fewer than seven different images.
    """
    if not 0 < holdout < 1:
        raise InputError(f"holdout is {holdout:g}; expected a share between 0 and 1, such as 0.2")
    hashes, groups = _by_content(paths)
    if len(groups) < FEWEST_IMAGES:
        raise InputError(
            f"found {len(groups)} different good images; give {FEWEST_IMAGES} or more (a few hundred, to be good)"
        )
    half = max(round(len(groups) * holdout / 2), min(FEWEST_OF_A_USE, len(groups) // 6), 2)
    statistics = max(half // 2, min(half, FEWEST_OF_A_USE))
    if len(groups) - 2 * half < 1:
        raise InputError(f"holdout {holdout:g} of {len(groups)} images leaves none to train on; use a smaller share")
    return Split(
        training=_flattened(groups[2 * half :]),
        statistics=_flattened(groups[:statistics]),
        threshold=_flattened(groups[statistics : 2 * half]),
        sha256=hashes,
    )


def split_as_counted(paths: Sequence[Path], counts: Mapping[str, int]) -> Split:
    """The split that training made of these very images, from the files it took for each use, `Split.counts`.

    The share that was held out would not give it again: it is one of different images, and these are counts of files.
    """
    hashes, groups = _by_content(paths)
    ordered = _flattened(groups)
    statistics = counts.get("statistics", 0)
    held_out = statistics + counts.get("threshold", 0)
    return Split(ordered[held_out:], ordered[:statistics], ordered[statistics:held_out], hashes)


def _by_content(paths: Sequence[Path]) -> tuple[dict[str, str], list[list[Path]]]:
    """SHA-256 of each file by its path, and the files in groups of equal content, in the order of their hashes."""
    hashes = {str(path): file_sha256(path) for path in paths}
    by_hash: dict[str, list[Path]] = {}
    for path in paths:
        by_hash.setdefault(hashes[str(path)], []).append(path)
    return hashes, [by_hash[key] for key in sorted(by_hash)]


def _flattened(groups: Sequence[Sequence[Path]]) -> tuple[Path, ...]:
    return tuple(path for group in groups for path in group)


def sha256_of_images(hashes: Iterable[str]) -> str:
    """One hash over images: that of their hashes, sorted."""
    return hashlib.sha256("".join(sorted(hashes)).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content. Raises `ImageError` when it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ImageError(f"{path} cannot be read ({error.strerror}); restore it or check the path") from error


class PreparedImages:
    """Images prepared as the runtime prepares frames, uint8 [H, W, 3], BGR; kept in memory up to a bound."""

    def __init__(self, paths: Sequence[Path], size_hw: tuple[int, int]) -> None:
        self.paths = tuple(paths)
        self.size_hw = size_hw
        self._keep = max(1, CACHE_BYTES // (size_hw[0] * size_hw[1] * 3))
        self._kept: dict[int, NDArray[np.uint8]] = {}

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        if index in self._kept:
            return self._kept[index]
        image = prepare(read_image(self.paths[index]), self.size_hw)
        if len(self._kept) < self._keep:
            self._kept[index] = image
        return image

    def check(self, observe: Callable[[Path, NDArray[np.uint8]], None] = lambda path, image: None) -> None:
        """Read every image once, so that bad ones are named before hours of training. Raises `ImageError`.

        `observe` is given each that can be read, unprepared: uint8 [H, W, 3], BGR, and before it its path.
        """
        problems = []
        for path in tqdm(self.paths, "images", unit="image", leave=False, disable=None):
            try:
                observe(path, read_image(path))
            except ImageError as error:
                problems.append(str(error))
        if problems:
            more = f" (and {len(problems) - PROBLEMS_SHOWN} more)" if len(problems) > PROBLEMS_SHOWN else ""
            raise ImageError("; ".join(problems[:PROBLEMS_SHOWN]) + more)

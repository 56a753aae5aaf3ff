"""Good images: splitting them once by content, and holding them prepared. `train.datasets` finds them."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.alignment import Alignment
from runtime.atomic import write_atomically
from runtime.errors import ImageError, InputError
from runtime.images import read_image
from runtime.interest import Inspected, blinded
from runtime.preparation import prepare
from train.inspection.copies import group_copies, small_picture
from train.progress import Progress

FEWEST_IMAGES = 7  # two for statistics, two for the threshold (which needs two scores), three to train on
MORE_IMAGES = " (a few hundred, to be good)"
FEWEST_OF_A_USE = 5  # for statistics and threshold each, where a third of the images allows it
SET_APART = 0.2  # share of good images kept for a test where a data set does not say which
PROBLEMS_SHOWN = 5  # in one message
CACHE_BYTES = 2 << 30  # prepared images beyond this are read again each time
SMALL_PICTURES_KEPT = 1 << 14  # 64 MiB
USES = ("training", "statistics", "threshold")


def set_apart(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Good images that nobody has split, as those to train on and those to test on, one in five, in order.

    A picture's own SHA-256 tells, whatever else is given, so that other pictures which are added later move none. A
    copy that was saved again may move its picture: copies share a fate, so that no test image has one among those to
    train on, and the hashes of all of them tell it; see `DifferentPictures`.
    """
    found = DifferentPictures.of(paths)
    apart = {path: int(found.key(path)[:8], 16) < SET_APART * 2**32 for path in paths}
    return [path for path in paths if not apart[path]], [path for path in paths if apart[path]]


@dataclass(frozen=True)
class DifferentPictures:
    """Files by the picture that they hold, as `train.inspection.copies` tells: equal files, and near copies.

    Each picture has a key that depends on the content of its files alone: the SHA-256 of its file, or the SHA-256 over
    those of its files, sorted, where they differ.
    """

    sha256: dict[str, str]  # of each file, by its path
    near: dict[str, str]  # key of the picture, by the path of each file that is not the only one of its picture
    groups: tuple[
        tuple[Path, ...], ...
    ]  # files by picture, in the order of the keys; of each those of a low hash first

    @classmethod
    def of(cls, paths: Sequence[Path], near_copies: bool = True) -> "DifferentPictures":
        """Reads every file; without `near_copies` equal files alone share a picture.

        A file that cannot be decoded is a picture of its own. Raises `ImageError` for one that cannot be read at all.
        """
        sha256 = {str(path): file_sha256(path) for path in paths}
        by_hash: dict[str, list[Path]] = {}
        for path in paths:
            by_hash.setdefault(sha256[str(path)], []).append(path)
        hashes = sorted(by_hash)
        alike = (
            _alike([by_hash[key][0] for key in hashes]) if near_copies else [[index] for index in range(len(hashes))]
        )
        groups: dict[str, tuple[Path, ...]] = {}
        near: dict[str, str] = {}
        for members in alike:
            own = [hashes[index] for index in members]
            key = own[0] if len(own) == 1 else hashlib.sha256("".join(own).encode()).hexdigest()
            groups[key] = tuple(path for each in own for path in by_hash[each])
            if len(own) > 1:
                near |= {str(path): key for path in groups[key]}
        return cls(sha256, near, tuple(groups[key] for key in sorted(groups)))

    def key(self, path: Path) -> str:
        """The key of the picture in one of the files."""
        return self.near.get(str(path), self.sha256[str(path)])

    def check_enough(self, fewest: int, more: str, place: str = "") -> None:
        """Raise `InputError` for fewer than `fewest` pictures. `more` says how many would be better, and `place`, as in
        ``in FOLDER``, where they were looked for."""
        count, files = len(self.groups), len(self.sha256)
        if count < fewest:
            counted = [f"found {count} different good images", f"in {files} files" if files > count else "", place]
            raise InputError(f"{' '.join(filter(None, counted))}; give {fewest} or more{more}")

    def split(self, training: slice, statistics: slice, threshold: slice) -> "Split":
        """The split whose uses are these of the `groups`."""
        training_files, statistics_files, threshold_files = (
            tuple(path for group in self.groups[use] for path in group) for use in (training, statistics, threshold)
        )
        return Split(training_files, statistics_files, threshold_files, self.sha256, self.near)


@dataclass(frozen=True)
class Split:
    """Good images by use, disjoint in content: copies of one picture share a use."""

    training: tuple[Path, ...]
    statistics: tuple[Path, ...]  # of equation 11
    threshold: tuple[Path, ...]  # none of a method that leaves out each training image in turn; see `split_in_turn`
    sha256: dict[str, str]  # of each file, by its path
    near: dict[str, str] = field(default_factory=dict)  # as in `DifferentPictures`; none in runs from before it

    @property
    def images_sha256(self) -> str:
        """One hash over all images: that of their hashes, sorted."""
        return sha256_of_images(self.sha256.values())

    @property
    def counts(self) -> dict[str, int]:
        """Different pictures by use."""
        return {name: len({self.picture(path) for path in getattr(self, name)}) for name in USES}

    @property
    def files(self) -> dict[str, int]:
        """Files by use, copies among them."""
        return {name: len(getattr(self, name)) for name in USES}

    @property
    def copies(self) -> int:
        """How many files are copies of another that is counted."""
        return sum(self.files.values()) - sum(self.counts.values())

    def picture(self, path: Path) -> str:
        """What stands for the picture in one of the files; equal for its copies."""
        return self.near.get(str(path), self.sha256[str(path)])

    def threshold_images(self, kinds: int, by_position: bool, shaped_by_statistics: bool = False) -> tuple[Path, ...]:
        """The images whose scores the threshold is fitted to: all that nothing was trained on, where that is fair.

        Equation 11 turns a lone kind of evidence into another of the same order: it moves and stretches all scores
        alike, and smoothing and means of pixels with them. Whether a new part's score passes an order statistic then
        does not depend on the statistics, so that the images which gave them are as good as any. Where several `kinds`
        are added or scores are `by_position`, the statistics weigh kinds or places, and images that helped to choose
        the weights are left out. So they are where the evidence itself is `shaped_by_statistics`: a map that whitens
        errors on them makes their own errors small beside those of a new part.

        Where none are held out, they are those that were trained on, each left out of the detector in turn.

        Of copies the first alone: what n scores prove, they prove as n independent images.
        """
        if not self.threshold:
            return self.different(self.training)
        fair = kinds == 1 and not by_position and not shaped_by_statistics
        return self.different((*self.threshold, *self.statistics) if fair else self.threshold)

    def different(self, paths: Iterable[Path]) -> tuple[Path, ...]:
        """The first file of each picture among `paths`."""
        found: dict[str, Path] = {}
        for path in paths:
            found.setdefault(self.picture(path), path)
        return tuple(found.values())

    def copies_left_out(self, images: Sequence[Path]) -> str | None:
        """A sentence on the files that are copies of these `threshold_images`; None where there are none."""
        counted = {self.picture(path) for path in images}
        given = (*self.threshold, *self.statistics) if self.threshold else self.training
        copies = sum(self.picture(path) in counted for path in given) - len(images)
        if not copies:
            return None
        return (
            f"left out of the threshold: {copies:,} copies of the {len(images):,} different pictures it counts, equal "
            "files or the same picture saved again; they prove nothing"
        )

    def save(self, path: Path) -> None:
        """Write the split as JSON, with whole paths: a run goes on, and is exported, from any working folder."""
        document: dict[str, object] = {name: [str(p.absolute()) for p in getattr(self, name)] for name in USES}
        for name in ("sha256", "near"):
            document[name] = {str(Path(p).absolute()): key for p, key in getattr(self, name).items()}
        write_atomically(path, json.dumps(document, indent=1).encode())

    @classmethod
    def load(cls, path: Path) -> "Split":
        """Read a split. Raises `InputError` when it is missing, or when an image was removed or changed since."""
        try:
            document: Any = json.loads(path.read_text())
            uses = {n: tuple(Path(p) for p in document[n]) for n in USES}
            split = cls(**uses, sha256=dict(document["sha256"]), near=dict(document.get("near", {})))
            empty = not (split.training and split.statistics)
            if empty or any(str(p) not in split.sha256 for paths in uses.values() for p in paths):
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
    goes. Copies share a fate, so that no picture is both trained and judged on; see `DifferentPictures`. Raises
    `InputError` for fewer than seven different pictures.
    """
    if not 0 < holdout < 1:
        raise InputError(f"holdout is {holdout:g}; expected a share between 0 and 1, such as 0.2")
    found = DifferentPictures.of(paths)
    found.check_enough(FEWEST_IMAGES, MORE_IMAGES)
    count = len(found.groups)
    half = max(round(count * holdout / 2), min(FEWEST_OF_A_USE, count // 6), 2)
    statistics = for_statistics(2 * half)
    if count - 2 * half < 1:
        raise InputError(f"holdout {holdout:g} of {count} images leaves none to train on; use a smaller share")
    return found.split(slice(2 * half, None), slice(statistics), slice(statistics, 2 * half))


def split_held_out(found: DifferentPictures, statistics: int) -> Split:
    """All of these pictures for statistics, so many of them, and threshold.

    With `for_statistics` pictures that one training held out are shared out as that did.
    """
    return found.split(slice(0), slice(statistics), slice(statistics, None))


def for_statistics(held_out: int, fewest: int = FEWEST_OF_A_USE) -> int:
    """How many pictures of those held out are for the statistics: a quarter or, where that is fewer than `fewest`, so
    many or half of them."""
    return max(held_out // 4, min(held_out // 2, fewest))


def split_in_turn(paths: Sequence[Path], reference: float) -> Split:
    """Split images by their content's hash for a method that leaves out each training image in turn.

    The share `reference` is of the statistics, which everything else refers to; all others are trained on, and left out
    in turn for the threshold. Raises `InputError` for fewer than seven different pictures.
    """
    if not 0 < reference < 1:
        raise InputError(f"reference is {reference:g}; expected a share between 0 and 1, such as 0.5")
    found = DifferentPictures.of(paths)
    found.check_enough(FEWEST_IMAGES, MORE_IMAGES)
    count = len(found.groups)
    statistics = min(max(round(count * reference), FEWEST_OF_A_USE // 2 + 1), count - FEWEST_OF_A_USE + 1)
    return found.split(slice(statistics, None), slice(statistics), slice(0))


def split_as_counted(paths: Sequence[Path], counts: Mapping[str, int]) -> Split:
    """The split that training made of these very images, from the pictures it took for each use, `Split.counts`.

    The share that was held out would not give it again: small sets hold out more. Detectors from before near copies
    were known count files; their split is found by equal files alone.
    """
    statistics = counts.get("statistics", 0)
    held_out = statistics + counts.get("threshold", 0)
    found = DifferentPictures.of(paths)
    if sum(counts.values()) == len(found.groups):
        return found.split(slice(held_out, None), slice(statistics), slice(statistics, held_out))
    found = DifferentPictures.of(paths, near_copies=False)
    ordered = tuple(path for group in found.groups for path in group)
    return Split(ordered[held_out:], ordered[:statistics], ordered[statistics:held_out], found.sha256)


def _alike(paths: Sequence[Path]) -> list[list[int]]:
    """Files of different content, in groups of copies."""
    pictures = [_small_picture(path) for path in Progress(paths, "copies", len(paths), unit="image")]
    readable = [index for index, picture in enumerate(pictures) if picture is not None]
    groups = group_copies(np.array([pictures[index] for index in readable]))
    return [[index] for index, picture in enumerate(pictures) if picture is None] + [
        [readable[index] for index in group] for group in groups
    ]


def _small_picture(path: Path) -> NDArray[np.uint8] | None:
    """None for a file that cannot be decoded: whoever reads it for its pixels says why."""
    try:
        stat = path.stat()
        return _decoded(path, stat.st_mtime_ns, stat.st_size)
    except (ImageError, OSError):
        return None


@lru_cache(SMALL_PICTURES_KEPT)
def _decoded(path: Path, mtime_ns: int, size: int) -> NDArray[np.uint8]:
    """Kept, since one command lists and splits the same files; a changed file is read again."""
    return small_picture(read_image(path))


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
    """Images prepared as the runtime prepares frames, uint8 [H, W, 3], BGR; kept in memory up to a bound.

    With an `alignment` an image in which the part is not found, or not in its place, raises `ImageError`: a line would
    not inspect it. With `anyhow` it is given as if the best place that was found were right. Where `seen` is given,
    they are grey outside it, as networks see them (`runtime.interest.blinded`).
    """

    def __init__(
        self,
        paths: Sequence[Path],
        size_hw: tuple[int, int],
        alignment: Alignment | None,
        seen: Inspected | None = None,
        anyhow: bool = False,
    ) -> None:
        self.paths = tuple(paths)
        self.size_hw = size_hw
        self.alignment, self._seen, self._anyhow = alignment, seen, anyhow
        self._keep = max(1, CACHE_BYTES // (size_hw[0] * size_hw[1] * 3))
        self._kept: dict[int, NDArray[np.uint8]] = {}

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        if index in self._kept:
            return self._kept[index]
        prepared = prepare(read_image(self.paths[index]), self.size_hw, self.alignment)
        if prepared.problem is not None and not self._anyhow:
            raise ImageError(f"{self.paths[index]}: {prepared.problem}; take it out, or train with another --align")
        image = blinded(prepared.frame, self._seen)
        if len(self._kept) < self._keep:
            self._kept[index] = image
        return image

    def check(self, observe: Callable[[Path, NDArray[np.uint8]], None] = lambda path, image: None) -> None:
        """Read every image once, so that bad ones are named before hours of training. Raises `ImageError`.

        `observe` is given each that can be read, unprepared: uint8 [H, W, 3], BGR, and before it its path.
        """
        problems = []
        for path in Progress(self.paths, "images", len(self.paths), unit="image"):
            try:
                observe(path, read_image(path))
            except ImageError as error:
                problems.append(str(error))
        if problems:
            more = f" (and {len(problems) - PROBLEMS_SHOWN} more)" if len(problems) > PROBLEMS_SHOWN else ""
            raise ImageError("; ".join(problems[:PROBLEMS_SHOWN]) + more)

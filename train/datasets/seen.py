"""Which test images a detector was made from: figures on those would flatter it, and are worse than none."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from runtime.errors import InputError
from runtime.image_hashes import DIGITS, packed, unpacked
from runtime.recipe import Recipe
from train.data import file_sha256, sha256_of_images
from train.datasets.images import TestImage


def images_made_from(recipe: Recipe, split_file: Path, good: Iterable[Path]) -> frozenset[str]:
    """The first digits of the SHA-256 of each image that a detector was made from (`runtime.image_hashes`), as far as
    that is known here.

    The file names those that its evidence and its statistics come from; one from before that has a single hash of all.
    All of them, those of the threshold too, are known where the `split_file` of its run is at hand, and where they are
    just the `good` images of a data set. Raises `InputError` for a split file that is damaged.
    """
    made_from, last = recipe.provenance, recipe.recalibration
    named = unpacked(made_from.learned_from) | unpacked(made_from.statistics_from)
    if last is not None:
        named |= unpacked(last.statistics_from)
    found = _hashes_in(split_file) if split_file.is_file() else []
    if sha256_of_images(found) != made_from.images_sha256:
        found = [file_sha256(path) for path in good]
    whole = found if sha256_of_images(found) == made_from.images_sha256 else []
    return named | unpacked(packed(whole))


def without_seen(
    images: Sequence[TestImage], seen: frozenset[str], detector: str, data: Path
) -> tuple[list[TestImage], str | None]:
    """The test images that are none of those `seen`, and a sentence on those left out; None where there are none.

    Raises `InputError` where no good or no defective image is left.
    """
    known = [bool(seen) and file_sha256(image.path)[:DIGITS] in seen for image in images]
    if not any(known):
        return list(images), None
    left = [image for image, is_known in zip(images, known, strict=True) if not is_known]
    counted = Counter("defective" if image.label else "good" for image in images)
    counted.subtract("defective" if image.label else "good" for image in left)
    which = " and ".join(f"{count} {kind}" for kind, count in counted.items() if count)
    if len({image.label for image in left}) < 2:
        raise InputError(
            f"{detector} was made from {which} of the test images in {data}, and without them nothing can be measured; "
            "add images that it has not seen, or train again: of a folder with good/ and bad/, python -m train --data "
            "keeps one in five good images for the test"
        )
    return left, f"left out: {which} test images that {detector} was made from; figures are of the {len(left)} others"


def _hashes_in(split_file: Path) -> list[str]:
    """Those of a run's images, whether or not these still lie where they lay."""
    try:
        return [str(sha256) for sha256 in dict(json.loads(split_file.read_text())["sha256"]).values()]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"{split_file} is damaged, so that nobody can tell which test images the detector was made from; restore "
            "it, or name another run folder"
        ) from error

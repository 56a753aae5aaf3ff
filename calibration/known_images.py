"""Images that a detector was made from have no part in its recalibration: they score lower than new parts.

A threshold that is fitted to such scores is too low, and its proof is none. A file names these images by their hashes
(`runtime.image_hashes`); one from before that has a single hash of all of them. A picture that was saved again has
another hash, but where a memory holds it its score gives it away.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.errors import InputError
from runtime.image_hashes import DIGITS, packed, unpacked
from runtime.recipe import Recipe
from train.data import DifferentPictures, Split, sha256_of_images

NAMES_SHOWN = 5
SUSPECT_SHARE, FEWEST_SUSPECT = 0.1, 3  # of the images given, below which low scores may be chance


def check_unknown(found: DifferentPictures, recipe: Recipe, keep_statistics: bool, data: Path) -> None:
    """Raise `InputError` where pictures in `data` are among those that the detector was made from.

    Images that gave its statistics are such only where these are kept and choose weights (`Recipe.statistics_weigh`).
    """
    learned = _known(found, unpacked(recipe.provenance.learned_from))
    if not learned and sha256_of_images(found.sha256.values()) == recipe.provenance.images_sha256:
        learned = [group[0] for group in found.groups]  # of a file that does not name them
    statistics = []
    if keep_statistics and recipe.statistics_weigh:
        statistics = _known(found, unpacked(_statistics_from(recipe)))
    known = [*learned, *statistics]
    if not known:
        return
    names = ", ".join(path.name for path in known[:NAMES_SHOWN])
    more = f" and {len(known) - NAMES_SHOWN:,} more" if len(known) > NAMES_SHOWN else ""
    advice = "train anew with all of them" if learned else "recalibrate without --keep-statistics"
    raise InputError(
        f"{len(known):,} of the {len(found.groups):,} different pictures in {data} are among those that the detector "
        f"was made from ({names}{more}): they score lower than new parts, and a threshold from their scores proves "
        f"nothing; leave them out, or {advice}"
    )


def statistics_from(recipe: Recipe, split: Split, keep_statistics: bool) -> str:
    """The images that gave a file's statistics after a recalibration, as `Recalibration` has them."""
    if keep_statistics:
        return "" if recipe.recalibration is None else recipe.recalibration.statistics_from
    return packed(split.sha256[str(path)] for path in split.statistics)


def suspects(scores: NDArray[np.float64], recipe: Recipe) -> NDArray[np.intp]:
    """The places of images whose scores [n], by the file as it was, are like those of pictures that it was made from.

    They lie further below the lowest score of calibration than this lies below the median. None where they are few.
    """
    kept = recipe.score_quantiles
    if not {"0.0", "0.5"} <= kept.keys():
        return np.array([], np.intp)
    found = np.flatnonzero(scores < 2 * kept["0.0"] - kept["0.5"])
    return found if len(found) >= max(FEWEST_SUSPECT, SUSPECT_SHARE * len(scores)) else found[:0]


def _statistics_from(recipe: Recipe) -> str:
    last = recipe.recalibration
    return last.statistics_from if last is not None and last.statistics_from else recipe.provenance.statistics_from


def _known(found: DifferentPictures, hashes: frozenset[str]) -> list[Path]:
    """The first known file of each picture of which one file is known."""
    known = [
        [path for path in group if found.sha256[str(path)][:DIGITS] in hashes]
        for group in (found.groups if hashes else ())
    ]
    return sorted(files[0] for files in known if files)

"""What is known of the good images that a detector's threshold was fitted on.

The run folder keeps every score, a detector file alone a few quantiles. A quantile between two scores may serve as
a threshold, too: np.quantile puts that of probability p at place p · (n − 1) from the lowest score on. It is never
below the score of place ⌊p · (n − 1)⌋, and what is proven of that one, which k = n − 1 − ⌊p · (n − 1)⌋ exceed, holds.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.errors import InputError
from runtime.recipe import Recipe
from train.run_folder import SCORES, run_beside

ROUNDED = 1e-5  # relative: a recipe keeps scores as decimal numbers


@dataclass(frozen=True)
class HeldOut:
    """The thresholds that good images support: (k, threshold) with k of `sample_size` scores above at most.

    The images were held out or, of a detector that knows all of them, each was left out in turn.
    """

    sample_size: int
    thresholds: Sequence[tuple[int, float]]  # k ascending
    complete: bool  # whether every k is there
    source: str  # in words
    left_out: bool = False  # whether images were left out in turn, of which averages alone are proven


def held_out_of(recipe: Recipe, detector: Path, run: Path | None) -> HeldOut:
    """What is known of `detector`: by the scores in `run`, else in the run folder beside it, else by the file alone.

    Raises `InputError` where `run` is named and has no scores, or those of another detector. A folder beside that has
    others, as after an export with other options, is left alone, and `source` says so.
    """
    folder = run or run_beside(detector)
    if run is None and not (folder / SCORES).is_file():
        return of_file(recipe)
    scores = read_scores(folder / SCORES)
    if _are_of(scores, recipe):
        ordered = np.sort(scores)[::-1]
        thresholds = [(above, float(score)) for above, score in enumerate(ordered)]
        images = f"{scores.size:,} good images {'each left out in turn' if recipe.scores_left_out else 'held out'}"
        return HeldOut(scores.size, thresholds, True, f"the scores of {images}, in {folder}", recipe.scores_left_out)
    other = f"{folder / SCORES} holds the scores of another detector than {detector.name}"
    if run is not None:
        raise InputError(f"{other}; give the run folder that it was exported from last, or leave --run out")
    return of_file(recipe, f"; {other}")


def of_file(recipe: Recipe, remark: str = "") -> HeldOut:
    """What the quantiles in a detector file say; nothing where nobody knows of how many scores they are."""
    threshold, quantiles = recipe.threshold, recipe.score_quantiles
    if threshold.method == "manual" or not threshold.vouched or not quantiles:
        return HeldOut(0, [], False, f"the file, which says of no held-out images{remark}")
    last = threshold.sample_size - 1
    by_above = {last - math.floor(last * float(key)): quantiles[key] for key in sorted(quantiles, key=float)}
    known = f"the file, which keeps {len(quantiles)} quantiles of {threshold.sample_size:,} good images' scores{remark}"
    return HeldOut(threshold.sample_size, sorted(by_above.items()), False, known, recipe.scores_left_out)


def read_scores(path: Path) -> NDArray[np.float64]:
    """Held-out scores, float64 [n]. Raises `InputError` for a file that cannot be read or holds anything else."""
    try:
        scores = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} cannot be read ({error}); expected the scores of held-out images") from error
    if not isinstance(scores, np.ndarray) or scores.ndim != 1 or scores.dtype.kind != "f" or scores.size < 2:
        raise InputError(f"{path} holds no list of scores; expected those of two held-out images or more")
    if not np.isfinite(scores).all():
        raise InputError(f"{path} holds scores that are NaN or infinite; expected finite ones")
    return np.asarray(scores, np.float64)


def _are_of(scores: NDArray[np.float64], recipe: Recipe) -> bool:
    """Whether a recipe's quantiles are of these very scores."""
    kept = {float(key): value for key, value in recipe.score_quantiles.items()}
    if not kept or (recipe.threshold.method != "manual" and recipe.threshold.sample_size != scores.size):
        return False
    return bool(np.allclose(np.quantile(scores, list(kept)), list(kept.values()), rtol=ROUNDED, atol=1e-12))

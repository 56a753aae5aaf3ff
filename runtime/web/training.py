"""What a training on the page takes over from the detector in force: the settings that are the line's own.

``python -m train`` would begin without them. What it has no option for, or would learn anew, is told before it begins.
"""

import base64
import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from runtime.atomic import write_atomically
from runtime.errors import InputError
from runtime.interest import RegionsOfInterest
from runtime.recipe import Recipe
from runtime.refused import refused
from runtime.threshold import Threshold, check_rates
from runtime.web.part_sets import PartSet

USUAL_METHOD, USUAL_CONFIDENCE = "memory-bank", 0.95  # of ``python -m train`` without an option that says another
USUAL_SCORE = {"smoothing": 4.0, "by_position": True, "score_pixels": 1}  # of that method


@dataclass(frozen=True)
class LineSettings:
    """Settings of a detector in force, as a training takes them, and in words."""

    options: dict[str, Any]  # as in the file of its --config
    words: tuple[str, ...]  # of its command line, beside them
    reference: bytes | None  # a PNG: how parts are to lie, where they are found first
    kept: tuple[str, ...]  # what these are, in words
    lost: tuple[str, ...]  # what the training does not take over, in words


def line_settings(recipe: Recipe) -> LineSettings:
    """Those of a detector's recipe."""
    options: dict[str, Any] = {}
    kept = [*_of_regions(recipe, options), *_of_areas(recipe, options), *_of_alignment(recipe, options)]
    words = _of_budget(recipe.threshold)
    if words:
        kept.append(f"a false-reject budget of {100 * recipe.threshold.budget:g} %")
    if recipe.explain:
        words = (*words, "--explain")
        kept.append("raw evidence as an output")
    reference = None if recipe.alignment is None else base64.b64decode(recipe.alignment.reference)
    return LineSettings(options, words, reference, tuple(kept), tuple(_lost(recipe, options)))


def prepare_training(current: PartSet, settings: LineSettings) -> tuple[str, ...]:
    """The words of ``python -m train`` for a set: written options, and a run folder to begin in or to go on in.

    A run goes on that was begun on these very pictures with these very options; what another one had done before it
    was ended can serve no more, and is removed. Raises `InputError` where that cannot be written.
    """
    run, options = current.folder / "run", current.folder / "training.yaml"
    reference = None if settings.reference is None else hashlib.sha256(settings.reference).hexdigest()
    begun = {"pictures": current.names(), "options": settings.options, "reference": reference}
    try:
        if current.read("training") != begun and run.exists():
            shutil.rmtree(run)
    except OSError as error:
        raise InputError(refused(error.filename or run, "removed", error, "check the path")) from error
    current.write("training", begun)
    chosen = dict(settings.options)
    if settings.reference is not None:
        picture = (current.folder / "reference.png").resolve()
        write_atomically(picture, settings.reference)
        chosen["align_reference"] = str(picture)
    write_atomically(options, yaml.safe_dump(chosen, sort_keys=False).encode())
    return ("--run", str(run), "--config", str(options), *settings.words)


def _of_regions(recipe: Recipe, options: dict[str, Any]) -> Sequence[str]:
    found = recipe.scoring.region_of_interest
    if found is None:
        return ()
    if isinstance(found, RegionsOfInterest):
        options["region_of_interest"] = found.document
        return (f"regions of interest: {', '.join(found.names)}",)
    height, width = recipe.size_hw  # in whose pixels the rectangle is
    options |= {"region_of_interest": list(found), "size_hw": [height, width]}
    return (f"the rectangle that is inspected, and with it frames of {width}×{height} pixels",)


def _of_areas(recipe: Recipe, options: dict[str, Any]) -> Sequence[str]:
    kept, scoring = [], recipe.scoring
    if scoring.mm_per_pixel is not None:
        options["mm_per_pixel"] = scoring.mm_per_pixel
        kept.append(f"{scoring.mm_per_pixel:g} mm per pixel")
    if scoring.smallest_area:
        options["smallest_area"] = scoring.smallest_area
        kept.append(f"regions of less than {scoring.area_in_words(scoring.smallest_pixels)} reject no part")
    return kept


def _of_alignment(recipe: Recipe, options: dict[str, Any]) -> Sequence[str]:
    if recipe.alignment is None:
        return ()
    options["align"] = recipe.alignment.mode
    return (f"parts are found first ({recipe.alignment.mode}), and inspected as they lie in the reference in force",)


def _of_budget(threshold: Threshold) -> tuple[str, ...]:
    try:
        check_rates(threshold.budget, USUAL_CONFIDENCE)
    except InputError:  # of a threshold that was set by hand
        return ()
    return ("--budget", repr(threshold.budget))


def _lost(recipe: Recipe, options: dict[str, Any]) -> Sequence[str]:
    height, width = recipe.size_hw
    size = "" if "size_hw" in options else f" on frames of {width}×{height} pixels"
    found = [f"method and size: in force is {recipe.method.name}{size}; the new one has the usual ones"]
    scoring, threshold = recipe.scoring, recipe.threshold
    if recipe.method.name == USUAL_METHOD and any(
        getattr(scoring, name) != usual for name, usual in USUAL_SCORE.items()
    ):
        found.append("how the score is taken from the map: in the usual way")
    if recipe.alignment is not None:
        found.append("how far parts may be shifted and turned: learnt anew from these pictures")
    if threshold.method == "manual":
        found.append("the threshold that was set by hand: a new one is fitted")
    elif threshold.confidence != USUAL_CONFIDENCE:
        found.append(f"a confidence of {100 * threshold.confidence:g} %: it is {100 * USUAL_CONFIDENCE:g} %")
    if recipe.precision != "fp32":
        found.append(f"the precision {recipe.precision}: the new one is in fp32")
    if recipe.tiles is not None:
        found.append("tiles: frames are computed at once, which takes more memory")
    return found

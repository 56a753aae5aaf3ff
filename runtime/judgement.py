"""The rule that makes a decision of what an engine computed of a frame, with its reason: it stands here, once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.engines.base import Output
from runtime.placement import Placement
from runtime.printable import printable
from runtime.recipe import MAP, Recipe
from runtime.regions import ROUNDING, Found, find_regions
from runtime.scoring import Scoring
from runtime.verdict import Decision, Region


@dataclass(frozen=True)
class Judgement:
    """A decision, why, and the regions that count."""

    decision: Decision
    reason: str
    regions: tuple[Region, ...] = ()
    ignored: NDArray[np.bool_] | None = None  # see `runtime.verdict.Verdict`
    rejected_by: tuple[str, ...] = ()  # see `runtime.verdict.Verdict`
    rejected_in: tuple[str, ...] = ()  # see `runtime.verdict.Verdict`


def decide(output: Output, recipe: Recipe, frame_hw: tuple[int, int], placed: Placement | None = None) -> Judgement:
    """Judge the one frame of `output`, which arrived with the size `frame_hw`, and was `placed` so where it is aligned.

    What cannot be judged is NO_DECISION. A score above the threshold is NG if a region above it has `smallest_area` or
    more; where all regions are smaller it is OK, and the reason says so. Evidence of the whole frame above the
    threshold is NG whatever the regions are: it has no area. What is proven of the threshold, as if every region
    counted, holds with any smallest area: it can only make fewer rejects. So it is with what lies outside the picture,
    to which an aligned frame may reach: nothing there shows the part, so no region there counts.
    """
    threshold, score = recipe.threshold.value, float(output.anomaly_score[0])
    scored_map = output.scored_map[0]
    problem = _problem(score, output, recipe, frame_hw)
    if problem is not None:
        return Judgement(Decision.NO_DECISION, problem)
    if score <= threshold:
        return Judgement(Decision.OK, f"score {score:.3f} within {threshold:.3f}")
    found = find_regions(scored_map, threshold, frame_hw, recipe.scoring, placed)
    above = f"score {score:.3f} above {threshold:.3f}"
    by_map, by_frame = _map_rejects(found, output, threshold), _image_evidence_above(output, recipe)
    if by_map or by_frame:
        by = (*((MAP,) if by_map else ()), *by_frame) if recipe.method.image_evidence else ()
        within = found.within if by_map else ()
        reason = above + _by(by) + _in(within) + _left_out(found, recipe.scoring)
        return Judgement(Decision.NG, reason, found.regions, found.ignored_mask, by, within)
    return Judgement(Decision.OK, above + _all_ignored(found, recipe.scoring), (), found.ignored_mask)


def by_evidence(output: Output, recipe: Recipe) -> dict[str, float]:
    """The scores of the one frame of `output` by kind of evidence, the map's first; empty where it is the only kind."""
    if output.evidence_scores is None:
        return {}
    names = (MAP, *(kind.name for kind in recipe.method.image_evidence))
    return {name: float(score) for name, score in zip(names, output.evidence_scores[0], strict=True)}


def _map_rejects(found: Found, output: Output, threshold: float) -> bool:
    """Whether the map's score is above the threshold, and rejects the part.

    Without any region nothing was left out, and the score stands: it is rounded otherwise than the map's values.
    """
    score = output.anomaly_score[0] if output.evidence_scores is None else output.evidence_scores[0, 0]
    return float(score) > threshold and (bool(found.regions) or not (found.ignored or found.outside))


def _image_evidence_above(output: Output, recipe: Recipe) -> tuple[str, ...]:
    """The names of evidence of the whole frame above the threshold, which rejects whatever the regions' areas are."""
    scores = list(by_evidence(output, recipe).items())[1:]
    return tuple(name for name, score in scores if score > recipe.threshold.value)


def _by(names: tuple[str, ...]) -> str:
    """Which evidence rejects, where there is more than the map's."""
    return f", by {' and '.join(f'the {name}' for name in names)}" if names else ""


def _in(names: tuple[str, ...]) -> str:
    """In which named regions of interest the map is above the threshold."""
    return f" in {' and '.join(map(printable, names))}" if names else ""


def _problem(score: float, output: Output, recipe: Recipe, frame_hw: tuple[int, int]) -> str | None:
    """Why nothing can be decided, or None."""
    scored_map, kinds, scores = output.scored_map[0], 1 + len(recipe.method.image_evidence), output.evidence_scores
    if (scores is not None or kinds > 1) and (scores is None or scores.shape[1:] != (kinds,)):
        found = None if scores is None else list(scores.shape)
        return f"engine error: the scores by evidence have the shape {found}; expected [1, {kinds}]"
    if scores is not None and not np.isfinite(scores).all():
        return f"engine error: the scores by evidence are {', '.join(map(str, scores[0]))}"
    if not np.isfinite(score):
        return f"engine error: the score is {score}"
    # a maximum may have skipped a NaN; both ends are seen without an array for what is finite
    if not (np.isfinite(scored_map.min()) and np.isfinite(scored_map.max())):
        return "engine error: the map holds values that are not finite"
    scoring, (height, width) = recipe.scoring, recipe.size_hw
    chosen = scoring.inspected(recipe.size_hw)
    pixels = height * width if chosen is None else chosen.pixels
    inspected = frame_hw[0] * frame_hw[1] * pixels / (height * width)  # pixels of the camera's picture
    if inspected < scoring.smallest_pixels * (1 - ROUNDING):
        return (
            f"the smallest area, {_smallest(scoring)}, is more than all that is inspected of this picture, "
            f"{scoring.area_in_words(inspected)}: no part could be rejected; set it with python -m runtime.adjust"
        )
    return None


def _left_out(found: Found, scoring: Scoring) -> str:
    return f" ({_count(found.ignored)} smaller than {_smallest(scoring)} left out)" if found.ignored else ""


def _all_ignored(found: Found, scoring: Scoring) -> str:
    if not found.ignored:
        return ", but only where the aligned frame reaches beyond the picture: nothing there counts"
    most = " at most" if found.ignored > 1 else ""
    largest = scoring.area_in_words(found.largest_ignored)
    return f" in {_count(found.ignored)} of {largest}{most}; smaller than {_smallest(scoring)} do not count"


def _count(regions: int) -> str:
    return f"{regions} region{'s' if regions > 1 else ''}"


def _smallest(scoring: Scoring) -> str:
    return scoring.area_in_words(scoring.smallest_pixels)

"""The rule that makes a decision of what an engine computed of a frame, with its reason: it stands here, once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.engines.base import Output
from runtime.recipe import Recipe
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
    image_evidence: tuple[str, ...] = ()  # the names of evidence of the whole frame that rejects the part


def decide(output: Output, recipe: Recipe, frame_hw: tuple[int, int]) -> Judgement:
    """Judge the one frame of `output`, which arrived with the size `frame_hw`.

    What cannot be judged is NO_DECISION. A score above the threshold is NG if a region above it has `smallest_area` or
    more; where all regions are smaller it is OK, and the reason says so. What is proven of the threshold, as if every
    region counted, holds with any smallest area: it can only make fewer rejects.
    """
    threshold, score = recipe.threshold.value, float(output.anomaly_score[0])
    scored_map = output.scored_map[0]
    problem = _problem(score, output, recipe, frame_hw)
    if problem is not None:
        return Judgement(Decision.NO_DECISION, problem)
    if score <= threshold:
        return Judgement(Decision.OK, f"score {score:.3f} within {threshold:.3f}")
    found = find_regions(scored_map, threshold, frame_hw, recipe.scoring)
    above = f"score {score:.3f} above {threshold:.3f}"
    evidence = _image_evidence_above(output, recipe)
    if _rejects(found) or evidence:
        reason = above + _which(found, evidence, recipe) + _left_out(found, recipe.scoring)
        return Judgement(Decision.NG, reason, found.regions, found.ignored_mask, evidence)
    return Judgement(Decision.OK, above + _all_ignored(found, recipe.scoring), (), found.ignored_mask)


def by_evidence(output: Output, recipe: Recipe) -> dict[str, float]:
    """The scores of the one frame of `output` by kind of evidence, the map's first; empty where it is the only kind."""
    if output.evidence_scores is None:
        return {}
    names = ("map", *(kind.name for kind in recipe.method.image_evidence))
    return {name: float(score) for name, score in zip(names, output.evidence_scores[0], strict=True)}


def _rejects(found: Found) -> bool:
    """Whether a score above the threshold, of the map, rejects the part.

    Without any region nothing was left out, and the score stands: it is rounded otherwise than the map's values.
    """
    return bool(found.regions) or not found.ignored


def _image_evidence_above(output: Output, recipe: Recipe) -> tuple[str, ...]:
    """The names of evidence of the whole frame above the threshold, which rejects whatever the regions' areas are."""
    scores = list(by_evidence(output, recipe).items())[1:]
    return tuple(name for name, score in scores if score > recipe.threshold.value)


def _which(found: Found, evidence: tuple[str, ...], recipe: Recipe) -> str:
    """Which evidence rejects, where there is more than the map's."""
    if not recipe.method.image_evidence:
        return ""
    names = (*(("map",) if found.regions or not evidence else ()), *evidence)
    return f", by {' and '.join(f'the {name}' for name in names)}"


def _problem(score: float, output: Output, recipe: Recipe, frame_hw: tuple[int, int]) -> str | None:
    """Why nothing can be decided, or None."""
    scored_map, by_evidence = output.scored_map[0], output.evidence_scores
    if by_evidence is not None and not np.isfinite(by_evidence).all():
        return f"engine error: the scores by evidence are {', '.join(map(str, by_evidence[0]))}"
    if not np.isfinite(score):
        return f"engine error: the score is {score}"
    # a maximum may have skipped a NaN; both ends are seen without an array for what is finite
    if not (np.isfinite(scored_map.min()) and np.isfinite(scored_map.max())):
        return "engine error: the map holds values that are not finite"
    scoring, (height, width) = recipe.scoring, recipe.size_hw
    *_, rows, columns = scoring.region_of_interest or (0, 0, height, width)
    inspected = frame_hw[0] * frame_hw[1] * (rows * columns) / (height * width)  # pixels of the camera's picture
    if inspected < scoring.smallest_pixels * (1 - ROUNDING):
        return (
            f"the smallest area, {_smallest(scoring)}, is more than all that is inspected of this picture, "
            f"{scoring.area_in_words(inspected)}: no part could be rejected; set it with python -m runtime.adjust"
        )
    return None


def _left_out(found: Found, scoring: Scoring) -> str:
    return f" ({_count(found.ignored)} smaller than {_smallest(scoring)} left out)" if found.ignored else ""


def _all_ignored(found: Found, scoring: Scoring) -> str:
    most = " at most" if found.ignored > 1 else ""
    largest = scoring.area_in_words(found.largest_ignored)
    return f" in {_count(found.ignored)} of {largest}{most}; smaller than {_smallest(scoring)} do not count"


def _count(regions: int) -> str:
    return f"{regions} region{'s' if regions > 1 else ''}"


def _smallest(scoring: Scoring) -> str:
    return scoring.area_in_words(scoring.smallest_pixels)

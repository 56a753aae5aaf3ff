"""The rule that makes a decision: regions that are too small, what cannot be judged, and what no setting may change."""

import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from runtime_samples import SIZE_HW, make_recipe, recipe_with_image_evidence

from runtime.engines.base import Output
from runtime.judgement import Judgement, decide
from runtime.recipe import Recipe
from runtime.scoring import Scoring
from runtime.verdict import Decision

FRAME_HW = (32, 72)  # twice the rows and three times the columns: each pixel of the map is six of the frame


def recipe_of(**settings: object) -> Recipe:
    return replace(make_recipe(), scoring=Scoring(**settings))  # type: ignore[arg-type]


def output_of(scored_map: NDArray[np.float32], score: float | None = None) -> Output:
    highest = float(scored_map.max()) if score is None else score
    return Output(scored_map[None], np.array([highest], np.float32))


def spots(*sides: int) -> NDArray[np.float32]:
    """A map with square spots of these sides, apart from each other."""
    values = np.zeros(SIZE_HW, np.float32)
    for number, side in enumerate(sides):
        values[2 : 2 + side, 6 * number : 6 * number + side] = 0.9 - 0.1 * number
    return values


@pytest.mark.parametrize("seed", range(200))
def test_without_a_smallest_area_the_score_alone_decides_and_with_one_no_more_is_rejected(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = (rng.random(SIZE_HW) * rng.choice([0.45, 0.52, 0.6, 1.0])).astype(np.float32)
    pixels = int(rng.choice([1, 1, 5, 60]))
    region = (2, 3, 10, 15) if rng.random() < 0.5 else None
    top, left, rows, columns = region or (0, 0, *SIZE_HW)
    inside = values[top : top + rows, left : left + columns]
    output = output_of(values, float(np.sort(inside, axis=None)[-pixels:].mean(dtype=np.float32)))
    scale = float(rng.choice([0.05, 1.0, 3.0]))
    before = Decision.NG
    for area in (0.0, *np.sort(rng.random(8)) * 100):
        recipe = recipe_of(
            region_of_interest=region, score_pixels=pixels, mm_per_pixel=scale, smallest_area=float(area) * scale**2
        )
        decision = decide(output, recipe, FRAME_HW).decision
        if area == 0:
            assert decision is (Decision.NG if float(output.anomaly_score[0]) > 0.5 else Decision.OK)
        else:
            assert (before, decision) != (Decision.OK, Decision.NG)
        before = decision


@pytest.mark.parametrize(
    ("settings", "decision", "reason", "areas"),
    [
        ({}, "NG", "score 0.900 above 0.500", [24, 6, 54]),
        ({"smallest_area": 6.0}, "NG", "score 0.900 above 0.500", [24, 6, 54]),
        (
            {"smallest_area": 25.0},
            "NG",
            "score 0.900 above 0.500 (2 regions smaller than 25 pixels left out)",
            [54],
        ),
        (
            {"smallest_area": 2.0, "mm_per_pixel": 0.5},
            "NG",
            "score 0.900 above 0.500 (1 region smaller than 2 mm² left out)",
            [24, 54],
        ),
        (
            {"smallest_area": 55.0},
            "OK",
            "score 0.900 above 0.500 in 3 regions of 54 pixels at most; smaller than 55 pixels do not count",
            [],
        ),
        (
            {"smallest_area": 13.6, "mm_per_pixel": 0.5},
            "OK",
            "score 0.900 above 0.500 in 3 regions of 13.5 mm² at most; smaller than 13.6 mm² do not count",
            [],
        ),
    ],
)
def test_a_reason_says_what_does_not_count(
    settings: dict[str, object], decision: str, reason: str, areas: list[float]
) -> None:
    judgement = decide(output_of(spots(2, 1, 3)), recipe_of(**settings), FRAME_HW)
    assert (judgement.decision.value, judgement.reason) == (decision, reason)
    assert [region.area for region in judgement.regions] == areas


def test_a_lone_region_is_told_as_one() -> None:
    reason = decide(output_of(spots(2)), recipe_of(smallest_area=25.0), FRAME_HW).reason
    assert reason == "score 0.900 above 0.500 in 1 region of 24 pixels; smaller than 25 pixels do not count"


def test_a_score_without_a_region_stands() -> None:
    """The graph may round a mean up, so that it is above the threshold where no value of the map is."""
    output = output_of(np.full(SIZE_HW, 0.5, np.float32), 0.50001)
    for area in (0.0, 30.0):
        assert decide(output, recipe_of(smallest_area=area), FRAME_HW) == Judgement(
            Decision.NG, "score 0.500 above 0.500"
        )


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (output_of(spots(2), float("nan")), "engine error: the score is nan"),
        (output_of(np.where(spots(2) > 0, np.nan, 0).astype(np.float32), 0.9), "engine error: the map holds values"),
    ],
)
def test_what_cannot_be_judged_is_no_decision_whatever_the_areas_are(output: Output, reason: str) -> None:
    for area in (0.0, 30.0, 1e9):
        judgement = decide(output, recipe_of(smallest_area=area), FRAME_HW)
        assert judgement.decision is Decision.NO_DECISION
        assert judgement.reason.startswith(reason)


@pytest.mark.parametrize(
    ("settings", "inspected"),
    [
        ({}, 32 * 72),
        ({"region_of_interest": (2, 3, 4, 5)}, 4 * 5 * 6),
        ({"mm_per_pixel": 0.5}, 32 * 72 / 4),
    ],
)
def test_a_smallest_area_that_no_region_can_reach_decides_nothing(
    settings: dict[str, object], inspected: float
) -> None:
    for values in (spots(), np.ones(SIZE_HW, np.float32)):
        just = decide(output_of(values), recipe_of(smallest_area=inspected, **settings), FRAME_HW)
        assert just.decision is (Decision.NG if values.any() else Decision.OK)
        more = decide(output_of(values), recipe_of(smallest_area=inspected * 1.01, **settings), FRAME_HW)
        assert more.decision is Decision.NO_DECISION
        assert more.reason.startswith("the smallest area, ")
        assert "no part could be rejected; set it with python -m runtime.adjust" in more.reason


def judged_whole(**settings: object) -> Recipe:
    """A recipe with one kind of evidence of the whole frame."""
    return replace(recipe_with_image_evidence(), scoring=Scoring(by_position=True, **settings))  # type: ignore[arg-type]


def of_evidence(scored_map: NDArray[np.float32], *scores: float) -> Output:
    """An output whose score is the highest of these."""
    return replace(output_of(scored_map, max(scores)), evidence_scores=np.array([scores], np.float32))


@pytest.mark.parametrize(
    ("sides", "scores", "settings", "decision", "reason", "by"),
    [
        ((), (0.1, 0.2), {}, "OK", "score 0.200 within 0.500", ()),
        ((2,), (0.9, 0.2), {}, "NG", "score 0.900 above 0.500, by the map", ("map",)),
        ((), (0.1, 0.8), {}, "NG", "score 0.800 above 0.500, by the whole frame", ("whole frame",)),
        (
            (2,),
            (0.9, 1.5),
            {},
            "NG",
            "score 1.500 above 0.500, by the map and the whole frame",
            ("map", "whole frame"),
        ),
        (
            (2,),
            (0.9, 0.8),
            {"smallest_area": 25.0},
            "NG",
            "score 0.900 above 0.500, by the whole frame (1 region smaller than 25 pixels left out)",
            ("whole frame",),
        ),
        (
            (2,),
            (0.9, 0.4),
            {"smallest_area": 25.0},
            "OK",
            "score 0.900 above 0.500 in 1 region of 24 pixels; smaller than 25 pixels do not count",
            (),
        ),
        # the mean of the highest pixels is within the threshold, some are above
        ((2,), (0.4, 0.8), {"score_pixels": 9}, "NG", "score 0.800 above 0.500, by the whole frame", ("whole frame",)),
    ],
)
def test_the_map_rejects_or_the_whole_frame_or_both(
    sides: tuple[int, ...],
    scores: tuple[float, float],
    settings: dict[str, object],
    decision: str,
    reason: str,
    by: tuple[str, ...],
) -> None:
    found = decide(of_evidence(spots(*sides), *scores), judged_whole(**settings), FRAME_HW)
    assert (found.decision.value, found.reason, found.rejected_by) == (decision, reason, by)


@pytest.mark.parametrize("scores", [(np.nan, 0.1), (0.1, np.nan), (0.1, np.inf), (-np.inf, 0.1)])
@pytest.mark.parametrize("score", [0.1, 0.9])
def test_evidence_that_is_not_finite_decides_nothing(scores: tuple[float, float], score: float) -> None:
    output = replace(of_evidence(spots(), *scores), anomaly_score=np.array([score], np.float32))
    found = decide(output, judged_whole(), FRAME_HW)
    assert found.decision is Decision.NO_DECISION
    assert found.reason == f"engine error: the scores by evidence are {', '.join(map(str, output.evidence_scores[0]))}"  # type: ignore[index]


@pytest.mark.parametrize("scores", [None, (0.1,), (0.1, 0.2, 0.3)])
def test_evidence_that_an_engine_does_not_give_decides_nothing(scores: tuple[float, ...] | None) -> None:
    output = output_of(spots()) if scores is None else of_evidence(spots(), *scores)
    found = decide(output, judged_whole(), FRAME_HW)
    assert found.decision is Decision.NO_DECISION
    assert found.reason.endswith("; expected [1, 2]")


def test_a_map_alone_has_no_names() -> None:
    assert decide(output_of(spots(2)), recipe_of(), FRAME_HW).rejected_by == ()


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("seed", range(60))
def test_it_is_the_rule_of_the_page(seed: int, whole: bool) -> None:
    page = (Path(__file__).parents[2] / "runtime" / "DETECTOR.md").read_text()
    code = "".join(re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    rng = np.random.default_rng(seed)
    values = cv2.GaussianBlur(rng.random(SIZE_HW).astype(np.float32), (0, 0), 1.0) + np.float32(
        rng.choice([-0.05, 0.1])
    )
    settings: dict[str, object] = {
        "region_of_interest": (2, 3, 10, 15) if rng.random() < 0.5 else None,
        "mm_per_pixel": 0.3 if rng.random() < 0.5 else None,
        "smallest_area": float(rng.choice([0, 3, 30, 300, 3000])),
    }
    recipe, score = (judged_whole if whole else recipe_of)(**settings), float(np.float32(values.max()))
    output = of_evidence(values, score, float(np.float32(rng.random()))) if whole else output_of(values, score)
    found = {"scored_map": values, "frame": np.zeros((*FRAME_HW, 3), np.uint8), "threshold": 0.5, "np": np, "cv2": cv2}
    found |= {"anomaly_score": output.anomaly_score[0], "H": SIZE_HW[0], "W": SIZE_HW[1], **settings}
    found |= {"evidence_scores": output.evidence_scores[0] if output.evidence_scores is not None else None}
    exec(code, found)
    assert decide(output, recipe, FRAME_HW).decision.value == found["decision"]

"""How a map becomes a score: what cannot be used is refused, whichever method it is of."""

from dataclasses import dataclass, replace

import pytest
from runtime_samples import make_recipe

from runtime.errors import DetectorError, InputError
from runtime.recipe import recipe_from_json
from runtime.scoring import FIRST, MOST_SCORE_PIXELS, Scoring
from runtime.typed import option


def test_the_default_is_the_papers_and_fits_every_frame() -> None:
    assert Scoring() == Scoring(None, 0.0, False, 1)
    Scoring().check((1, 1))


def test_the_bounds_themselves_are_allowed() -> None:
    Scoring((0, 0, 32, 36), (32 - 1) // 3, True, 32 * 36).check((32, 36))
    Scoring(score_pixels=MOST_SCORE_PIXELS).check((256, 256))


@pytest.mark.parametrize(
    ("scoring", "message"),
    [
        (Scoring(smoothing=-0.5), r"smoothing is -0.5; expected 0 to 10 for frames of 32×36"),
        (Scoring(smoothing=10.5), r"smoothing is 10.5; expected 0 to 10 for frames of 32×36"),  # it would reach too far
        (Scoring(smoothing=float("nan")), "smoothing is nan; expected"),
        (Scoring((0, 0, 33, 36)), r"region_of_interest \(0, 0, 33, 36\) lies outside 32×36 pixels"),
        (Scoring((-1, 0, 3, 3)), r"region_of_interest \(-1, 0, 3, 3\) lies outside"),
        (Scoring((0, 0, 0, 3)), r"region_of_interest \(0, 0, 0, 3\) lies outside"),
        (Scoring(score_pixels=0), r"score_pixels is 0; expected 1 to 1152 \(the region's pixels, TensorRT's TopK\)"),
        (Scoring((1, 1, 2, 3), score_pixels=7), "score_pixels is 7; expected 1 to 6"),
        (Scoring(mm_per_pixel=0.0), "mm_per_pixel is 0; expected the side of a pixel in mm, 1e-06 to 1000"),
        (Scoring(mm_per_pixel=-0.1), "mm_per_pixel is -0.1; expected the side"),
        (Scoring(mm_per_pixel=float("nan")), "mm_per_pixel is nan; expected the side"),
        (Scoring(mm_per_pixel=float("inf")), "mm_per_pixel is inf; expected the side"),
        (Scoring(smallest_area=-0.5), "smallest_area is -0.5; expected 0 or more"),
        (Scoring(smallest_area=float("nan")), "smallest_area is nan; expected 0 or more"),
        (Scoring(smallest_area=float("inf")), "smallest_area is inf; expected"),
    ],
)
def test_what_cannot_be_used_is_refused(scoring: Scoring, message: str) -> None:
    with pytest.raises(InputError, match=message):
        scoring.check((32, 36))


def test_no_more_pixels_are_scored_than_tensorrt_sorts() -> None:
    with pytest.raises(InputError, match="score_pixels is 3841; expected 1 to 3840"):
        Scoring(score_pixels=MOST_SCORE_PIXELS + 1).check((256, 256))


@dataclass(frozen=True)
class LaterScoring(Scoring):
    """That of a later version."""

    later: float | None = option(None, "")


def test_a_setting_that_comes_later_changes_no_hash_where_it_is_off() -> None:
    recipe = make_recipe()
    assert (
        recipe.sha256 == "4fce2286fba85e3474cdb9cba6344014be1b50cf28581c17fa766e4bc25680ff"
    )  # of files that are out there
    assert replace(recipe, scoring=LaterScoring()).sha256 == recipe.sha256
    on = replace(recipe, scoring=LaterScoring(later=2.0))
    assert on.sha256 != recipe.sha256
    with pytest.raises(DetectorError, match=r"of a later version or damaged \(unknown option later; known are region"):
        recipe_from_json(on.to_json())


def test_what_the_first_recipes_hold_stays_in_them() -> None:
    assert list(Scoring().document) == list(FIRST)


def test_the_settings_of_the_decision_travel_in_the_recipe_and_are_left_out_at_their_defaults() -> None:
    recipe = replace(make_recipe(), scoring=Scoring(mm_per_pixel=0.08, smallest_area=2.5))
    assert recipe.scoring.document == Scoring().document | {"mm_per_pixel": 0.08, "smallest_area": 2.5}
    assert recipe_from_json(recipe.to_json()) == recipe


@pytest.mark.parametrize(
    ("scoring", "pixels", "words"),
    [
        (Scoring(), 12.0, "12 pixels"),
        (Scoring(), 123_456.7, "123,457 pixels"),
        (Scoring(mm_per_pixel=0.08), 390.625, "2.5 mm²"),
    ],
)
def test_areas_are_told_in_the_unit_of_the_smallest(scoring: Scoring, pixels: float, words: str) -> None:
    assert scoring.area_in_words(pixels) == words

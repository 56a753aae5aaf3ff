"""Parts that pass and score above all good images: seen where the threshold leaves room, and no false alarm."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from runtime_samples import make_recipe

from calibration.file_scores import quantiles
from calibration.threshold import fit_threshold
from runtime.drift import DriftWatch
from runtime.recipe import Recipe

Scores = NDArray[np.float64]


def calibrated(scores: Scores) -> Recipe:
    """A file whose threshold so few images do not prove."""
    recipe = replace(make_recipe(), threshold=fit_threshold(scores, 0.01), score_quantiles=quantiles(scores))
    assert not recipe.threshold.supported
    return recipe


def watched(recipe: Recipe, scores: Scores, alpha: float = 0.01) -> DriftWatch:
    """What a watch knows after those of these parts that are OK."""
    watch = DriftWatch(recipe, alpha)
    for score in scores[scores <= recipe.threshold.value].tolist():
        watch.look(score, None, 1e9)
    return watch


def test_a_rise_above_all_good_images_is_warned_of_while_most_or_half_of_the_parts_pass() -> None:
    """Without the trend of high scores it was 6 of 20 lines at a rise of four deviations."""
    draw = np.random.default_rng(0)
    for shift, at_least in ((2.0, 15), (4.0, 18)):
        warned = 0
        for _ in range(20):
            recipe = calibrated(draw.normal(size=15))
            warned += watched(recipe, draw.normal(shift, 1, 600)).warned
        assert warned >= at_least, shift


def test_the_warning_names_the_score_that_hardly_any_good_image_has() -> None:
    scores = np.linspace(-1.5, 1.5, 15)
    recipe = calibrated(scores).with_threshold(9.0)
    draw = np.random.default_rng(1)
    watch = watched(recipe, draw.normal(0, 0.7, 100).clip(-1.4, 1.4))
    assert not watch.warned
    for score in draw.normal(6, 1, 100).clip(2, 9).tolist():
        watch.look(score, None, 1e9)
    state = watch.state
    assert state.warning is not None
    assert "more parts pass with scores above 1.5, as hardly any good image has since about part 10" in state.warning
    assert [trend.name for trend in state.trends][:2] == ["score", "high score"]
    assert [trend.values for trend in state.trends][:2] == [100, 200]


@pytest.mark.parametrize("count", [10, 30])
def test_lines_without_drift_are_warned_of_as_seldom_as_is_stated(count: int) -> None:
    """At α = 0.4, half of it asked of the proof: of 120 lines at most 24 are expected, 37 once in 200."""
    draw, warned = np.random.default_rng(count), 0
    for number in range(120):
        make = (draw.normal, draw.gumbel, draw.uniform)[number % 3]
        recipe = calibrated(make(size=count))
        warned += watched(recipe, make(size=300), alpha=0.4).warned
    assert warned < 37

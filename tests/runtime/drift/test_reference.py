"""What a file says of its calibration: ranks against the functions that made the file."""

from dataclasses import replace

import numpy as np
import pytest
from runtime_samples import make_recipe

from calibration.file_scores import quantiles
from calibration.health import fit_health
from calibration.threshold import fit_threshold
from runtime.drift.reference import (
    OF_OWN,
    of_brightness,
    of_high_scores,
    of_own,
    of_scores,
    rank_of_threshold,
)
from runtime.recipe import Recipe


def recipe_of(scores: np.ndarray, budget: float = 0.05, left_out: bool = False) -> Recipe:
    threshold = fit_threshold(scores, budget, left_out=left_out)
    return replace(make_recipe(), threshold=threshold, score_quantiles=quantiles(scores))


@pytest.mark.parametrize("left_out", [False, True])
@pytest.mark.parametrize("budget", [0.29, 0.05, 0.01, 0.001])
def test_a_proven_threshold_has_the_rank_that_it_was_given(budget: float, left_out: bool) -> None:
    for count in (*range(2, 130, 7), 99, 100, 299, 498, 699, 3000):
        threshold = fit_threshold(np.arange(1.0, count + 1), budget, left_out=left_out)
        expected = threshold.value if threshold.supported else None
        assert rank_of_threshold(threshold) == expected, (count, budget)


@pytest.mark.parametrize("left_out", [False, True])
def test_weights_are_the_differences_of_ranks_where_quantiles_are_scores(left_out: bool) -> None:
    scores = np.random.default_rng(0).gumbel(size=101)  # of which each quantile is one
    reference = of_scores(recipe_of(scores, left_out=left_out))
    assert reference is not None
    ranks = [int(np.count_nonzero(scores <= edge)) for edge in reference.edges]
    assert reference.weights == pytest.approx(np.diff([0, *ranks]) * (0.5 if left_out else 1))
    assert reference.ceiling == recipe_of(scores, left_out=left_out).threshold.value
    assert reference.ceiling == sorted(scores)[ranks[-1] - 1] < scores.max()
    assert reference.typical == (np.quantile(scores, 0.25), np.quantile(scores, 0.75))


def test_a_quantile_between_two_scores_divides_their_gap() -> None:
    reference = of_scores(recipe_of(np.arange(60.0)))
    assert reference is not None
    # edges are at 0, 2.95, 14.75, … of scores 0, 1, 2, …: one more than a score is its rank
    assert np.cumsum(reference.weights) == pytest.approx(np.add(reference.edges, 1))


def test_with_a_threshold_beyond_all_scores_they_count_up_to_the_highest() -> None:
    scores = np.random.default_rng(1).gumbel(size=20)
    recipe = recipe_of(scores, 0.01)
    assert recipe.threshold.value > scores.max()
    reference = of_scores(recipe)
    assert reference is not None
    assert reference.ceiling == scores.max()
    assert sum(reference.weights) == pytest.approx(20)


def test_by_a_threshold_set_by_hand_they_count_up_to_the_last_quantile_below_it() -> None:
    scores = np.random.default_rng(2).gumbel(size=101)
    reference = of_scores(recipe_of(scores).with_threshold(float(np.quantile(scores, 0.8))))
    assert reference is not None
    assert reference.ceiling == np.quantile(scores, 0.75)
    assert sum(reference.weights) == pytest.approx(76)
    by_hand = recipe_of(scores, left_out=True).with_threshold(float(np.quantile(scores, 0.8)))
    halved = of_scores(replace(by_hand, provenance=replace(by_hand.provenance, images={"training": 101})))
    assert halved is not None
    assert sum(halved.weights) == pytest.approx(38)
    assert of_scores(recipe_of(scores).with_threshold(float(scores.min()) - 1)) is None


@pytest.mark.parametrize("left_out", [False, True])
def test_above_all_scores_there_is_as_much_as_one_of_them_at_most(left_out: bool) -> None:
    scores = np.random.default_rng(4).gumbel(size=20)
    recipe, share = recipe_of(scores, 0.01, left_out), 0.5 if left_out else 1
    for each in (recipe, replace(recipe, threshold=replace(recipe.threshold, value=recipe.threshold.value + 5))):
        high = of_high_scores(each)
        assert high is not None
        assert (high.edges, high.weights, high.at_most) == ((scores.max(),), (20 * share, share), True)


def test_by_a_threshold_set_by_hand_there_is_as_much_as_up_to_the_next_quantile_at_most() -> None:
    scores = np.random.default_rng(2).gumbel(size=101)
    by_hand = recipe_of(scores).with_threshold(float(np.quantile(scores, 0.8)))
    high = of_high_scores(by_hand)
    assert high is not None
    assert high.edges == (np.quantile(scores, 0.75),)
    assert high.weights == pytest.approx((76, 20))  # of the 5 that there are nobody knows


def test_below_a_proven_threshold_no_score_is_higher_than_those_of_calibration() -> None:
    scores = np.random.default_rng(0).gumbel(size=101)
    for left_out in (False, True):
        assert of_high_scores(recipe_of(scores, left_out=left_out)) is None


def test_equal_scores_are_one_edge_of_the_highest_rank() -> None:
    reference = of_scores(recipe_of(np.repeat([0.0, 1.0], [61, 40]), 0.01))
    assert reference is not None
    assert reference.edges == (0.0, 1.0)
    assert reference.weights == (51, 50)  # of the median, and of the highest


def test_a_file_without_quantiles_has_none() -> None:
    assert of_scores(replace(make_recipe(), score_quantiles={})) is None


def test_brightness_is_what_the_good_images_had() -> None:
    images = [np.full((16, 16, 3), level, np.uint8) for level in (60, 75, 90)]
    recipe = replace(make_recipe(), health=fit_health(images, (16, 16)))
    reference = of_brightness(recipe)
    assert reference is not None
    assert reference.edges == pytest.approx((60, 90))
    assert reference.weights == (1, sum(recipe.provenance.images.values()) - 1, 1)


def test_of_own_values_every_bin_has_a_tenth() -> None:
    values = np.random.default_rng(3).permutation(OF_OWN).astype(float).tolist()
    reference = of_own(values)
    assert reference is not None
    assert sum(reference.weights) == OF_OWN + 1
    assert [sum(value <= edge for value in values) for edge in reference.edges] == list(range(20, 181, 20))
    assert np.cumsum(reference.weights)[:-1].tolist() == list(range(20, 181, 20))
    assert of_own([1.0] * OF_OWN) is None

"""The promise of a threshold, checked against the binomial law, by simulation, and by hand."""

import numpy as np
import pytest
from numpy.typing import ArrayLike
from scipy.stats import binom, binomtest, gumbel_r

from calibration.threshold import (
    fit_gumbel,
    fit_threshold,
    gumbel_limit,
    rate_bound,
    rate_interval,
)
from runtime.errors import InputError
from runtime.threshold import images_needed


def test_eighty_images_support_three_point_seven_percent() -> None:
    threshold = fit_threshold(np.arange(80.0), budget=0.001)
    assert threshold.supported_budget == pytest.approx(1 - 0.05 ** (1 / 80))
    assert round(100 * threshold.supported_budget, 1) == 3.7
    assert not threshold.supported


@pytest.mark.parametrize(("budget", "needed"), [(0.001, 2995), (0.01, 299), (0.05, 59), (0.5, 5)])
def test_the_images_needed_are_the_fewest_that_support_the_budget(budget: float, needed: int) -> None:
    assert images_needed(budget) == needed
    assert fit_threshold(np.arange(needed), budget).supported
    assert not fit_threshold(np.arange(needed - 1), budget).supported


@pytest.mark.parametrize("n", range(2, 200))
def test_a_budget_on_the_edge_is_supported_by_just_that_many_images(n: int) -> None:
    budget = rate_bound(0, n, 0.95)
    assert images_needed(budget) == n
    assert fit_threshold(np.arange(n), budget).supported


@pytest.mark.parametrize(("above", "n", "confidence"), [(0, 80, 0.95), (1, 80, 0.95), (7, 300, 0.9), (49, 50, 0.99)])
def test_at_the_bound_so_few_rejects_are_just_as_unlikely_as_stated(above: int, n: int, confidence: float) -> None:
    assert binom.cdf(above, n, rate_bound(above, n, confidence)) == pytest.approx(1 - confidence, abs=1e-9)


@pytest.mark.parametrize(("count", "total"), [(0, 10), (3, 62), (10, 10), (1, 1)])
def test_an_interval_equals_scipys_exact_one(count: int, total: int) -> None:
    expected = binomtest(count, total).proportion_ci(0.95, method="exact")
    assert rate_interval(count, total) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize(("n", "budget"), [(59, 0.05), (93, 0.05), (400, 0.05), (299, 0.01), (473, 0.01)])
def test_the_lowest_threshold_within_the_budget_is_taken(n: int, budget: float) -> None:
    threshold = fit_threshold(np.random.default_rng(0).permutation(n), budget)
    above = n - 1 - int(threshold.value)
    assert binom.cdf(above, n, budget) <= 0.05 < binom.cdf(above + 1, n, budget)
    assert threshold.method == "order-statistic"


@pytest.mark.parametrize("digits", [None, 2, 1], ids=["continuous", "rounded to 0.01", "rounded to 0.1"])
def test_the_budget_is_kept_as_often_as_the_confidence_says(digits: int | None) -> None:
    n, budget, trials = 200, 0.05, 4000
    scores = np.random.default_rng(1).random((trials, n))
    if digits is not None:
        scores = np.ceil(scores * 10**digits) / 10**digits  # P(score > t) = 1 − t at every step t
    rates = np.array([1 - fit_threshold(sample, budget).value for sample in scores])
    kept = np.mean(rates <= budget + 1e-12)
    deviation = np.sqrt(0.95 * 0.05 / trials)
    assert kept >= 0.95 - 3 * deviation
    if digits is None:  # k = 4 of 200 above: the exact chance is known, and not wastefully high
        assert kept == pytest.approx(1 - binom.cdf(4, n, budget), abs=3 * deviation)


def test_ties_never_reject_more_than_the_order_statistic_allows() -> None:
    scores = [0.0] * 50 + [1.0] * 43  # 93 images support 5 % with one above
    threshold = fit_threshold(scores, budget=0.05)
    assert threshold.value == 1.0


def test_a_gumbel_fit_has_the_mean_and_the_mean_difference_of_its_sample() -> None:
    samples = np.sort(np.random.default_rng(8).normal(size=(3, 25)), axis=1)
    location, scale = fit_gumbel(samples)
    pairs = samples[:, :, None] - samples[:, None]
    mean_difference = np.abs(pairs).sum(axis=(1, 2)) / (25 * 24)
    assert gumbel_r.mean(location, scale) == pytest.approx(samples.mean(axis=1))
    assert 2 * np.log(2) * scale == pytest.approx(mean_difference)  # of a Gumbel distribution: 2 λ2 = 2 β ln 2


def test_a_gumbel_limit_covers_the_true_quantile_as_often_as_stated() -> None:
    n, budget, trials = 12, 0.01, 500
    samples = np.sort(gumbel_r(loc=3, scale=2).rvs((trials, n), random_state=2), axis=1)
    true_quantile = gumbel_r(loc=3, scale=2).ppf(1 - budget)
    covered = np.mean([gumbel_limit(sample, budget, 0.95) >= true_quantile for sample in samples])
    assert covered == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / trials))


def test_the_limit_of_a_large_sample_approaches_the_quantile() -> None:
    sample = np.sort(gumbel_r(loc=-5, scale=0.1).rvs(5_000, random_state=3))
    quantile = gumbel_r(loc=-5, scale=0.1).ppf(1 - 1e-4)
    assert quantile < gumbel_limit(sample, 1e-4, 0.95) < quantile + 0.05


def test_a_small_sample_falls_back_to_the_tail_model_and_says_so() -> None:
    scores = gumbel_r.rvs(size=40, random_state=4)
    threshold = fit_threshold(scores, budget=0.01)
    assert (threshold.method, threshold.supported) == ("gumbel", False)
    assert threshold.value == gumbel_limit(np.sort(scores), 0.01, 0.95) > scores.max()
    assert threshold.supported_budget == pytest.approx(1 - 0.05 ** (1 / 40))


def test_the_tail_model_never_ends_below_the_largest_score_seen() -> None:
    scores = np.append(np.linspace(0, 1, 20), 100.0)
    assert gumbel_limit(scores, 0.1, 0.95) < 100.0
    assert fit_threshold(scores, budget=0.1).value == 100.0


def test_the_tail_model_moves_and_scales_with_the_scores() -> None:
    scores = gumbel_r.rvs(size=30, random_state=5)
    one, other = fit_threshold(scores, 0.01).value, fit_threshold(7 + 3 * scores, 0.01).value
    assert other == pytest.approx(7 + 3 * one)


def test_the_result_does_not_depend_on_the_order_of_the_scores_or_on_other_random_draws() -> None:
    scores = gumbel_r.rvs(size=30, random_state=6)
    first = fit_threshold(scores, 0.01)
    np.random.default_rng().random(10)
    assert fit_threshold(scores[::-1], 0.01) == first


@pytest.mark.parametrize("n", [13, 40, 400])
def test_equal_scores_give_that_score_without_rounding(n: int) -> None:
    for score in 10 * np.random.default_rng(0).random(20):
        assert fit_threshold(np.full(n, score), budget=0.01).value == score


def test_more_confidence_or_a_tighter_budget_never_lowers_the_threshold() -> None:
    scores = gumbel_r.rvs(size=300, random_state=7)
    by_confidence = [fit_threshold(scores, 0.05, confidence).value for confidence in (0.5, 0.8, 0.95, 0.99)]
    by_budget = [fit_threshold(scores, budget).value for budget in (0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.001)]
    assert by_confidence == sorted(by_confidence)
    assert by_budget == sorted(by_budget)


@pytest.mark.parametrize(
    ("scores", "budget", "confidence", "message"),
    [
        ([], 0.01, 0.95, "0 good images"),
        ([1.0], 0.01, 0.95, "1 good images"),
        ([1.0, float("nan"), float("inf")], 0.01, 0.95, "2 of 3 image scores"),
        ([1.0, 2.0], 0.0, 0.95, "budget is 0.0"),
        ([1.0, 2.0], 1.0, 0.95, "budget is 1.0"),
        ([1.0, 2.0], -0.1, 0.95, "budget is -0.1"),
        ([1.0, 2.0], float("nan"), 0.95, "budget is nan"),
        ([1.0, 2.0], 0.01, 1.0, "confidence is 1.0"),
    ],
)
def test_what_cannot_be_used_is_refused(scores: ArrayLike, budget: float, confidence: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit_threshold(scores, budget, confidence)

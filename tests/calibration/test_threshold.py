"""The promise of a threshold, checked against the binomial law, by simulation, and by hand."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike
from scipy.stats import binom, binomtest, expon, gumbel_r, norm

from calibration.threshold import exponential_tail, fit_threshold, rate_bound, rate_interval
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


def test_a_small_sample_falls_back_to_the_exponential_tail_and_says_so() -> None:
    scores = gumbel_r.rvs(size=40, random_state=4)
    threshold = fit_threshold(scores, budget=0.01)
    assert (threshold.method, threshold.supported) == ("exponential-tail", False)
    assert threshold.value == exponential_tail(np.sort(scores), 0.01) > scores.max()
    assert threshold.supported_budget == pytest.approx(1 - 0.05 ** (1 / 40))


def test_the_exponential_tail_by_hand() -> None:
    # of 5 scores r = 3 are above u = 1, by 1, 2 and 4; (1 + c)³ = 4 / (6 · 0.01)
    expected = 1 + 7 * ((4 / 0.06) ** (1 / 3) - 1)
    assert fit_threshold([5, 1, 0, 3, 2], 0.01).value == pytest.approx(expected)
    assert fit_threshold([0, 1], 0.01).value == pytest.approx(2 / 0.03 - 1)  # r = 1


@pytest.mark.parametrize("n", [2, 5, 15, 60])
@pytest.mark.parametrize("scores", [expon(), norm(), gumbel_r()], ids=["exponential", "normal", "Gumbel"])
def test_of_no_heavier_tails_the_budget_is_kept_on_average(n: int, scores: Any) -> None:
    trials, budget = 4000, 0.02
    ordered = np.sort(scores.rvs((trials, n), random_state=n), axis=1)
    rates = scores.sf(exponential_tail(ordered, budget))
    error = rates.std() / np.sqrt(trials)
    assert rates.mean() <= budget + 3 * error
    if scores.dist.name == "expon" and n < 60:  # for more the largest score is often above
        assert rates.mean() == pytest.approx(budget, abs=3 * error)


def test_the_tail_model_never_ends_below_the_largest_score_seen() -> None:
    scores = np.append(np.zeros(200), 1.0)  # almost all tie: the tail by itself has no width
    assert fit_threshold(scores, budget=0.01).value == 1.0
    for n in range(2, 299):
        assert fit_threshold(np.arange(n) ** 2.0, 0.01).value >= (n - 1) ** 2


def test_the_tail_model_moves_and_scales_with_the_scores() -> None:
    scores = gumbel_r.rvs(size=30, random_state=5)
    one, other = fit_threshold(scores, 0.01).value, fit_threshold(7 + 3 * scores, 0.01).value
    assert other == pytest.approx(7 + 3 * one)


@pytest.mark.parametrize(
    ("n", "budget", "above"), [(99, 0.01, 0), (100, 0.02, 1), (19, 0.1, 1), (9, 0.35, 2), (99, 0.07, 6), (3, 0.99, 2)]
)
def test_left_out_scores_have_as_many_above_as_the_budget_allows(n: int, budget: float, above: int) -> None:
    threshold = fit_threshold(np.random.default_rng(0).permutation(n), budget, left_out=True)
    assert threshold.value == n - 1 - above
    assert (above + 1) / (n + 1) <= budget < (above + 2) / (n + 1)
    assert (threshold.method, threshold.supported) == ("jackknife-minmax", True)
    assert threshold.supported_budget == 1 / (n + 1)


@pytest.mark.parametrize(("budget", "needed"), [(0.001, 999), (0.01, 99), (0.05, 19), (0.3, 3), (0.5, 1)])
def test_left_out_images_needed_are_the_fewest_that_support_the_budget(budget: float, needed: int) -> None:
    assert images_needed(budget, left_out=True) == needed
    if needed > 2:
        assert fit_threshold(np.arange(needed), budget, left_out=True).supported
        assert not fit_threshold(np.arange(needed - 1), budget, left_out=True).supported


@pytest.mark.parametrize("n", range(2, 200))
def test_a_budget_on_the_edge_is_supported_by_just_that_many_images_left_out(n: int) -> None:
    assert images_needed(1 / (n + 1), left_out=True) == n
    assert fit_threshold(np.arange(n), 1 / (n + 1), left_out=True).value == n - 1


def test_too_few_left_out_scores_fall_back_to_the_tail_too() -> None:
    scores = gumbel_r.rvs(size=98, random_state=9)
    threshold = fit_threshold(scores, 0.01, left_out=True)
    assert (threshold.method, threshold.supported) == ("left-out-exponential-tail", False)
    assert (threshold.left_out, threshold.supported_budget) == (True, 1 / 99)
    assert threshold.value == fit_threshold(scores, 0.01).value >= scores.max()


def test_the_confidence_has_no_part_in_what_left_out_scores_give_and_is_kept() -> None:
    scores = gumbel_r.rvs(size=120, random_state=10)
    found = [fit_threshold(scores, 0.05, confidence, left_out=True) for confidence in (0.5, 0.99)]
    assert found[0].value == found[1].value
    assert [one.confidence for one in found] == [0.5, 0.99]


def test_ties_of_left_out_scores_never_reject_more() -> None:
    assert fit_threshold([0.0] * 17 + [1.0] * 2, 0.1, left_out=True).value == 1.0  # one may be above
    assert fit_threshold([0.0] * 18 + [1.0], 0.1, left_out=True).value == 0.0


@pytest.mark.parametrize("budget", [0.1, 0.3])
def test_left_out_scores_of_nearest_neighbours_keep_the_budget_on_average(budget: float) -> None:
    # all of n + 1 points take the part of the new one in turn, so that the proof's count is checked, not a mean alone
    n, random = 20, np.random.default_rng(11)
    for _ in range(200):
        points = random.normal(size=(n + 1, 2))
        apart = np.linalg.norm(points[:, None] - points, axis=2) + np.diag(np.full(n + 1, np.inf))
        rejected = 0
        for new in range(n + 1):
            bank = np.delete(apart, new, axis=1)
            threshold = fit_threshold(np.delete(bank, new, axis=0).min(axis=1), budget, left_out=True)
            rejected += bank[new].min() > threshold.value
        assert rejected / (n + 1) <= budget


def test_the_result_does_not_depend_on_the_order_of_the_scores_or_on_other_random_draws() -> None:
    scores = gumbel_r.rvs(size=30, random_state=6)
    first = fit_threshold(scores, 0.01)
    np.random.default_rng().random(10)
    assert fit_threshold(scores[::-1], 0.01) == first


@pytest.mark.parametrize("n", [13, 40, 400])
def test_equal_scores_give_that_score_without_rounding(n: int) -> None:
    for score in 10 * np.random.default_rng(0).random(20):
        assert fit_threshold(np.full(n, score), budget=0.01).value == score


@pytest.mark.parametrize("n", [60, 400])
def test_a_tighter_budget_never_lowers_the_threshold_of_left_out_scores(n: int) -> None:
    scores = gumbel_r.rvs(size=n, random_state=12)
    values = [fit_threshold(scores, budget, left_out=True).value for budget in np.geomspace(0.9, 1e-4, 200)]
    assert values == sorted(values)


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
    for left_out in (False, True):
        with pytest.raises(InputError, match=message):
            fit_threshold(scores, budget, confidence, left_out=left_out)

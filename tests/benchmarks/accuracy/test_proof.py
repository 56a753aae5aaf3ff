"""What held-out images prove, by method."""

import pytest

from benchmarks.accuracy.proof import Proof, images_to_prove, most_above, proven
from calibration.threshold import fit_threshold, rate_bound
from runtime.threshold import images_needed


@pytest.mark.parametrize("method", ["order-statistic", "gumbel"])
def test_order_statistics_prove_the_bound_of_clopper_and_pearson(method: str) -> None:
    assert proven(0, 299, 0.95, method) == Proof(pytest.approx(0.009969, abs=1e-6), 0.95)
    assert proven(3, 80, 0.9, method) == Proof(rate_bound(3, 80, 0.9), 0.9)


def test_jackknife_minmax_bounds_the_rate_on_average() -> None:
    assert proven(0, 99, 0.95, "jackknife-minmax") == Proof(0.01, None)
    assert proven(4, 99, 0.95, "jackknife-minmax") == Proof(0.05, None)


@pytest.mark.parametrize(
    ("above", "sample_size", "method"),
    [(0, 80, "manual"), (80, 80, "order-statistic"), (0, 0, "gumbel"), (0, 80, "another")],
)
def test_nothing_is_proven_by_hand_by_no_image_or_by_a_method_that_is_not_known(
    above: int, sample_size: int, method: str
) -> None:
    assert proven(above, sample_size, 0.95, method) is None


def test_the_largest_k_is_the_one_that_the_threshold_is_fitted_with() -> None:
    scores = list(range(700))
    for budget in (0.005, 0.01, 0.05):
        above = most_above(budget, 700, 0.95, "order-statistic")
        assert above is not None
        assert sum(score > fit_threshold(scores, budget).value for score in scores) == above
    assert most_above(0.001, 700, 0.95, "order-statistic") is None
    assert most_above(0.05, 99, 0.95, "jackknife-minmax") == 4


def test_the_images_that_a_budget_takes() -> None:
    for budget in (0.001, 0.01, 0.1):
        assert images_to_prove(budget, 0.95, "order-statistic") == images_needed(budget)
    assert images_to_prove(0.01, 0.95, "jackknife-minmax") == 99
    assert images_to_prove(0.01, 0.95, "manual") is None

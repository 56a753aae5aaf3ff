"""The interval of an AUROC, held to a published example, to a plain bootstrap and to exact limits."""

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.accuracy.auroc_interval import (
    auroc_interval,
    delong_variance,
    hoeffding_limits,
    intervals_by_defect,
)
from calibration.metrics import auroc
from calibration.threshold import rate_interval

Ranked = tuple[NDArray[np.float64], NDArray[np.bool_]]


def joined(good: NDArray[np.floating], defective: NDArray[np.floating]) -> Ranked:
    labels = np.repeat([False, True], [len(good), len(defective)])
    return np.concatenate([good, defective]).astype(np.float64), labels


def overlapping(good: int, defective: int) -> Ranked:
    random = np.random.default_rng(3)
    return joined(random.normal(size=good), random.normal(1.2, 1.5, defective))


def test_delong_gives_what_is_published_of_the_ct_images_of_hanley_and_mcneil() -> None:
    # ratings of 58 normal and 51 abnormal images (Radiology 1982, table I). Stata's roctab, whose standard error is
    # DeLong's, gives 0.8932, 0.0307 and 0.83295 to 0.95339 for them
    ratings = np.arange(1, 6)
    scores, labels = joined(np.repeat(ratings, (33, 6, 6, 11, 2)), np.repeat(ratings, (3, 2, 2, 11, 33)))
    error = np.sqrt(delong_variance(scores, labels))
    assert auroc(scores, labels) == pytest.approx(0.8932, abs=5e-5)
    assert error == pytest.approx(0.0307, abs=5e-5)
    assert auroc(scores, labels) - 1.959964 * error == pytest.approx(0.83295, abs=5e-6)
    found = auroc_interval(scores, labels)
    assert found.method == "delong"
    # log-odds 2.1236, their standard error 0.030724 / (0.89317 · 0.10683) = 0.32201
    assert (found.low, found.high) == pytest.approx((0.81644, 0.94018), abs=2e-5)


def test_delong_by_ranks_is_delong_by_pairs() -> None:
    scores, labels = overlapping(17, 11)
    scores = scores.round(1)  # with ties
    order = np.sign(scores[labels][:, None] - scores[~labels]) / 2 + 0.5  # [defective, good]
    expected = order.mean(axis=1).var(ddof=1) / 11 + order.mean(axis=0).var(ddof=1) / 17
    assert delong_variance(scores, labels) == pytest.approx(expected, rel=1e-12)


def test_delong_agrees_with_a_bootstrap_over_images() -> None:
    scores, labels = overlapping(80, 60)
    random, good, defective = np.random.default_rng(0), scores[~labels], scores[labels]
    resampled = [auroc(*joined(random.choice(good, 80), random.choice(defective, 60))) for _ in range(2000)]
    assert np.sqrt(delong_variance(scores, labels)) == pytest.approx(np.std(resampled), rel=0.05)
    found = auroc_interval(scores, labels)
    assert (found.low, found.high) == pytest.approx(np.quantile(resampled, (0.025, 0.975)), abs=0.015)


@pytest.mark.parametrize(("good", "defective"), [(20, 63), (63, 20), (1, 1)])
def test_a_perfect_ranking_has_the_limit_of_clopper_and_pearson_for_the_smaller_class(
    good: int, defective: int
) -> None:
    smaller = min(good, defective)
    found = auroc_interval(*joined(np.zeros(good), np.ones(defective)))
    assert found.method == "hoeffding"
    assert (found.auroc, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.025 ** (1 / smaller))
    assert found.low == pytest.approx(rate_interval(smaller, smaller)[0])
    reverse = auroc_interval(*joined(np.ones(good), np.zeros(defective)))
    assert (reverse.low, reverse.high) == pytest.approx((0.0, 1 - found.low))


def test_few_images_in_the_wrong_order_are_not_trusted_to_delong() -> None:
    good, defective = np.arange(50.0), np.arange(100.0, 150.0)
    good[:4] = 120  # four of them lie among the defective ones
    assert auroc_interval(*joined(good, defective)).method == "hoeffding"
    good[4] = 120
    assert auroc_interval(*joined(good, defective)).method == "delong"


def test_hoeffdings_limits_are_where_the_divergence_is_spent() -> None:
    low, high = hoeffding_limits(0.9, 40, 0.95)
    for theta in (low, high):
        spent = 40 * (0.9 * np.log(0.9 / theta) + 0.1 * np.log(0.1 / (1 - theta)))
        assert spent == pytest.approx(np.log(40))
    assert low < 0.9 < high < 1


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    # 1 defect in 10 is missed altogether: the AUROC is 0.9, and of 32 defects in 29 sets one is missed by luck
    random, covered = np.random.default_rng(0), 0
    for _ in range(500):
        defective = np.where(random.random(32) < 0.1, -1.0, 1.0) + random.random(32) / 2
        found = auroc_interval(*joined(random.random(14) / 2, defective))
        covered += found.low <= 0.9 <= found.high
    assert covered / 500 > 0.93


def test_each_kind_of_defect_is_taken_against_all_good_images() -> None:
    scores, labels = overlapping(30, 20)
    defects = np.array(["good"] * 30 + ["dent"] * 8 + ["scratch"] * 12)
    found = intervals_by_defect(scores, labels, defects)
    assert list(found) == ["dent", "scratch"]
    assert found["dent"] == auroc_interval(scores[:38], labels[:38])

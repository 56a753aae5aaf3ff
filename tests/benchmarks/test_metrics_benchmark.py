"""The benchmark of the metrics: its own definition against cases by hand, and a cost measured for real."""

import numpy as np
import pytest

from benchmarks import metrics
from runtime.errors import ProctorError


def test_the_definition_is_right_on_a_case_worked_out_by_hand() -> None:
    # the defect is found after one of two good pixels: nothing up to FPR 0.5, everything from there on
    maps, masks = [np.array([[2, 3, 1]], np.float32)], [np.array([[True, False, False]])]
    fpr, pro = metrics.naive_curve(maps, masks)
    assert (fpr, pro) == ([0.0, 0.5, 0.5, 1.0], [0.0, 0.0, 1.0, 1.0])
    assert metrics.naive_area(fpr, pro, 1.0) == 0.5
    assert metrics.naive_area(fpr, pro, 0.5) == 0.0
    assert metrics.naive_area([0.0, 1.0], [0.0, 1.0], 0.5) == 0.25  # a slope is cut at the limit
    assert metrics.naive_auroc(maps[0][0], masks[0][0]) == 0.5


def test_the_random_sets_hold_ties_between_good_and_defective_pixels() -> None:
    for levels in metrics.LEVELS[:3]:
        maps, masks = metrics.random_set(0, levels)
        good = {float(score) for m, mask in zip(maps, masks, strict=True) for score in m[~mask]}
        assert good & {float(score) for m, mask in zip(maps, masks, strict=True) for score in m[mask]}


def test_no_two_scores_of_a_cost_are_equal() -> None:
    scores = np.stack(metrics.distinct_maps(20, 256, np.random.default_rng(0)))
    assert scores.dtype == np.float32
    assert len(np.unique(scores)) == scores.size
    assert 0 < scores.min() < scores.max() == 1
    assert np.corrcoef(scores.ravel()[:-1], scores.ravel()[1:])[0, 1] == pytest.approx(0, abs=0.01)


def test_a_cost_is_that_of_a_process_of_its_own() -> None:
    measured = metrics.cost(4, 128, 0.05)
    assert measured.given_mib == pytest.approx(4 * 128 * 128 * 5 / 2**20)
    assert 0 < measured.seconds < 10
    assert 20 < measured.peak_mib < metrics.MEMORY_TARGET_MIB


def test_a_process_that_fails_is_reported_in_one_sentence() -> None:
    with pytest.raises(ProctorError, match="ranking 2 maps of 8×8 failed"):
        metrics.cost(2, 8, float("nan"))


def test_what_misses_its_target_is_called_so() -> None:
    fast, slow = metrics.Cost(100, 256, 0.05, 1.0, 100.0, 31.0), metrics.Cost(100, 256, 0.05, 11.0, 3000.0, 31.0)
    assert "NOT" not in metrics.report(1e-12, fast, [fast])
    assert metrics.report(1e-3, slow, [slow]).count("NOT within") == 3


def test_a_metric_that_is_not_exact_fails_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "cost", lambda maps, side, share: metrics.Cost(maps, side, share, 1.0, 100.0, 31.0))
    monkeypatch.setattr(metrics, "largest_deviation", lambda: 1e-3)
    with pytest.raises(ProctorError, match=r"deviates by 1\.0e-03"):
        metrics.main([])

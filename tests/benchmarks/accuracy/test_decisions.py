"""Precision, recall and F1 against cases worked out by hand and a loop over thresholds; the budget in words."""

import numpy as np
import pytest

from benchmarks.accuracy.decisions import Decisions, best_decisions, budget_verdict, decided, rate_of
from runtime.threshold import Threshold


def flags(text: str) -> np.ndarray:
    return np.array([letter == "x" for letter in text])


def test_precision_recall_and_f1_are_those_worked_out_by_hand() -> None:
    # three rejected, two of them defective, of four defective: precision 2/3, recall 1/2
    decisions = decided(flags("xxx....."), flags("xx..xx.."), 7.0)
    assert decisions == Decisions(7.0, pytest.approx(2 / 3), 0.5, pytest.approx(4 / 7))


def test_nothing_rejected_has_no_precision_and_an_f1_of_zero() -> None:
    assert decided(flags("...."), flags("xx.."), 1.0) == Decisions(1.0, None, 0.0, 0.0)


@pytest.mark.parametrize("levels", [3, 10, 1000])
def test_the_best_f1_is_that_of_a_loop_over_all_thresholds(levels: int) -> None:
    rng = np.random.default_rng(levels)
    labels = rng.random(60) < 0.3
    scores = np.round((rng.random(60) + 0.4 * labels) * levels) / levels
    best = best_decisions(scores, labels)
    assert best.f1 == max(decided(scores >= score, labels, score).f1 for score in scores)
    assert decided(scores > best.threshold, labels, best.threshold) == best  # it rejects as a detector would


def test_scores_that_tie_are_rejected_together() -> None:
    best = best_decisions(np.array([1.0, 5.0, 5.0, 5.0]), flags("..xx"))
    assert (best.threshold, best.precision, best.recall) == (3.0, pytest.approx(2 / 3), 1.0)


def test_where_rejecting_everything_is_best_the_threshold_is_below_all_scores() -> None:
    best = best_decisions(np.array([5.0, 1.0, 1.0]), flags(".xx"))
    assert best.threshold < 1.0
    assert best.recall == 1.0


@pytest.mark.parametrize(
    ("rejected", "total", "words"),
    [
        (0, 60, "inside the interval, 0 % to 5.96 %: 60 good images do not contradict it"),
        (10, 100, "below the interval, 4.9 % to 17.6 %: more good parts like these are rejected than allowed"),
        (0, 1000, "above the interval, 0 % to 0.368 %: fewer good parts like these are rejected than allowed"),
    ],
)
def test_the_budget_is_held_against_the_interval(rejected: int, total: int, words: str) -> None:
    false_rejects = rate_of(np.arange(total) < rejected)
    threshold = Threshold(1.0, 0.01, 0.95, 300, "order-statistic", True, 0.00994)
    verdict = budget_verdict(false_rejects, threshold)
    assert words in verdict
    assert verdict.startswith("The budget of 1 % ")


def test_a_threshold_set_by_hand_has_no_budget() -> None:
    threshold = Threshold(1.0, 0.01, 0.95, 300, "manual", False, 0.00994)
    assert "set by hand" in budget_verdict(rate_of(flags("x.")), threshold)

"""The table of thresholds: what is proven of each, beside what it finds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy.decisions import rate_of
from benchmarks.accuracy.evaluation import Inspection, inspect_all
from benchmarks.accuracy.held_out import HeldOut, of_file
from benchmarks.accuracy.tables import SIZED, threshold_notes, thresholds_table
from benchmarks.accuracy.thresholds import BUDGETS, shown, threshold_table
from calibration.file_scores import quantiles
from calibration.threshold import fit_threshold, rate_bound
from runtime.detector import Detector
from runtime.engines.fake import FakeEngine
from runtime.recipe import Recipe
from runtime.verdict import Decision
from train.datasets import read_test_set

HELD_OUT = np.arange(1, 701) / 700
WHOLE = HeldOut(700, list(enumerate(HELD_OUT[::-1])), True, "a test")


@pytest.fixture
def inspections(test_set: Path, recipe: Recipe) -> list[Inspection]:
    """Ten good images that score 0.81 to 0.99, and ten defective ones that score 0.905 to 1.085."""
    with Detector(recipe, FakeEngine(recipe.size_hw)) as detector:
        good, _, dent, _ = inspect_all(detector, read_test_set(test_set))
    steps = [0.02 * index for index in range(10)]
    return [replace(good, score=0.81 + step) for step in steps] + [replace(dent, score=0.905 + step) for step in steps]


def test_each_row_says_what_its_images_prove_and_find(inspections: list[Inspection]) -> None:
    table = threshold_table(inspections, fit_threshold(HELD_OUT, 0.01), WHOLE)
    assert [row.threshold for row in table.rows] == sorted((row.threshold for row in table.rows), reverse=True)
    for row in table.proven:
        assert row.above == sum(score > row.threshold for score in HELD_OUT)
        assert row.proof is not None
        assert row.proof.rate == rate_bound(row.above, 700, 0.95)
        assert row.found.count == sum(each.score > row.threshold for each in inspections[10:])
        assert row.false_rejects.count == sum(each.score > row.threshold for each in inspections[:10])
        assert row.found.low < row.found.share < row.found.high or row.found.share == 1
    assert table.proven[-1].proof is not None
    assert 0.095 < table.proven[-1].proof.rate <= 0.1  # no row proves less than the largest budget


def test_a_budgets_row_has_the_threshold_that_training_would_fit(inspections: list[Inspection]) -> None:
    own = fit_threshold(HELD_OUT, 0.02)
    table = threshold_table(inspections, own, WHOLE)
    assert table.unproven == {0.001: 2995}
    for budget in BUDGETS[1:]:
        (row,) = [row for row in table.rows if budget in row.budgets]
        assert row.threshold == fit_threshold(HELD_OUT, budget).value
    (same,) = [row for row in table.rows if 0.02 in row.budgets]
    assert (table.own.threshold, table.own.above, table.own.proof) == (own.value, same.above, same.proof)
    assert len(shown(table)) == 3 + 5 + 1 - 2  # k = 0 to 2, five budgets, the detector's; 0.5 % and 1 % are k = 0 and 2
    assert len(table.rows) > 40


def test_a_threshold_of_a_tail_model_is_worth_no_score_above(inspections: list[Inspection]) -> None:
    own = fit_threshold(HELD_OUT[:20], 0.01)
    held_out = HeldOut(20, list(enumerate(HELD_OUT[:20][::-1])), True, "a test")
    table = threshold_table(inspections, own, held_out)
    assert own.method == "exponential-tail"
    assert table.own.proof is not None
    assert (table.own.above, table.own.proof.rate) == (0, pytest.approx(own.supported_budget))
    assert table.unproven == {0.001: 2995, 0.005: 598, 0.01: 299, 0.02: 149, 0.05: 59, 0.1: 29}
    assert [row.above for row in table.proven] == [0, 1, 2]  # shown though they prove little


def test_nothing_is_proven_of_a_threshold_that_was_set_or_that_nobody_vouches_for(
    inspections: list[Inspection],
) -> None:
    fitted = fit_threshold(HELD_OUT, 0.01)
    by_hand = replace(fitted, value=0.95, method="manual", supported=False, confidence=1.0)  # which is not checked
    for own in (by_hand, replace(fitted, vouched=False)):
        table = threshold_table(inspections, own, WHOLE)
        assert (table.own.above, table.own.proof) == (None, None)
        assert table.own.found.total == 10
        assert table.proven[0].proof is not None  # the scores prove what they do
        assert table.proven[0].proof.rate == rate_bound(0, 700, 0.95)
    unknown = threshold_table(inspections, by_hand, HeldOut(0, [], False, "nothing"))
    assert list(unknown.rows) == [unknown.own]


def test_what_cannot_be_judged_is_rejected_at_every_threshold(inspections: list[Inspection]) -> None:
    refused = replace(inspections[0].verdict, decision=Decision.NO_DECISION, reason="black")
    inspections[0] = replace(inspections[0], verdict=refused)
    table = threshold_table(inspections, fit_threshold(HELD_OUT, 0.01), WHOLE)
    assert table.proven[0].false_rejects == rate_of(np.arange(10) < 1)


def test_the_detectors_own_row_counts_what_it_decides_and_not_what_it_passes_as_small(
    inspections: list[Inspection],
) -> None:
    own = fit_threshold(HELD_OUT, 0.01)
    for place in (8, 19):  # a good and a defective image, both above the threshold
        verdict = replace(inspections[place].verdict, decision=Decision.OK, score=1.09, threshold=own.value)
        assert verdict.passed_as_small
        inspections[place] = replace(inspections[place], verdict=verdict, score=1.09)
    table = threshold_table(inspections, own, WHOLE, sized=True)
    assert (table.own.found.count, table.own.false_rejects.count) == (9, 0)  # the fixture's other good images are OK
    assert table.proven[0].found.count == sum(each.score > table.proven[0].threshold for each in inspections[10:])
    assert SIZED in threshold_notes(table)
    assert SIZED not in threshold_notes(threshold_table(inspections, own, WHOLE))


def test_the_file_alone_gives_fewer_rows_that_hold_too(inspections: list[Inspection], recipe: Recipe) -> None:
    scores = HELD_OUT[::16]  # 44
    alone = of_file(replace(recipe, threshold=fit_threshold(scores, 0.1), score_quantiles=quantiles(scores)))
    table = threshold_table(inspections, fit_threshold(scores, 0.1), alone)
    assert [row.above for row in table.rows] == [0, 0]
    assert {row.own for row in table.rows} == {True, False}
    assert table.not_kept == ()
    many = of_file(replace(recipe, threshold=fit_threshold(HELD_OUT, 0.1), score_quantiles=quantiles(HELD_OUT)))
    table = threshold_table(inspections, fit_threshold(HELD_OUT, 0.1), many)
    assert [row.above for row in table.proven] == [0, 35]  # the highest score and the quantile 0.95
    assert table.not_kept == (0.01, 0.02, 0.05, 0.1)


def test_jackknife_minmax_is_bounded_on_average(inspections: list[Inspection]) -> None:
    # by a threshold of this method alone the recipe would have to be read; the table asks for method and numbers
    held_out = HeldOut(99, list(enumerate(HELD_OUT[:99][::-1])), True, "a test")
    fitted = fit_threshold(HELD_OUT[:99], 0.05)
    object.__setattr__(fitted, "method", "jackknife-minmax")
    table = threshold_table(inspections, fitted, held_out)
    assert table.own.proof is not None
    assert (table.own.above, table.own.proof.rate, table.own.proof.confidence) == (4, 0.05, None)
    assert table.unproven == {0.001: 999, 0.005: 199}


def test_a_threshold_set_by_hand_leaves_what_is_proven_of_left_out_scores_an_average(
    inspections: list[Inspection],
) -> None:
    held_out = HeldOut(99, list(enumerate(HELD_OUT[:99][::-1])), True, "a test", left_out=True)
    fitted = fit_threshold(HELD_OUT[:99], 0.02, left_out=True)
    by_hand = replace(fitted, value=0.5, method="manual", supported=False)
    tables = [threshold_table(inspections, each, held_out) for each in (fitted, by_hand)]
    assert [row.proof for row in tables[0].proven] == [row.proof for row in tables[1].proven]
    for row in tables[1].proven:
        assert row.proof is not None
        assert row.above is not None
        assert (row.proof.confidence, row.proof.rate) == (None, pytest.approx((row.above + 1) / 100))
    assert tables[1].unproven == {0.001: 999, 0.005: 199}
    shown_table = thresholds_table(tables[1])
    assert shown_table.header[2] == "left-out above"
    assert all("% sure" not in cell for row in shown_table.rows for cell in row)
    assert any(
        "99 left-out images prove no threshold for a budget of 0.1 %" in note for note in threshold_notes(tables[1])
    )
    assert thresholds_table(threshold_table(inspections, by_hand, WHOLE)).header[2] == "held-out above"

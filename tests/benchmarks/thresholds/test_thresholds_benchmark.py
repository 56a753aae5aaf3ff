"""The simulation of thresholds: its world, its rules, its document."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import gumbel_r

from benchmarks.thresholds import __main__ as command
from benchmarks.thresholds import small_samples
from benchmarks.thresholds.neighbours import Bank, keep
from benchmarks.thresholds.order_statistic import count_broken
from benchmarks.thresholds.plots import thresholds_plot
from benchmarks.thresholds.rules import RULES, fit_gumbel, gumbel_confidence, gumbel_prediction
from runtime.errors import InputError

RESULTS = Path(__file__).parents[3] / "benchmarks" / "results"


@pytest.mark.parametrize("leverage", [False, True])
def test_a_point_left_out_scores_as_by_a_bank_without_it(leverage: bool) -> None:
    points = np.random.default_rng(0).normal(size=(12, 3))
    by_hand = [Bank(np.delete(points, i, axis=0), leverage).scores(points[i : i + 1])[0] for i in range(12)]
    np.testing.assert_allclose(Bank(points, leverage).left_out(), by_hand)


@pytest.mark.parametrize("leverage", [False, True])
def test_no_point_more_raises_a_score(leverage: bool) -> None:
    points, parts = np.random.default_rng(1).normal(size=(2, 15, 3))
    whole = Bank(points, leverage).scores(parts)
    for i in range(15):
        assert (whole <= Bank(np.delete(points, i, axis=0), leverage).scores(parts) + 1e-12).all()


def test_left_out_scores_keep_their_promise_and_a_thinned_bank_does_not() -> None:
    found = {one.way: one for one in keep(False, 100, 0, sizes=(40,), budgets=(0.1,))}
    whole, thinned, held_out = (found[way] for way in ("left out", "left out, then thinned", "held out"))
    assert whole.promised == 4 / 41
    assert (whole.proven, whole.within) == (True, True)
    assert not thinned.within
    assert whole.found > held_out.found


def test_an_order_statistic_breaks_its_budget_as_rarely_as_it_says() -> None:
    (one,) = count_broken(2000, 0, cases=((59, 0.05),))
    assert one.share == pytest.approx(0.95**59, abs=3 * one.share_error)


def test_a_gumbel_fit_has_the_mean_and_the_mean_difference_of_its_sample() -> None:
    samples = np.sort(np.random.default_rng(8).normal(size=(3, 25)), axis=1)
    location, scale = fit_gumbel(samples)
    pairs = samples[:, :, None] - samples[:, None]
    mean_difference = np.abs(pairs).sum(axis=(1, 2)) / (25 * 24)
    assert gumbel_r.mean(location, scale) == pytest.approx(samples.mean(axis=1))
    assert 2 * np.log(2) * scale == pytest.approx(mean_difference)  # of a Gumbel distribution: 2 λ2 = 2 β ln 2


def test_a_gumbel_limit_covers_the_true_quantile_as_often_as_stated() -> None:
    n, budget, trials = 12, 0.01, 2000
    samples = np.sort(gumbel_r(loc=3, scale=2).rvs((trials, n), random_state=2), axis=1)
    true_quantile = gumbel_r(loc=3, scale=2).ppf(1 - budget)
    covered = np.mean(gumbel_confidence(samples, budget) >= true_quantile)
    assert covered == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / trials))


def test_a_gumbel_prediction_rejects_the_budget_of_gumbel_scores() -> None:
    samples = np.sort(gumbel_r(loc=3, scale=2).rvs((4000, 8), random_state=3), axis=1)
    rates = gumbel_r(loc=3, scale=2).sf(gumbel_prediction(samples, 0.02))
    assert rates.mean() == pytest.approx(0.02, abs=4 * rates.std() / np.sqrt(4000))


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_moves_and_scales_with_the_scores_and_ends_at_the_largest(rule: str) -> None:
    samples = np.sort(np.random.default_rng(4).gumbel(size=(20, 9)), axis=1)
    found = RULES[rule](samples, 0.01)
    np.testing.assert_allclose(RULES[rule](7 + 3 * samples, 0.01), 7 + 3 * found)
    assert (found >= samples[:, -1]).all()


def test_a_result_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(InputError, match=r"other.json is no result of benchmarks.accuracy"):
        small_samples.family_of_result(tmp_path / "other.json")
    with pytest.raises(InputError, match=r"no result of benchmarks\.thresholds"):
        thresholds_plot({"left_out": []})


def test_real_scores_are_a_distribution_of_their_own() -> None:
    family = small_samples.family_of_result(RESULTS / "accuracy-demo.json")
    assert family.name.endswith("200 scores")
    highest = family.quantile(1.0)
    np.testing.assert_allclose(family.above(np.array([highest - 1e-9, highest, -1.0])), [1 / 200, 0, 1])


def test_the_command_writes_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, plot = tmp_path / "thresholds.json", tmp_path / "thresholds.svg"
    command.main(["--splits", "5", "--json", str(result), "--plot", str(plot)])
    document = json.loads(result.read_text())
    assert {"left_out", "order_statistic", "small_samples", "environment", "seconds"} < document.keys()
    assert plot.read_bytes().startswith(b"<?xml")
    assert "exponential tail" in capsys.readouterr().out


@pytest.fixture(scope="module")
def committed() -> Any:
    return json.loads((RESULTS / "thresholds.json").read_text())


def test_the_committed_figures_keep_the_promise(committed: Any) -> None:
    left_out = [one for one in committed["left_out"] if one["way"] == "left out"]
    assert len(left_out) == 32
    assert all(one["rate_mean"] <= one["promised"] + 3 * one["rate_error"] for one in left_out)
    assert all(one["share"] <= 0.05 + 3 * one["share_error"] for one in committed["order_statistic"])


def test_the_committed_figures_speak_for_the_rule_that_is_used(committed: Any) -> None:
    light = ("normal", "gamma, shape 4", "Gumbel", "exponential")
    rows = [row for row in committed["small_samples"] if row["family"] in light]

    def rates(rule: str) -> list[float]:
        return [row["rate_mean"] - 3 * row["rate_error"] for row in rows if row["rule"] == rule]

    assert max(rates("exponential tail")) <= committed["budget"]
    assert max(rates("Gumbel, prediction")) > 2 * committed["budget"]

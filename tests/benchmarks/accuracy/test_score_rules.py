"""Score rules on maps whose scores can be worked out by hand, and the comparison between them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy import score_rules
from benchmarks.accuracy.evaluation import Inspection, inspect_all
from benchmarks.accuracy.rules import Rule, all_rules, compare, scores_of
from runtime.detector import Detector
from runtime.engines.fake import FakeEngine
from runtime.errors import InputError
from runtime.recipe import Recipe
from runtime.scoring import Scoring
from train.datasets import read_test_set

RAMP = np.arange(100, dtype=np.float32).reshape(10, 10)


@pytest.mark.parametrize(
    ("rule", "score"),
    [
        (Rule("maximum"), 99),
        (Rule("maximum", border=0.1), 88),  # rows and columns 1 to 8
        (Rule("top", 0.04), (99 + 98 + 97 + 96) / 4),
        (Rule("top", 0.001), 99),  # one pixel at least
        (Rule("top", 0.03, border=0.1), (88 + 87) / 2),  # 3 % of the 64 that are left
        (Rule("quantile", 0.5), 49.5),
        (Rule("quantile", 1.0, border=0.2), 77),
    ],
)
def test_a_rule_gives_the_score_worked_out_by_hand(rule: Rule, score: float) -> None:
    assert rule.score(RAMP) == pytest.approx(score)


def test_no_rule_is_tried_twice_and_the_plain_maximum_comes_first() -> None:
    rules = all_rules()
    assert rules[0] == Rule("maximum")
    assert len({(rule.name, rule.border) for rule in rules}) == len(set(rules)) == len(rules)


@pytest.fixture
def inspections(test_set: Path, recipe: Recipe) -> list[Inspection]:
    with Detector(recipe, FakeEngine(recipe.size_hw)) as detector:
        images = [replace(image, mask_path=None) for image in read_test_set(test_set)]
        return list(inspect_all(detector, images))


def test_smoothing_spreads_a_spot_and_keeps_a_level(inspections: list[Inspection], recipe: Recipe) -> None:
    spot = np.zeros(recipe.size_hw, np.float32)
    spot[3, 4] = 1
    both = [replace(inspections[0], scored_map=each) for each in (spot, np.full_like(spot, 0.5))]
    scores = scores_of(both, recipe, [Rule("maximum"), Rule("maximum", sigma=1)])
    assert scores[0].tolist() == [1.0, 0.5]
    assert scores[1, 0] == pytest.approx(1 / (2 * np.pi), rel=0.02)  # the middle of a Gaussian of σ 1
    assert scores[1, 1] == pytest.approx(0.5)


def test_rules_look_into_the_region_of_interest_alone(inspections: list[Inspection], recipe: Recipe) -> None:
    spot = np.zeros(recipe.size_hw, np.float32)
    spot[0, 0], spot[3, 4] = 1, 0.25
    inside = replace(recipe, scoring=Scoring(region_of_interest=(2, 2, 4, 4)))
    assert scores_of([replace(inspections[0], scored_map=spot)], inside, [Rule("maximum")]) == 0.25


def test_every_rule_is_compared_with_the_first_on_the_same_images() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(60) >= 30
    good_rule = rng.normal(size=60) + 1.5 * labels
    scores = np.stack([rng.normal(size=60), 2 * good_rule, good_rule])
    defects = np.where(labels, np.where(np.arange(60) % 2 == 0, "chip", "dent"), "good")
    first, second, third = compare(scores, labels, defects, [Rule("maximum"), Rule("top", 0.1), Rule("quantile", 0.9)])
    assert (first.difference, first.low, first.high) == (0, 0, 0)
    # a scale changes no rank; unpaired samples would make the two differ
    assert (second.image_auroc, second.low, second.high) == (third.image_auroc, third.low, third.high)
    assert 0 < second.low < second.difference < second.high
    assert set(second.by_defect) == {"chip", "dent"}
    assert np.mean(list(second.by_defect.values())) == pytest.approx(second.image_auroc)  # 15 images of each


def test_the_command_prints_writes_and_plots(
    test_set: Path, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Detector, "open", lambda path, threads: Detector(recipe, FakeEngine(recipe.size_hw)))
    json_file, plot_file = tmp_path / "rules.json", tmp_path / "rules.svg"
    options = ["--subset", "all", "--json", str(json_file), "--plot", str(plot_file)]
    score_rules.main(["detector.onnx", str(test_set), *options])
    document = json.loads(json_file.read_text())
    assert document["results"][0]["name"] == "maximum"
    assert document["results"][0]["image_auroc"] == 0.75
    assert document["results"][0]["by_defect"] == {"dent": 1.0, "scratch": 0.5}
    assert document["images"] == {"good": 2, "defective": 2}
    assert plot_file.read_bytes().startswith(b"<?xml")
    printed = capsys.readouterr().out
    assert "2 good and 2 defective images" in printed
    kinds = ("maximum", "top", "quantile")
    assert len([line for line in printed.splitlines() if line.startswith(kinds)]) == len(all_rules())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--plot", "rules.pdf"], r"expected one ending in \.svg or \.png"),
        (["--plot", f"{__file__}/rules.svg"], r"rules\.svg cannot be written"),
        (["--json", f"{__file__}/rules.json"], r"rules\.json cannot be written"),
    ],
)
def test_what_cannot_be_written_is_refused_before_any_work(arguments: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        score_rules.main(["nothing.onnx", "nowhere", *arguments])


def test_a_layout_may_be_named_and_threads_are_counted(test_set: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="expected the BTAD layout"):
        score_rules.main(["nothing.onnx", str(test_set), "--layout", "btad"])
    with pytest.raises(SystemExit, match="2"):
        score_rules.main(["nothing.onnx", str(test_set), "--threads", "-1"])
    assert "'-1' is not a whole number of 1 or more" in capsys.readouterr().err

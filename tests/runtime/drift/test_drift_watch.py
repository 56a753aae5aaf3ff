"""The watch: which verdicts it looks at, what it says and when, and that it costs no verdict anything."""

import json
import logging
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from runtime_samples import ListSource, fake_detector, grey_frame, make_recipe

from calibration.file_scores import quantiles
from calibration.threshold import fit_threshold
from runtime.drift import DriftWatch
from runtime.drift.keeper import DriftKeeper, kept_watches
from runtime.drift.reference import OF_OWN
from runtime.drift.watch import MOST_SET_ASIDE
from runtime.errors import InputError
from runtime.health import Measured
from runtime.pipeline import Pipeline
from runtime.recipe import HealthLimits, Recipe
from runtime.verdict import Decision, Verdict

HEALTH = HealthLimits(30.0, 172.5, 0.2, 1.0, 2.0, sharpness_low=(0.1, 0.1))  # of good images of 60 to 90


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    scores = np.random.default_rng(0).normal(size=300)
    recipe = replace(make_recipe(), size_hw=(16, 24), health=HEALTH)
    return replace(recipe, threshold=fit_threshold(scores, 0.01), score_quantiles=quantiles(scores))


@pytest.fixture(scope="module")
def verdict() -> Verdict:
    with fake_detector() as detector:
        return detector.inspect(grey_frame())


def verdicts(verdict: Verdict, count: int, seed: int, **shifts: float) -> Iterable[Verdict]:
    """Of good parts that differ; `shifts` are added to score, brightness and sharpness."""
    draw = np.random.default_rng(seed)
    for number in range(count):
        sharpness = np.exp(draw.normal(size=2) / 10) * (1 + shifts.get("sharpness", 0.0))
        brightness = float(draw.uniform(61, 89)) + shifts.get("brightness", 0.0)
        measured = Measured(brightness, (float(sharpness[0]), float(sharpness[1])))
        score = float(draw.normal()) + shifts.get("score", 0.0)
        yield replace(verdict, score=score, measured=measured, captured_at=1e9 + number)


def test_without_drift_it_says_so_and_counts(recipe: Recipe, verdict: Verdict) -> None:
    watch = DriftWatch(recipe)
    for each in verdicts(verdict, 1000, 1):
        watch.add(each)
    state = watch.state
    assert (state.parts, state.warning, state.since) == (1000, None, None)
    assert state.level < state.limit == pytest.approx(2.3, abs=0.01)
    assert [trend.name for trend in state.trends] == [
        "score", "brightness", "sharpness from left to right", "sharpness from top to bottom",
    ]  # fmt: skip
    assert [trend.own for trend in state.trends] == [False, False, True, True]
    assert state.trends[0].values < 1000 == state.trends[1].values == state.trends[2].values + OF_OWN
    assert (
        state.line() == f"drift: none found in 1,000 parts that were OK (evidence {state.level:.1f}, warned of at 2.3)"
    )
    json.dumps(state.as_dict())


@pytest.mark.parametrize(
    ("shift", "words"),
    [
        ({"score": 1.0}, "the scores of good parts have risen since about part "),
        ({"score": -1.0}, "the scores of good parts have fallen since about part "),
        ({"brightness": -15.0}, "pictures have become darker since about part "),
        ({"brightness": 15.0}, "pictures have become brighter since about part "),
        ({"sharpness": -0.2}, "pictures have become less sharp from "),
    ],
)
def test_each_trend_is_warned_of_once_by_its_name_and_with_its_beginning(
    shift: dict[str, float], words: str, recipe: Recipe, verdict: Verdict, caplog: pytest.LogCaptureFixture
) -> None:
    watch = DriftWatch(recipe)
    for each in verdicts(verdict, 700, 2):
        watch.add(each)
    assert watch.state.warning is None
    with caplog.at_level(logging.WARNING):
        for each in verdicts(verdict, 700, 3, **shift):
            watch.add(each)
    state = watch.state
    assert state.warning is not None
    assert state.warning.startswith(f"drift: {words}")
    assert "python -m calibration.recalibrate" in state.warning
    assert state.since_part is not None
    assert 600 < state.since_part < 800
    assert state.line() == state.warning
    assert [record.getMessage() for record in caplog.records] == [state.warning]


@pytest.mark.parametrize("shift", [{"score": -2.0}, {"brightness": 40.0}])
def test_a_change_that_is_there_from_the_start_is_dated_with_the_first_part(
    shift: dict[str, float], recipe: Recipe, verdict: Verdict
) -> None:
    watch = DriftWatch(recipe)
    for each in verdicts(verdict, 400, 18, **shift):
        watch.add(each)
    state = watch.state
    assert state.warning is not None
    assert (state.since_part, state.since) == (1, 1e9)
    assert "since about part 1: " in state.warning


def test_what_is_not_ok_or_was_not_scored_is_not_looked_at(recipe: Recipe, verdict: Verdict) -> None:
    watch = DriftWatch(recipe)
    for each in verdicts(verdict, 500, 4, score=3.0):
        watch.add(replace(each, decision=Decision.NG))
        watch.add(replace(each, decision=Decision.NO_DECISION, score=None, measured=None))
    assert (watch.state.parts, watch.state.level) == (0, 0)


def test_defective_parts_that_are_rejected_are_no_drift(recipe: Recipe, verdict: Verdict) -> None:
    watch = DriftWatch(recipe)
    draw = np.random.default_rng(5)
    for each in verdicts(verdict, 1500, 6):
        score = float(draw.uniform(0, 10)) + recipe.threshold.value if draw.random() < 0.3 else each.score
        assert score is not None
        ok = score <= recipe.threshold.value
        watch.add(replace(each, score=score, decision=Decision.OK if ok else Decision.NG))
    assert watch.state.warning is None


def test_a_fault_of_its_own_ends_the_watch_and_nothing_else(
    recipe: Recipe, verdict: Verdict, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    watch = DriftWatch(recipe)
    monkeypatch.setattr(watch, "_look", lambda *values: 1 / 0)
    for each in verdicts(verdict, 3, 7):
        watch.add(each)
    assert len(caplog.records) == 1
    assert "the drift watch ended by a fault of its own; inspection goes on" in caplog.text


def test_it_goes_on_where_it_was_to_the_last_bit(recipe: Recipe, verdict: Verdict) -> None:
    half, whole = DriftWatch(recipe), DriftWatch(recipe)
    given = [*verdicts(verdict, 300, 8), *verdicts(verdict, 300, 9, score=1.0)]
    for index, each in enumerate(given):
        whole.add(each)
        if index < 350:
            half.add(each)
    again = DriftWatch(recipe)
    assert again.restore(half.to_json())
    for each in given[350:]:
        again.add(each)
    assert again.to_json() == whole.to_json()
    assert again.state == whole.state
    assert again.state.warning is not None


def test_a_state_of_another_recipe_is_left_alone(recipe: Recipe, verdict: Verdict) -> None:
    watch = DriftWatch(recipe)
    for each in verdicts(verdict, 10, 10):
        watch.add(each)
    other = DriftWatch(recipe.with_threshold(2.0))
    assert not other.restore(watch.to_json())
    assert other.state.parts == 0


@pytest.mark.parametrize(
    "damage",
    [
        lambda document: "{",
        lambda document: "[]",
        lambda document: json.dumps({**document, "schema": 2}),
        lambda document: json.dumps({**document, "channels": {}}),
        lambda document: json.dumps({**document, "parts": -1}),
        lambda document: json.dumps({**document, "warning": 5}),
        lambda document: json.dumps({**document, "set_aside": 3}),
        lambda document: json.dumps({**document, "set_aside": ["abc"]}),
        lambda document: json.dumps({**document, "channels": dict.fromkeys(document["channels"])}),
        lambda document: json.dumps(
            {**document, "channels": {n: {**c, "martingale": None} for n, c in document["channels"].items()}}
        ),
    ],
)
def test_a_damaged_state_is_refused_and_changes_nothing(damage, recipe: Recipe, verdict: Verdict) -> None:
    watch = DriftWatch(recipe)
    for each in verdicts(verdict, 10, 11):
        watch.add(each)
    before = watch.to_json()
    with pytest.raises(InputError, match=r"the drift watch's state is damaged .*; remove it"):
        watch.restore(damage(json.loads(before)))
    assert watch.to_json() == before


@pytest.mark.parametrize("alpha", [0.0, 0.6, float("nan")])
def test_an_alpha_out_of_range_is_refused(alpha: float, recipe: Recipe) -> None:
    with pytest.raises(InputError, match="alpha of the drift watch"):
        DriftWatch(recipe, alpha)


def test_a_keeper_restores_keeps_and_survives_a_disk_that_does_not(
    recipe: Recipe, verdict: Verdict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "drift.json"
    with DriftKeeper(watch := DriftWatch(recipe), path):
        for each in verdicts(verdict, 20, 12):
            watch.add(each)
    with DriftKeeper(again := DriftWatch(recipe), path):
        assert again.state == watch.state
    with DriftKeeper(other := DriftWatch(recipe.with_threshold(2.0)), path):
        assert other.state.parts == 0
        assert "is of another detector or recipe: the drift watch begins anew" in capsys.readouterr().err
        path.unlink(missing_ok=True)
        path.mkdir()
    assert "warning: the drift watch's state is not kept" in capsys.readouterr().err


def test_a_keeper_refuses_what_is_no_state(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("notes")
    with pytest.raises(InputError, match=r"notes.txt: the drift watch's state is damaged"):
        DriftKeeper(DriftWatch(recipe), tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "notes"


def test_another_recipe_is_watched_anew_and_one_that_is_opened_again_goes_on(
    recipe: Recipe, verdict: Verdict, tmp_path: Path
) -> None:
    other, path = recipe.with_threshold(2.0), tmp_path / "drift.json"
    watch = DriftWatch(recipe)
    with DriftKeeper(watch, path):
        for each in verdicts(verdict, 20, 14):
            watch.add(each)
        watch.follow(recipe)
        assert watch.state.parts == 20
        watch.follow(other)
        assert watch.state.parts == 0
        for each in verdicts(verdict, 5, 15):
            watch.add(each)
    assert json.loads(path.read_text())["recipe_sha256"] == other.sha256
    again = DriftWatch(other)
    with DriftKeeper(again, path):
        assert again.state.parts == 5


def test_a_recipe_that_comes_back_is_watched_on_from_where_it_was(
    recipe: Recipe, verdict: Verdict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another one that was tried for a moment, in the same stream or with the same file, costs no evidence."""
    other, path = recipe.with_threshold(2.0), tmp_path / "drift.json"
    watch = DriftWatch(recipe)
    for each in verdicts(verdict, 300, 19, score=1.0):
        watch.add(each)
    known = watch.state
    watch.follow(other)
    assert watch.state.parts == 0
    watch.follow(recipe)
    assert watch.state == known
    with DriftKeeper(watch, path):
        pass
    with DriftKeeper(tried := DriftWatch(other), path):
        assert "the drift watch begins anew; what was known stays in the file" in capsys.readouterr().err
        for each in verdicts(verdict, 5, 20):
            tried.add(each)
    with DriftKeeper(again := DriftWatch(recipe), path):
        assert again.state == known
    assert capsys.readouterr().err == ""
    with DriftKeeper(tried := DriftWatch(other), path):
        assert tried.state.parts == 5


def test_what_was_known_is_kept_of_so_many_recipes(recipe: Recipe, verdict: Verdict) -> None:
    watch = DriftWatch(recipe)
    others = [recipe.with_threshold(3.0 + number) for number in range(MOST_SET_ASIDE + 1)]
    for each in (recipe, *others):
        watch.follow(each)
        for shown in verdicts(verdict, 3, 21):
            watch.add(shown)
    assert len(json.loads(watch.to_json())["set_aside"]) == MOST_SET_ASIDE
    watch.follow(recipe)  # the first of all
    assert watch.state.parts == 0
    watch.follow(others[1])
    assert watch.state.parts == 3


def test_a_file_from_before_the_trend_of_high_scores_is_gone_on_with(recipe: Recipe, verdict: Verdict) -> None:
    by_hand = recipe.with_threshold(9.0)
    watch = DriftWatch(by_hand)
    for each in verdicts(verdict, 20, 22):
        watch.add(each)
    document = json.loads(watch.to_json())
    del document["channels"]["high score"], document["set_aside"]
    again = DriftWatch(by_hand)
    assert again.restore(json.dumps(document))
    assert again.state.parts == 20
    assert {trend.name: trend.values for trend in again.state.trends}["high score"] == 0


def test_each_camera_of_a_line_has_a_file_of_its_own(recipe: Recipe, verdict: Verdict, tmp_path: Path) -> None:
    for names, files in ((("left", "right"), {"drift.left.json", "drift.right.json"}), (("top",), {"drift.json"})):
        folder = tmp_path / names[0]
        folder.mkdir()
        with ExitStack() as opened:
            watches = kept_watches(dict.fromkeys(names, recipe), folder / "drift.json", opened)
            for each in verdicts(verdict, 3, 17):
                watches[names[0]].add(each)
        assert {path.name for path in folder.iterdir()} == files
        with ExitStack() as opened:
            again = kept_watches(dict.fromkeys(names, recipe), folder / "drift.json", opened)
            assert [watch.state.parts for watch in again.values()] == [3, 0][: len(names)]
    with ExitStack() as opened:
        assert set(kept_watches({"top": recipe}, None, opened)) == {"top"}


def test_a_stream_tells_of_it_in_its_summary_and_gives_the_same_verdicts() -> None:
    frames = [grey_frame(number, grey=100 + number % 50) for number in range(8)]
    with fake_detector() as detector:
        said: list[Verdict] = []
        summary = Pipeline(ListSource(frames), detector, lambda frame, each: said.append(each)).run()
        plain = [detector.inspect(frame) for frame in frames]
    assert [(each.decision, each.score) for each in said] == [(each.decision, each.score) for each in plain]
    assert summary.drift is not None
    assert summary.drift.parts == 8
    assert summary.as_dict()["drift"]["parts"] == 8
    assert any(line.startswith("drift: none found in 8 parts") for line in summary.lines())
    assert said[0].measured == Measured(100.0, None)
    assert "measured" not in json.loads(said[0].to_json())

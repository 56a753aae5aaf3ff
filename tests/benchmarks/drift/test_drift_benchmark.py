"""The parts of benchmarks.drift that could be wrong unseen: many lines at once, the crossing, and what a run counts."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.drift import __main__ as command
from benchmarks.drift.fading import Level, crossing, recalibrated, run
from benchmarks.drift.many import highest_evidence
from benchmarks.drift.plots import drift_plot
from benchmarks.drift.quiet import Parts, quiet_lines, risen_lines, shipped_lines
from runtime.default_detector import DEMO_DETECTOR
from runtime.detector_file import read_detector
from runtime.drift.martingale import Martingale
from runtime.drift.reference import Reference
from runtime.errors import InputError


def test_many_lines_at_once_are_as_rich_as_one_by_one() -> None:
    draw = np.random.default_rng(0)
    for weights, at_most in (
        ((1.0, 9.0, 20.0, 8.5), False),
        ((1.0, 9.0, 20.0, 8.5, 3.0), False),
        ((15.0, 1.0), True),
    ):
        edges = 1 if at_most else 4
        references = [
            Reference(tuple(np.sort(draw.normal(size=edges)).tolist()), weights, (0, 1), at_most) for _ in range(5)
        ]
        values = draw.normal(0.4, 1, (5, 300))
        seen = draw.random((5, 300)) < 0.9
        expected = []
        for reference, row, mask in zip(references, values, seen, strict=True):
            martingale, highest = Martingale(reference), 1.0
            for value in row[mask].tolist():
                martingale.add(value)
                highest = max(highest, martingale.evidence)
            expected.append(highest)
        assert highest_evidence(references, values, seen) == pytest.approx(expected, rel=1e-9)
        assert np.ptp(expected) > 1


@pytest.mark.parametrize(
    ("rejected", "expected"),
    [([1, 0, 3, 9], 3), ([3, 0, 0, 9], 3), ([0, 5, 6, 9], 1), ([0, 0, 1, 1], None), ([9, 9, 9, 9], 0)],
)
def test_the_crossing_is_of_the_curve_that_never_falls(rejected: list[int], expected: int | None) -> None:
    assert crossing([Level(1.0, 100, count) for count in rejected], 0.04) == expected


@pytest.fixture(scope="module")
def pool() -> Parts:
    draw = np.random.default_rng(1)
    return Parts(draw.normal(0.15, 0.8, 4000), draw.uniform(68, 84, 4000))


def test_lines_without_drift_are_hardly_warned_of_and_one_that_darkens_is(pool: Parts) -> None:
    recipe = read_detector(DEMO_DETECTOR)[1]
    found = list(quiet_lines(recipe, 100, 200, 0))
    assert [(row.lines, row.parts) for row in found] == [(100, 200)] * 6
    assert max(row.warned for row in found) <= 6
    assert shipped_lines(recipe, pool, 100, 200, 0).warned <= 6
    steps = [pool, *(Parts(pool.scores + 0.3 * step, pool.brightness - 2 * step) for step in range(1, 8))]
    done = run(recipe, steps, 0, 300)
    assert done.warned is not None
    assert done.warned_by_scores is not None
    assert 0 < done.warned < done.warned_by_scores < 700
    again = recalibrated(recipe, 0.9, Parts(pool.scores + 1, pool.brightness), 20, 0)
    assert again.rejected < 0.015 < 0.03 < again.rejected_before
    assert done.trend == "drift: pictures have become darker"


def test_a_rise_to_between_the_highest_good_score_and_the_threshold_is_seen_by_the_high_scores() -> None:
    rows = {(row.kind, row.rise): row for row in risen_lines(read_detector(DEMO_DETECTOR)[1], 40, 1000, 0)}
    assert {kind for kind, _ in rows} == {"normal", "left out"}
    highest = rows["normal", 4.0]
    assert highest.without_high_scores < 20 < 35 < highest.warned


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ("[1, 2]", "holds a list; expected the object that a benchmark writes"),
        ('{"quiet": {}, "rows": []}', r"has rows, which benchmarks\.drift does not write; name another"),
        ("{", "cannot be read as JSON"),
    ],
)
def test_a_file_that_figures_cannot_be_added_to_is_refused_before_the_measurement(
    held: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "MEASUREMENTS", dict.fromkeys(command.MEASUREMENTS, not_to_be_called))
    (tmp_path / "drift.json").write_text(held)
    with pytest.raises(InputError, match=message):
        command.main(["--json", str(tmp_path / "drift.json")])
    assert (tmp_path / "drift.json").read_text() == held


def test_a_plot_that_lacks_a_measurement_is_refused_before_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "MEASUREMENTS", dict.fromkeys(command.MEASUREMENTS, not_to_be_called))
    with pytest.raises(InputError, match="--plot draws quiet and fading; measure fading, too"):
        command.main(["quiet", "--plot", str(tmp_path / "drift.svg")])


def not_to_be_called(options: object) -> dict[str, object]:
    raise AssertionError(f"measured with {options}")


def test_a_result_of_another_benchmark_is_no_plot() -> None:
    with pytest.raises(InputError, match=r"this is no result of benchmarks\.drift"):
        drift_plot({"rows": []})


def test_the_result_in_the_tree_is_drawn() -> None:
    path = Path(__file__).parents[3] / "benchmarks" / "results" / "drift.json"
    assert drift_plot(json.loads(path.read_text())) is not None

"""The line of the threshold among two kinds of evidence: drawn where their sum is what it is of, and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.accuracy.report_plots import term_scatter
from runtime.recipe import Evidence, Recipe
from runtime.scoring import Scoring

THRESHOLD = 3.0


def with_kinds(recipe: Recipe, weights: tuple[float, ...], scoring: Scoring) -> Recipe:
    kinds = tuple(Evidence(f"kind {number}", weight, 0.0, 1.0) for number, weight in enumerate(weights))
    method = replace(recipe.method, evidence=kinds)
    return replace(recipe.with_threshold(THRESHOLD), size_hw=(16, 24), method=method, scoring=scoring)


def lines_of(recipe: Recipe) -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    values = draw.normal(1.5, 1, (len(recipe.method.evidence), 16, 24)).astype(np.float32)
    (axes,) = term_scatter(recipe, values, np.zeros((16, 24), np.bool_)).axes
    named = [line for line in axes.get_lines() if line.get_label() == "threshold"]
    return [np.asarray(line.get_xydata()) for line in named]


def test_two_kinds_that_add_up_to_the_score_show_the_threshold(recipe: Recipe) -> None:
    (line,) = lines_of(with_kinds(recipe, (1.0, 1.0), Scoring()))
    assert line.sum(axis=1) == pytest.approx(THRESHOLD)


@pytest.mark.parametrize(
    ("weights", "scoring"),
    [
        ((1.0, 1.0), Scoring(by_position=True)),
        ((1.0, 1.0), Scoring(smoothing=1.5)),
        ((0.5, 0.5), Scoring()),
        ((1.0, 2.0), Scoring()),
        ((1.0, 1.0, 1.0), Scoring()),
    ],
    ids=["by position", "smoothed", "half as heavy", "unequal", "three kinds"],
)
def test_where_the_score_is_of_something_else_there_is_no_line(
    weights: tuple[float, ...], scoring: Scoring, recipe: Recipe
) -> None:
    assert lines_of(with_kinds(recipe, weights, scoring)) == []

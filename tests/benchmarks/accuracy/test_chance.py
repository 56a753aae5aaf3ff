"""What random scores reach, against random scores."""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from benchmarks.accuracy.chance import (
    AU_PRO_30,
    CHANCE,
    _reached,
    _wrong_pairs,
    auroc_at_random,
    no_better_than_chance,
)
from benchmarks.accuracy.decisions import Rate
from calibration.metrics import au_pro, auroc


@pytest.mark.parametrize(("good", "defective"), [(8, 30), (20, 20), (60, 192)])
def test_one_random_set_in_forty_has_a_higher_auroc(good: int, defective: int) -> None:
    draw, labels = np.random.default_rng(13), np.arange(good + defective) >= good
    above = [auroc(draw.random(good + defective), labels) > auroc_at_random(good, defective) for _ in range(3000)]
    assert np.mean(above) == pytest.approx(0.025, abs=0.009)


@pytest.mark.parametrize(("good", "defective"), [(1, 1), (2, 3), (3, 3), (1, 60), (4, 5), (19, 7), (15, 40)])
def test_of_few_images_it_is_the_exact_tail(good: int, defective: int) -> None:
    limit, share = _reached(good, defective)
    assert limit == auroc_at_random(good, defective)
    pairs = good * defective
    chances = _wrong_pairs(min(good, defective), max(good, defective)).cumsum()
    assert 0.5 - 1e-9 < chances[-1] < 1
    for wrong in range(0, pairs // 2 + 1, max(pairs // 20, 1)):
        expected = mannwhitneyu(*scores_with(wrong, good, defective), method="exact", alternative="less").pvalue
        assert chances[wrong] == pytest.approx(expected, rel=1e-9), wrong
    assert share == chances[round((1 - limit) * pairs)] > CHANCE
    assert limit == 1 or chances[round((1 - limit) * pairs) - 1] <= CHANCE


def scores_with(wrong: int, good: int, defective: int) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """Scores of good and of defective images of which so many pairs are in the wrong order."""
    places = np.arange(good)  # the good ones first, and then as far up as it takes
    for index in reversed(range(good)):
        moved = min(wrong, defective)
        places[index] += moved
        wrong -= moved
    return places, np.setdiff1d(np.arange(good + defective), places)


@pytest.mark.parametrize(("good", "defective", "sets"), [(1, 1, 2), (2, 2, 6), (3, 3, 20)])
def test_few_images_cannot_tell_and_the_sentence_says_how_often_chance_would_do(
    good: int, defective: int, sets: int
) -> None:
    def told(defective: int) -> str | None:
        rates = {"false_rejects": Rate(0, good, 0, 0, 1), "detected": Rate(0, defective, 0, 0, 1)}
        return no_better_than_chance(SimpleNamespace(image_auroc=1.0, au_pro_30=None, **rates))  # type: ignore[arg-type]

    few = told(defective)
    assert few is not None
    assert f"scores drawn at random tell them all apart in 1 of {sets} such sets; test with more images" in few
    assert told(60) is None


def test_a_random_map_has_the_au_pro_of_chance() -> None:
    draw, masks = np.random.default_rng(13), [np.zeros((64, 64), bool) for _ in range(20)]
    for index, mask in enumerate(masks):
        mask[index : index + 12, 8:40] = True
    maps = [draw.random((64, 64), np.float32) for _ in masks]
    assert au_pro(maps, masks, 0.3) == pytest.approx(AU_PRO_30, abs=0.01)

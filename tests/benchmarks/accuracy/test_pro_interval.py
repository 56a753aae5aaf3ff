"""The bootstrap of AU-PRO, held to exact curves of the very same resamples."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.accuracy.evaluation import Inspection, inspect_all, rank_known_pixels
from benchmarks.accuracy.pro_interval import Interval, count, draw, pro_intervals, thresholds_of
from calibration.metrics import au_pro, rank_pixels
from runtime.detector import Detector
from runtime.engines.fake import FakeEngine
from runtime.recipe import Recipe
from train.datasets import read_test_set

Maps = list[NDArray[np.float32]]
Masks = list[NDArray[np.bool_]]


def images(good: int, defective: int, rounded: int | None = None) -> tuple[Maps, Masks]:
    """Maps of noise, with one or two regions that mostly stand out."""
    random, maps, masks = np.random.default_rng(1), [], []
    for index in range(good + defective):
        pixels, mask = random.normal(size=(24, 30)), np.zeros((24, 30), bool)
        if index >= good:
            mask[2:7, 3 : 5 + index % 9] = True
            mask[15:18, 20:24] = index % 2 == 0
        pixels[mask] += random.uniform(0, 4)
        maps.append((pixels if rounded is None else pixels.round(rounded)).astype(np.float32))
        masks.append(mask)
    return maps, masks


@pytest.fixture
def inspections(test_set: Path, recipe: Recipe) -> list[Inspection]:
    """Six good and eight defective images with the maps above."""
    with Detector(recipe, FakeEngine(recipe.size_hw)) as detector:
        one = next(iter(inspect_all(detector, read_test_set(test_set))))
    return [replace(one, anomaly_map=pixels, mask=mask) for pixels, mask in zip(*images(6, 8), strict=True)]


@pytest.mark.parametrize("rounded", [None, 1])
@pytest.mark.parametrize("limit", [0.3, 0.05])
def test_resamples_have_the_area_of_their_images_repeated(limit: float, rounded: int | None) -> None:
    maps, masks = images(6, 8, rounded)
    counts = count(maps, masks, thresholds_of(rank_pixels(maps, masks)))
    weights = draw(np.array([mask.any() for mask in masks]), 20)
    assert set(weights[:, :6].sum(axis=1)) == {6}
    assert set(weights[:, 6:].sum(axis=1)) == {8}
    for curve, drawn in zip(counts.curves(weights), weights, strict=True):
        chosen = np.repeat(np.arange(14), drawn.astype(int))
        exact = au_pro([maps[index] for index in chosen], [masks[index] for index in chosen], limit)
        assert curve.area(limit) == pytest.approx(exact, abs=0.003 if limit == 0.3 else 0.015)


def test_a_pixel_at_the_threshold_counts_as_detected_and_a_region_as_one() -> None:
    pixels, mask = np.array([[4, 3, 1, 2]], np.float32), np.array([[True, False, True, True]])
    counts = count([pixels], [mask], np.array([4, 3, 2], np.float32))
    assert counts.false.tolist() == [[0, 1, 1]]
    assert counts.found.tolist() == [[1, 1, 1.5]]  # all of one region, then half of the other
    assert (counts.good.tolist(), counts.regions.tolist()) == ([1], [2])


def test_the_interval_is_that_of_the_resamples_and_the_same_each_time(inspections: list[Inspection]) -> None:
    ranking = rank_known_pixels(inspections)
    assert ranking is not None
    first, second = (pro_intervals(inspections, ranking, (0.3, 0.05)) for _ in range(2))
    assert first == second
    assert first is not None
    maps, masks = images(6, 8)
    areas = []
    for drawn in draw(np.array([mask.any() for mask in masks]), 300):
        chosen = np.repeat(np.arange(14), drawn.astype(int))
        areas.append(au_pro([maps[index] for index in chosen], [masks[index] for index in chosen]))
    low, high = np.quantile(areas, (0.025, 0.975))
    assert (first[0].low, first[0].high) == pytest.approx((low, high), abs=0.02)
    assert first[0].low < au_pro(maps, masks) < first[0].high


def test_few_images_have_no_interval(inspections: list[Inspection]) -> None:
    for few in (inspections[2:], inspections[:10]):  # four good ones; four defective ones
        ranking = rank_known_pixels(few)
        assert ranking is not None
        assert pro_intervals(few, ranking, (0.3,)) is None
    enough = inspections[1:11]
    ranking = rank_known_pixels(enough)
    assert ranking is not None
    assert isinstance((pro_intervals(enough, ranking, (0.3,)) or [None])[0], Interval)

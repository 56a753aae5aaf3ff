"""Accuracy over the test set of four images, against figures worked out by hand."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.accuracy.decisions import Decisions, Rate
from benchmarks.accuracy.evaluation import Inspection, inspect_all, name_in, rank_known_pixels, summarize
from benchmarks.accuracy.findings import intervals_of
from benchmarks.accuracy.words import figures
from calibration.threshold import rate_interval
from runtime.detector import Detector
from runtime.engines.base import Output
from runtime.engines.fake import FakeEngine, deviation_from_grey
from runtime.engines.threaded import ThreadedEngine
from runtime.errors import EngineError
from runtime.recipe import Recipe
from runtime.scoring import Scoring
from runtime.verdict import Decision
from train import datasets
from train.datasets import read_test_set


def detector(recipe: Recipe) -> Detector:
    return Detector(recipe, FakeEngine(recipe.size_hw))


def test_every_figure_is_the_one_worked_out_by_hand(test_set: Path, recipe: Recipe) -> None:
    with detector(recipe) as opened:
        accuracy = summarize(list(inspect_all(opened, read_test_set(test_set))))
    # the dent (60) is above both good images (10, 40), the scratch (20) above one of them
    assert accuracy.image_auroc == 3 / 4
    assert accuracy.image_auroc_by_defect == {"dent": 1.0, "scratch": 0.5}
    # of 187 good pixels one (40) is above the two of the scratch, none above the three of the dent
    assert accuracy.pixel_auroc == pytest.approx((3 + 2 * 186 / 187) / 5)
    assert accuracy.au_pro_30 == pytest.approx(1 - 0.5 / 187 / 0.3)
    assert accuracy.au_pro_5 == pytest.approx(1 - 0.5 / 187 / 0.05)
    # at the threshold (30) one good image and one defective one are rejected
    assert accuracy.false_rejects == accuracy.detected == Rate(1, 2, 0.5, *rate_interval(1, 2))
    assert accuracy.at_threshold == Decisions(30 / 128, 0.5, 0.5, 0.5)
    # rejecting from 20 up: both defective images and one of two good ones; the next score below is 10
    assert accuracy.best == Decisions(15 / 128, pytest.approx(2 / 3), 1.0, pytest.approx(4 / 5))
    assert accuracy.undecided == accuracy.without_mask == 0
    assert accuracy.images == {"good": 2, "dent": 1, "scratch": 1}


def test_what_passes_as_too_small_is_not_rejected_and_is_counted(test_set: Path, recipe: Recipe) -> None:
    with detector(replace(recipe, scoring=Scoring(smallest_area=4))) as opened:  # the dent has 3 pixels
        inspections = list(inspect_all(opened, read_test_set(test_set)))
    accuracy, intervals = summarize(inspections), intervals_of(inspections, rank_known_pixels(inspections))
    assert (accuracy.false_rejects.count, accuracy.detected.count, accuracy.too_small) == (0, 0, 2)
    assert accuracy.image_auroc == 3 / 4
    assert "2 score above the threshold and are OK" in dict(figures(accuracy, recipe.threshold, intervals))["too small"]


def test_a_map_is_resized_to_its_mask(test_set: Path, recipe: Recipe) -> None:
    def corner(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        maps = np.zeros(frames.shape[:3], np.float32)
        maps[:, 0, 0] = 1
        return maps

    small = replace(recipe, size_hw=(3, 4))
    with Detector(small, FakeEngine((3, 4), corner)) as opened:
        inspection = next(inspect_all(opened, read_test_set(test_set)))
    assert inspection.mask is not None
    assert inspection.anomaly_map.shape == inspection.mask.shape == (6, 8)
    # twice the size, linear between centres: weights 3/4 and 1/4
    assert inspection.anomaly_map[:3, :3].tolist() == [[1, 0.75, 0.25], [0.75, 0.5625, 0.1875], [0.25, 0.1875, 0.0625]]


def test_pixels_are_of_the_papers_map_and_the_score_of_the_one_it_is_taken_from(test_set: Path, recipe: Recipe) -> None:
    def run(frames: NDArray[np.uint8]) -> Output:
        maps = deviation_from_grey(frames)
        return Output(maps, 7 - maps.min(axis=(1, 2)), deviation_map=7 - maps)

    def inspected(made: Recipe) -> list[Inspection]:
        with Detector(made, ThreadedEngine(run, made.size_hw, 1, 1, "by position")) as opened:
            return list(inspect_all(opened, read_test_set(test_set)))

    refusing = replace(recipe, scoring=Scoring(by_position=True), health=replace(recipe.health, brightness_low=254))
    scored, refused = inspected(replace(recipe, scoring=Scoring(by_position=True))), inspected(refusing)
    assert {each.verdict.decision for each in refused} == {Decision.NO_DECISION}
    for each in (*scored, *refused):
        np.testing.assert_allclose(each.scored_map, 7 - each.anomaly_map)
        assert each.score == each.scored_map.max()


def test_an_image_without_a_verdict_is_rejected_and_ranked_all_the_same(test_set: Path, recipe: Recipe) -> None:
    pixels = np.full((6, 8), 250, np.uint8)
    pixels[0, 0] = 255
    assert cv2.imwrite(str(test_set / "test" / "good" / "002.png"), pixels)
    strict = replace(recipe, health=replace(recipe.health, brightness_high=200))
    with detector(strict) as opened:
        inspections = list(inspect_all(opened, read_test_set(test_set)))
    bright = inspections[2]
    assert bright.verdict.decision is Decision.NO_DECISION
    assert bright.score == bright.anomaly_map.max() == pytest.approx(127 / 128)
    accuracy = summarize(inspections)
    assert accuracy.undecided == 1
    assert (accuracy.false_rejects.count, accuracy.false_rejects.total) == (2, 3)
    assert accuracy.image_auroc == 3 / 6  # the bright image scores above both defective ones


def test_an_engine_that_fails_ends_the_run(test_set: Path, recipe: Recipe) -> None:
    def broken(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        raise EngineError("out of memory")

    with Detector(recipe, FakeEngine(recipe.size_hw, broken)) as opened, pytest.raises(EngineError, match="memory"):
        list(inspect_all(opened, read_test_set(test_set)))


def without_masks(test_set: Path, *defects: str) -> list[datasets.TestImage]:
    """The test set, as if the masks of `defects` were not known."""
    images = read_test_set(test_set)
    return [replace(image, mask_path=None) if image.defect in defects else image for image in images]


def test_without_any_mask_there_are_image_figures_alone(test_set: Path, recipe: Recipe) -> None:
    small = replace(recipe, size_hw=(3, 4))
    with Detector(small, FakeEngine((3, 4))) as opened:
        inspections = list(inspect_all(opened, without_masks(test_set, "dent", "scratch")))
    assert [inspection.mask for inspection in inspections] == [None] * 4
    assert {inspection.anomaly_map.shape for inspection in inspections} == {(3, 4)}  # nothing to be compared with
    accuracy = summarize(inspections)
    assert (accuracy.pixel_auroc, accuracy.au_pro_30, accuracy.au_pro_5) == (None, None, None)
    assert accuracy.without_mask == 2
    assert 0 <= accuracy.image_auroc <= 1
    assert accuracy.detected.total == 2


def test_a_defective_image_without_its_mask_counts_in_image_figures_alone(test_set: Path, recipe: Recipe) -> None:
    with detector(recipe) as opened:
        accuracy = summarize(list(inspect_all(opened, without_masks(test_set, "scratch"))))
    assert accuracy.without_mask == 1
    assert accuracy.image_auroc == 3 / 4
    # no pixel of 48·3 − 3 good ones is above the dent; were the scratch's own taken for good, it would be the same,
    # so their number tells: the scratch image's 48 are not among them
    assert accuracy.pixel_auroc == accuracy.au_pro_5 == 1.0
    with detector(recipe) as opened:
        ranking = rank_known_pixels(inspect_all(opened, without_masks(test_set, "scratch")))
    assert ranking is not None
    assert ranking.good == 3 * 48 - 3


def test_an_image_from_elsewhere_is_named_by_its_whole_path() -> None:
    image = datasets.TestImage(Path("data/test/good/000.png"), False, "good", None)
    assert name_in(Path("data"), image) == "test/good/000.png"
    assert name_in(Path("other"), image) == "data/test/good/000.png"

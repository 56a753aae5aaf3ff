"""Plain values that tell good and defective images apart."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy.auroc_interval import auroc_interval
from benchmarks.accuracy.evaluation import Inspection, inspect_all
from benchmarks.accuracy.shortcuts import LEVEL, REFERENCES, Pictures, Shortcut, find_shortcuts, pictures_of, warning
from runtime.detector import Detector
from runtime.engines.fake import FakeEngine
from runtime.recipe import Recipe
from train.datasets import read_test_set

NONE = np.empty((0, 3))


@pytest.fixture
def four(test_set: Path, recipe: Recipe) -> list[Inspection]:
    with Detector(recipe, FakeEngine(recipe.size_hw)) as detector:
        return list(inspect_all(detector, read_test_set(test_set)))


def made(
    four: Sequence[Inspection], good: Sequence[tuple[int, int]], defective: Sequence[tuple[int, int]]
) -> Sequence[Inspection]:
    """Images of given sizes (height, width), of one brightness, which the detector tells apart."""
    bad, equal = four[2].image, replace(four[0], brightness=128.0)
    found = [replace(equal, size_hw=size, score=float(index % 3)) for index, size in enumerate(good)]
    found += [replace(equal, image=bad, size_hw=size, score=2.5) for size in defective]
    return found


def by_name(inspections: Sequence[Inspection], training: Pictures = NONE) -> dict[str, Shortcut]:
    return {each.name: each for each in find_shortcuts(inspections, training).values}


def test_pictures_are_taken_as_they_come(four: list[Inspection]) -> None:
    assert {each.size_hw for each in four} == {(6, 8)}
    assert [each.brightness for each in four] == pytest.approx([128 + x / 48 for x in (10, 40, 180, 40)])


def test_defective_images_that_are_smaller_are_named_with_their_direction(four: list[Inspection]) -> None:
    random = np.random.default_rng(0)
    good = [(60, int(100 + random.integers(20))) for _ in range(20)]
    inspections = made(four, good, [(60, int(90 + random.integers(20))) for _ in range(20)])
    found = by_name(inspections)
    assert list(found) == ["width", "height", "width to height", "mean brightness"]
    assert found["width"].direction == "narrower"
    assert found["width to height"].direction == "more upright"
    widths = np.array([each.size_hw[1] for each in inspections], float)
    assert found["width"].auroc == auroc_interval(-widths, np.repeat([False, True], 20))
    assert found["width"].auroc.auroc > 0.8
    assert [name for name in found if found[name].named] == ["width", "width to height"]
    assert (found["height"].direction, found["height"].auroc.auroc) == ("all alike", 0.5)
    said = warning(find_shortcuts(inspections, NONE), 0.99)
    assert said is not None
    assert "without looking at the part, by their width (AUROC 0." in said
    assert "the detector" not in said
    assert "no worse than by the detector (0.70)" in str(warning(find_shortcuts(inspections, NONE), 0.7))


def test_sizes_on_both_sides_need_training_images_to_be_seen(four: list[Inspection]) -> None:
    random = np.random.default_rng(0)
    sizes = random.normal(100, 3, (120, 2)).astype(int)
    training = np.column_stack([sizes[:60, ::-1], np.full(60, 128.0)])
    unusual = [(int(100 + side * 15), 100) for side in (-1, 1) for _ in range(30)]
    inspections = made(four, [(int(h), int(w)) for h, w in sizes[60:]], unusual)
    assert not any(each.named for each in by_name(inspections).values())
    found = by_name(inspections, training)
    assert (found["height"].direction, found["height"].named) == ("of unusual height", True)
    assert (found["width and height"].direction, found["width and height"].named) == ("of unusual size", True)
    assert found["width and height"].auroc.auroc > 0.95


def test_one_other_size_is_unusual_where_all_training_images_are_of_one(four: list[Inspection]) -> None:
    training = np.tile([100.0, 100.0, 128.0], (5, 1))
    inspections = made(four, [(100, 100)] * 20, [(100, 100)] * 8 + [(101, 99)] * 12)
    assert by_name(inspections, training)["width and height"].auroc.auroc == pytest.approx(0.5 + 12 / 20 / 2)


def test_chance_is_not_named_though_it_beats_a_poor_detector(four: list[Inspection]) -> None:
    random = np.random.default_rng(5)
    inspections = [replace(each, score=0.0) for each in made(four, [(9, 9)] * 20, [(9, 9)] * 20)]
    inspections = [replace(each, brightness=random.normal(128)) for each in inspections]
    found = by_name(inspections)
    assert found["mean brightness"].auroc.auroc > 0.5  # and above the detector's
    assert warning(find_shortcuts(inspections, NONE), 0.5) is None


def test_four_values_are_four_chances_to_be_wrong(four: list[Inspection]) -> None:
    # 0.66 of 40 and 40 images: the interval excludes 1/2 at 95 %, and not at 98.75 %
    inspections = [
        replace(each, brightness=float(index % 40)) for index, each in enumerate(made(four, [(9, 9)] * 40, []))
    ]
    inspections += [replace(each, image=four[2].image, brightness=each.brightness + 7) for each in inspections]
    found = by_name(inspections)["mean brightness"]
    assert found.auroc.low > 0.5
    assert found.auroc.auroc > LEVEL
    assert not found.named
    surer = [replace(each, brightness=each.brightness + 2 * each.image.label) for each in inspections]
    assert by_name(surer)["mean brightness"].named


def test_a_share_of_the_training_images_is_read(test_set: Path) -> None:
    one, other = test_set / "test" / "good" / "000.png", test_set / "test" / "dent" / "000.png"
    assert pictures_of([]).shape == (0, 3)
    assert pictures_of([one, other]).tolist() == [[8, 6, pytest.approx(128 + 10 / 48)], [8, 6, pytest.approx(131.75)]]
    many = [one.parent / f"{'../good/' * repeated}000.png" for repeated in range(REFERENCES + 30)]
    assert len(pictures_of(many)) == REFERENCES

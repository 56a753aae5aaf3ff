"""Which images are drawn, and that the ground truth does not hide the defect."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.accuracy.evaluation import Inspection, inspect_all
from benchmarks.accuracy.overlays import TRUTH_COLOUR, overlay, spread, write_overlays
from runtime.detector import Detector
from runtime.engines.fake import FakeEngine
from runtime.frames import Frame
from runtime.images import read_image
from runtime.overlay import draw_overlay
from runtime.recipe import Recipe
from train import datasets


@pytest.fixture
def inspections(test_set: Path, recipe: Recipe) -> list[Inspection]:
    with Detector(recipe, FakeEngine(recipe.size_hw)) as detector:
        return list(inspect_all(detector, datasets.read_test_set(test_set)))


def scored(inspection: Inspection, defect: str, score: float) -> Inspection:
    image = datasets.TestImage(Path(f"{score}.png"), defect != "good", defect, None)
    return replace(inspection, image=image, score=score)


def test_kinds_get_equal_shares_spread_over_their_scores(inspections: list[Inspection]) -> None:
    many = [scored(inspections[0], "good", score) for score in (5, 3, 1, 2, 4)]
    many += [scored(inspections[0], "dent", score) for score in (30, 10, 20)]
    many += [scored(inspections[0], "chip", 7)]
    chosen = {count: [(each.image.defect, each.score) for each in spread(many, count)] for count in (1, 3, 5, 100)}
    assert chosen[1] == [("chip", 7)]
    assert chosen[3] == [("chip", 7), ("dent", 20), ("good", 3)]
    assert chosen[5] == [("chip", 7), ("dent", 10), ("dent", 30), ("good", 2), ("good", 4)]
    assert len(chosen[100]) == len(many)


def test_the_defects_outline_is_drawn_beside_it_and_not_on_it(inspections: list[Inspection], tmp_path: Path) -> None:
    large = np.full((300, 400, 3), 90, np.uint8)
    mask = np.zeros((300, 400), bool)
    mask[100:110, 200:220] = True
    assert cv2.imwrite(str(tmp_path / "large.png"), large)
    image = datasets.TestImage(tmp_path / "large.png", True, "dent", None)
    verdict = inspections[0].verdict
    drawn = overlay(replace(inspections[0], image=image, score=0.0, mask=mask))

    expected = large.copy()
    expected[98:112, 198:222] = TRUTH_COLOUR
    expected[99:111, 199:221] = 90  # one pixel of the picture is left between outline and defect
    for y, x in ((98, 198), (98, 221), (111, 198), (111, 221)):
        expected[y, x] = 90  # the line's brush is a cross, so its corners are open
    assert np.array_equal(drawn, draw_overlay(Frame(expected, verdict.frame_id, name="dent/large.png"), verdict))


def test_a_good_image_is_drawn_as_it_is(inspections: list[Inspection]) -> None:
    good = inspections[0]
    plain = draw_overlay(Frame(read_image(good.image.path), 0, name="good/000.png"), good.verdict)
    assert np.array_equal(overlay(good), plain)


def test_a_defect_without_a_mask_is_drawn_without_an_outline(inspections: list[Inspection]) -> None:
    dent = next(each for each in inspections if each.image.defect == "dent")
    unknown = replace(dent, mask=None)
    plain = draw_overlay(Frame(read_image(dent.image.path), dent.verdict.frame_id, name="dent/000.png"), dent.verdict)
    assert np.array_equal(overlay(unknown), plain)
    assert not np.array_equal(overlay(dent), plain)


def test_files_are_named_by_kind_image_and_decision(inspections: list[Inspection], tmp_path: Path) -> None:
    write_overlays(tmp_path / "pictures", inspections, 3)
    names = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert names == ["000-dent-000-NG.png", "001-scratch-000-OK.png", "002-good-001-NG.png"]
    assert all(read_image(tmp_path / "pictures" / name).size for name in names)

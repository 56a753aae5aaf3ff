"""Named regions of interest: which pixels they hold, and what a verdict, a recipe and a summary say of them."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from runtime_samples import SIZE_HW, grey_frame, make_recipe, whole_frame_detector

from runtime import recipe as recipe_module
from runtime.detector import Detector
from runtime.engines.base import Output
from runtime.engines.fake import FakeEngine, deviation_from_grey
from runtime.engines.threaded import ThreadedEngine
from runtime.errors import DetectorError, InputError
from runtime.frames import Frame
from runtime.info import describe
from runtime.interest import MOST_RUNS, NamedRegion, Polygon, RegionsOfInterest, as_runs, decoded, inspected
from runtime.overlay import INTEREST_COLOUR, draw_overlay
from runtime.recipe import recipe_from_json
from runtime.scoring import Scoring
from runtime.sinks.lines import headline
from runtime.summary import Summary
from runtime.verdict import Decision, Verdict

STAR = ((30.1, 1.3), (48.7, 39.2), (2.3, 14.4), (58.9, 14.1), (12.2, 39.6))  # it crosses itself
HOLE = (((4.0, 4.0), (56.0, 4.0), (56.0, 36.0), (4.0, 36.0)), ((20.1, 10.3), (40.7, 10.2), (30.3, 30.1)))
LEFT = NamedRegion("left", (((0.0, 0.0), (20.0, 0.0), (20.0, 32.0), (0.0, 32.0)),))
RIGHT = NamedRegion("right", (((28.0, 0.0), (48.0, 0.0), (48.0, 32.0), (28.0, 32.0)),))
PICTURE_HW = (32, 48)  # of the camera; frames are prepared to 16×24
SIDES = RegionsOfInterest(PICTURE_HW, (LEFT, RIGHT))


def drawn(regions: RegionsOfInterest, size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    found = inspected(regions, size_hw)
    assert found is not None
    return found.mask


def even_odd(polygons: tuple[Polygon, ...], x: float, y: float) -> bool:
    """By a ray downwards, where the module casts one to the left."""
    odd = False
    for corners in polygons:
        for (x0, y0), (x1, y1) in pairwise((*corners, corners[0])):
            if (x0 <= x) != (x1 <= x) and y0 + (x - x0) / (x1 - x0) * (y1 - y0) > y:
                odd = not odd
    return odd


@pytest.mark.parametrize("size_hw", [(40, 60), (17, 23), (90, 61)])
@pytest.mark.parametrize("polygons", [(STAR,), HOLE])
def test_a_pixel_belongs_to_the_polygons_that_hold_its_centre_by_the_even_odd_rule(
    polygons: tuple[Polygon, ...], size_hw: tuple[int, int]
) -> None:
    found = drawn(RegionsOfInterest((40, 60), (NamedRegion("a", polygons),)), size_hw)
    scale_y, scale_x = 40 / size_hw[0], 60 / size_hw[1]
    expected = [
        [even_odd(polygons, (x + 0.5) * scale_x, (y + 0.5) * scale_y) for x in range(size_hw[1])]
        for y in range(size_hw[0])
    ]
    np.testing.assert_array_equal(found, expected)
    assert not found[int(25 / scale_y), int(30 / scale_x)] or polygons is not HOLE
    assert 0 < found.mean() < 1


@pytest.mark.parametrize("size_hw", [(32, 48), (16, 24), (9, 31), (64, 100)])
def test_a_mask_of_the_same_pixels_is_the_same_region(size_hw: tuple[int, int]) -> None:
    mask = np.zeros(PICTURE_HW, bool)
    mask[3:21, 5:30] = True
    mask[8:12, 10:17] = False
    box = ((5.0, 3.0), (30.0, 3.0), (30.0, 21.0), (5.0, 21.0)), ((10.0, 8.0), (17.0, 8.0), (17.0, 12.0), (10.0, 12.0))
    polygons, masked = NamedRegion("a", box), NamedRegion("a", runs=as_runs(mask))
    both = [drawn(RegionsOfInterest(PICTURE_HW, (each,)), size_hw) for each in (polygons, masked)]
    np.testing.assert_array_equal(*both)
    assert both[0].any()
    if size_hw == PICTURE_HW:
        np.testing.assert_array_equal(both[0], mask)


def test_the_specification_draws_them_alike() -> None:
    page = (Path(recipe_module.__file__).parent / "DETECTOR.md").read_text()
    found: dict[str, Any] = {"np": np}
    exec(page.partition("```python\n")[2].partition("```")[0], found)
    mask = NamedRegion("rim", runs=as_runs(np.add.outer(np.arange(40), np.arange(60)) % 37 < 9))
    for regions in ((NamedRegion("a", (STAR,)), mask), (NamedRegion("a", HOLE),)):
        named = RegionsOfInterest((40, 60), regions)
        document = json.loads(json.dumps(named.document))
        for size_hw in ((40, 60), (17, 23), (90, 61)):
            np.testing.assert_array_equal(found["inspected"](document, *size_hw), drawn(named, size_hw))


@pytest.mark.parametrize("first", [False, True])
def test_runs_are_the_mask(first: bool) -> None:
    mask = np.random.default_rng(0).random((7, 9)) > 0.5
    mask[0, 0] = first
    region = NamedRegion("a", runs=as_runs(mask))
    assert region.runs.startswith("0 ") == first
    np.testing.assert_array_equal(decoded(region, (7, 9)), mask)


def test_a_mask_of_noise_is_refused() -> None:
    with pytest.raises(InputError, match=r"changes between black and white; expected up to 200,000"):
        as_runs(np.arange(MOST_RUNS + 1).reshape(1, -1) % 2 == 1)


@pytest.mark.parametrize(
    ("regions", "message"),
    [
        (
            (NamedRegion("a", (((0, 0), (49, 0), (0, 9)),)),),
            r"region a has a corner at x 49, y 0, outside the picture of",
        ),
        ((NamedRegion("a", (((0, 0), (9, 0), (0, -0.5)),)),), r"corner at x 0, y -0.5, outside the picture of 48×32"),
        ((NamedRegion("a", (((0, 0), (9, 0), (0, float("nan"))),)),), "corner at x 0, y nan, outside"),
        ((NamedRegion("a", (((0, 0), (9, 0)),)),), r"a polygon of 2 corners; expected 3 or more, each x, y"),
        (
            (NamedRegion("a", (((0, 0), (9, 0), (4, 0)),)),),
            r"region a is empty: it holds no pixel of the prepared frame",
        ),
        ((NamedRegion("a", (((0, 0), (0.9, 0), (0, 0.9)),)),), "region a is empty"),
        ((NamedRegion("a", runs=f"{32 * 48}"),), "region a is empty"),
        ((NamedRegion("a", runs="5 7"),), "the mask of region a is not of 48×32 pixels"),
        ((NamedRegion("a", runs="5 x"),), "the mask of region a is no list of up to 200,000 lengths"),
        ((NamedRegion("a", runs=f"-1 {32 * 48 + 1}"),), "the mask of region a is not of 48×32 pixels"),
        ((NamedRegion("a"),), "region a has neither; expected polygons or a mask"),
        ((replace(LEFT, runs="0 1536"),), "region left has both; expected polygons or a mask"),
        ((replace(LEFT, name=" "),), "a region is called ' '; expected a name of 1 to 64 characters that print"),
        ((replace(LEFT, name="a\nb"),), "expected a name of 1 to 64"),
        ((LEFT, RIGHT, LEFT), "two regions are called left; give each its own name"),
        ((), "there are 0 regions; expected 1 to 64"),
    ],
)
def test_regions_that_cannot_be_used_are_refused_in_one_sentence(
    regions: tuple[NamedRegion, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message) as refused:
        Scoring(RegionsOfInterest(PICTURE_HW, regions)).check(SIZE_HW)
    assert "\n" not in str(refused.value)


def test_the_score_takes_no_more_pixels_than_the_regions_hold() -> None:
    small = RegionsOfInterest(PICTURE_HW, (NamedRegion("a", (((0, 0), (8, 0), (8, 6), (0, 6)),)),))
    Scoring(small, score_pixels=4 * 3).check(SIZE_HW)
    with pytest.raises(InputError, match="score_pixels is 13; expected 1 to 12"):
        Scoring(small, score_pixels=13).check(SIZE_HW)


def test_the_recipe_holds_them_whole_and_comes_back_the_same() -> None:
    mask = NamedRegion("rim", runs=as_runs(np.eye(32, 48, dtype=bool)))
    recipe = replace(make_recipe(), scoring=Scoring(RegionsOfInterest(PICTURE_HW, (LEFT, mask))))
    read = recipe_from_json(recipe.to_json())
    assert read == recipe
    assert read.sha256 == recipe.sha256
    document = json.loads(recipe.to_json())["scoring"]["region_of_interest"]
    assert document["regions"][0] == {"name": "left", "polygons": [[[0, 0], [20, 0], [20, 32], [0, 32]]]}
    assert set(document["regions"][1]) == {"name", "runs"}


def test_a_recipe_with_a_rectangle_is_as_it_was() -> None:
    recipe = replace(make_recipe(), scoring=Scoring((2, 3, 10, 20)))
    assert json.loads(recipe.to_json())["scoring"]["region_of_interest"] == [2, 3, 10, 20]
    assert (  # of files that are out there, written before regions had names
        recipe.sha256 == "4dc1bbf399e934c094869f7c80fa328f2c9da0549e70025bb8ae7ab4e408a885"
    )


def test_a_recipe_whose_regions_cannot_be_used_is_damaged() -> None:
    text = replace(make_recipe(), scoring=Scoring(SIDES)).to_json()
    with pytest.raises(DetectorError, match=r"the recipe is damaged .two regions are called left"):
        recipe_from_json(text.replace('"right"', '"left"'))
    with pytest.raises(DetectorError, match=r"the recipe is damaged .region left has a corner at x 20, y 99, outside"):
        recipe_from_json(text.replace("[20.0, 0.0]", "[20.0, 99.0]"))


def verdict_on(*spots_xy: tuple[int, int], **settings: float) -> Verdict:
    """On a camera's picture of 48×32 pixels, grey but for white spots of 4×4 pixels."""
    image = np.full((*PICTURE_HW, 3), 128, np.uint8)
    for x, y in spots_xy:
        image[y : y + 4, x : x + 4] = 255
    recipe = replace(make_recipe(), scoring=Scoring(SIDES, **settings))  # type: ignore[arg-type]

    def infer(frames: NDArray[np.uint8]) -> Output:  # as a graph does, which has the regions' mask
        maps = deviation_from_grey(frames)
        return Output(maps, maps[:, drawn(SIDES, SIZE_HW)].max(axis=1))

    with Detector(recipe, ThreadedEngine(infer, SIZE_HW, 8, 2, "fake engine")) as detector:
        return detector.inspect(Frame(image, 1))


def test_a_defect_outside_all_regions_rejects_nothing() -> None:
    verdict = verdict_on((22, 10))
    assert verdict.decision is Decision.OK
    assert verdict.scored_map is not None
    assert verdict.scored_map.max() > verdict.threshold


def test_a_defect_inside_is_rejected_and_the_verdict_says_in_which_region() -> None:
    verdict = verdict_on((40, 10), (22, 20))
    assert verdict.decision is Decision.NG
    assert (verdict.rejected_in, [region.within for region in verdict.regions]) == (("right",), [("right",)])
    assert verdict.reason.endswith(" in right")
    line = json.loads(verdict.to_json())
    assert (line["rejected_in"], line["regions"][0]["within"]) == (["right"], ["right"])
    assert "in right; 1 region, peak at" in headline(verdict)


def test_a_region_above_the_threshold_names_all_that_it_lies_in_its_peaks_first() -> None:
    overlapping = RegionsOfInterest(PICTURE_HW, (replace(RIGHT, name="far"), LEFT, replace(LEFT, name="same")))
    found = inspected(overlapping, SIZE_HW)
    assert found is not None
    pixels = np.ones((2, 15), bool)
    assert found.names_at((4, 5), pixels, (0, 0)) == ("left", "same", "far")
    assert found.names_at((4, 5), pixels, (1, 14)) == ("far", "left", "same")
    assert found.names_at((4, 5), pixels[:, :3], (0, 0)) == ("left", "same")


def test_what_is_too_small_in_one_region_does_not_name_it() -> None:
    verdict = verdict_on((4, 10), (36, 10), smallest_area=17)
    assert verdict.passed_as_small
    assert verdict.rejected_in == ()
    image_area = verdict_on((4, 10), (36, 10), smallest_area=16)
    assert image_area.rejected_in == ("left", "right")


def test_verdicts_without_names_say_nothing_of_regions() -> None:
    with Detector(make_recipe(), FakeEngine(SIZE_HW, deviation_from_grey)) as detector:
        line = json.loads(detector.inspect(grey_frame(spot=255)).to_json())
    assert "rejected_in" not in line
    assert "inspected" not in line
    assert "within" not in line["regions"][0]


def test_what_the_whole_frame_rejects_is_in_no_region() -> None:
    with whole_frame_detector(0.9, region_of_interest=SIDES) as detector:
        verdict = detector.inspect(grey_frame())
    assert (verdict.decision, verdict.rejected_in) == (Decision.NG, ())


def test_a_smallest_area_that_no_region_reaches_is_no_decision() -> None:
    whole = 2 * 20 * 32  # of the camera's picture
    assert verdict_on(smallest_area=whole).decision is Decision.OK
    assert verdict_on(smallest_area=whole + 1).decision is Decision.NO_DECISION


def test_a_summary_counts_rejects_by_region() -> None:
    summary = Summary()
    for spots in ([(4, 10)], [(4, 10), (40, 10)], [], [(22, 10)]):
        summary.add(grey_frame(), verdict_on(*spots))
    assert summary.as_dict()["rejected_in"] == {"left": 2, "right": 1}
    assert "the NG by region, a part in several counting in each: 2 in left, 1 in right" in summary.lines()
    assert "rejected_in" not in Summary().as_dict()


def test_the_recipe_in_words_names_the_regions() -> None:
    frame = describe(replace(make_recipe(), scoring=Scoring(SIDES)))[0]
    assert "inspected in left (a polygon of 4 corners), right (a polygon of 4 corners): 83.3 % of it" in frame
    assert "drawn on pictures of 48×32 pixels" in frame


def test_an_overlay_outlines_each_region_and_darkens_what_is_not_inspected() -> None:
    image = np.full((*PICTURE_HW, 3), 128, np.uint8)
    verdict = verdict_on((40, 10), (22, 20))
    frame = Frame(image, 1)
    overlay, plain = (draw_overlay(frame, each) for each in (verdict, replace(verdict, inspected=None)))
    scale = 512 / 48
    for left in (8, 528):  # both panels
        yellow = np.argwhere((overlay[72:, left : left + 512] == INTEREST_COLOUR).all(axis=2)) / scale
        for x in (0, 20, 28, 48):
            assert np.abs(yellow[:, 1] - x).min() < 0.5
    panel, lit = (each[72:, 528:1040].astype(int) for each in (overlay, plain))
    between = panel[:, int(22 * scale) : int(26 * scale)], lit[:, int(22 * scale) : int(26 * scale)]
    assert between[0].sum() < 0.5 * between[1].sum()
    whites = np.argwhere((panel == (240, 240, 240)).all(axis=2))[:, 1] / scale
    assert whites.min() > 28  # the spot between the regions has no outline: it counts for nothing

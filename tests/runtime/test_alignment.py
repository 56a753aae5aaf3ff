"""The part is found where it lies, turned back, inspected, and told of in pixels of the camera's picture."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from runtime_samples import make_recipe

from runtime.alignment import Alignment, decoded_reference, encoded_reference
from runtime.demo.belt import belt_surface, belt_view
from runtime.demo.line import DemoLine
from runtime.detector import Detector
from runtime.engines.fake import FakeEngine
from runtime.errors import DetectorError, InputError
from runtime.finder import Finder, reference_of
from runtime.frames import Frame
from runtime.info import describe
from runtime.interest import NamedRegion, RegionsOfInterest
from runtime.overlay import draw_overlay, inspected_in_picture
from runtime.placement import Matrix, composed, middle_of, moved, turned
from runtime.preparation import prepare, scaled
from runtime.recipe import HealthLimits, Recipe, recipe_from_json
from runtime.scoring import Scoring
from runtime.verdict import Decision

SIZE_HW = (192, 240)
Image = NDArray[np.uint8]


@pytest.fixture(scope="module")
def parts() -> list[Image]:
    return [DemoLine(3, SIZE_HW).good(index).image for index in range(4)]


def alignment_to(part: Image, mode: str = "any-angle", **limits: float) -> Alignment:
    angle = 180.0 if mode == "any-angle" else 20.0
    values: dict[str, Any] = {"largest_shift": 0.12, "largest_angle": angle, "least_quality": 0.4, "good_quality": 0.6}
    values |= {"border_bgr": (40, 40, 40), **limits}
    return Alignment(mode=mode, reference=encoded_reference(reference_of(part, SIZE_HW)), **values)


def lying(part: Image, degrees: float, shift_xy: tuple[float, float]) -> Image:
    matrix = turned(degrees, shift_xy, SIZE_HW)
    return np.asarray(cv2.warpAffine(part, matrix, SIZE_HW[::-1], borderMode=cv2.BORDER_REPLICATE), np.uint8)


def place(part: Image, alignment: Alignment) -> Matrix:
    placed = prepare(part, SIZE_HW, alignment).placed
    assert placed is not None
    return placed.to_picture(SIZE_HW, SIZE_HW)


def recipe_with(alignment: Alignment | None, **scoring: Any) -> Recipe:
    health = HealthLimits(5.0, 250.0, 0.9, 0.5, 2.0)
    return replace(make_recipe(), size_hw=SIZE_HW, health=health, alignment=alignment, scoring=Scoring(**scoring))


def detector_of(alignment: Alignment | None, maps: Callable[[Image], NDArray[np.float32]], **scoring: Any) -> Detector:
    return Detector(recipe_with(alignment, **scoring), FakeEngine(SIZE_HW, maps))


def greenness(frames: Image) -> NDArray[np.float32]:
    """1 where a pixel is pure green: no part has any."""
    values = frames.astype(np.float32)
    return np.clip((values[..., 1] - np.maximum(values[..., 0], values[..., 2])) / 150, 0, 1)


@pytest.mark.parametrize(
    ("mode", "degrees", "shift_xy"),
    [
        ("near", 0.0, (0.0, 0.0)),
        ("near", 13.0, (-9.0, 6.5)),
        ("near", -18.5, (10.0, 8.0)),
        ("any-angle", 90.0, (0.0, 0.0)),
        ("any-angle", 177.0, (8.0, -11.0)),
        ("any-angle", -103.0, (-10.0, 4.0)),
    ],
)
def test_a_known_move_is_found_to_half_a_degree_and_a_pixel(
    mode: str, degrees: float, shift_xy: tuple[float, float], parts: list[Image]
) -> None:
    alignment = alignment_to(parts[0], mode)
    for part in parts:  # also of others, which lie a little otherwise themselves
        expected = composed(turned(degrees, shift_xy, SIZE_HW), place(part, alignment))
        found = place(lying(part, degrees, shift_xy), alignment)
        turn = np.degrees(np.arctan2(found[1, 0], found[0, 0]) - np.arctan2(expected[1, 0], expected[0, 0]))
        middle = middle_of(SIZE_HW)[None]
        assert abs((turn + 180) % 360 - 180) < 0.5
        assert np.hypot(*(moved(found, middle) - moved(expected, middle))[0]) < 1


def test_the_same_frame_is_prepared_to_the_same_pixels_whatever_the_threads(parts: list[Image]) -> None:
    alignment, image, threads = alignment_to(parts[0]), lying(parts[1], 71, (5, 5)), cv2.getNumThreads()
    try:
        found = []
        for count in (1, 2, 2):
            cv2.setNumThreads(count)
            found.append(prepare(image, SIZE_HW, alignment))
    finally:
        cv2.setNumThreads(threads)
    for other in found[1:]:
        np.testing.assert_array_equal(found[0].frame, other.frame)


@pytest.mark.parametrize("mode", ["near", "any-angle"])
def test_nothing_is_found_on_an_empty_belt_or_another_thing(mode: str, parts: list[Image]) -> None:
    alignment = alignment_to(parts[0], mode)
    belt = belt_view(belt_surface(SIZE_HW, np.random.default_rng(1)), 40, SIZE_HW[1])
    empty = np.repeat((255 * belt).clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
    other = np.full((*SIZE_HW, 3), 60, np.uint8)
    cv2.putText(other, "other", (20, 110), cv2.FONT_HERSHEY_SIMPLEX, 2.2, (210, 210, 210), 6)
    flat = np.full((*SIZE_HW, 3), 128, np.uint8)
    for image in (empty, other, flat):
        problem = prepare(image, SIZE_HW, alignment).problem
        assert problem is not None
        assert problem.startswith("part not found: the best place looks like it with quality 0.")
        assert problem.endswith("good images had 0.60 or more and 0.40 is the least")
    with detector_of(alignment, greenness) as detector:
        verdict = detector.inspect(empty)
    assert verdict.decision is Decision.NO_DECISION
    assert verdict.score is None
    assert verdict.reason.startswith("part not found")


def test_a_part_outside_the_limits_is_no_decision_and_the_reason_says_how_far(parts: list[Image]) -> None:
    narrow = alignment_to(parts[0], "near", largest_shift=0.03, largest_angle=5.0)
    with detector_of(narrow, greenness) as detector:
        assert detector.inspect(lying(parts[0], 2, (2, 2))).decision is Decision.OK
        shifted, askew = detector.inspect(lying(parts[0], 0, (20, 0))), detector.inspect(lying(parts[0], 15, (0, 0)))
    assert (shifted.decision, askew.decision) == (Decision.NO_DECISION, Decision.NO_DECISION)
    assert shifted.reason == "part not in its place: shifted by 20 pixels, 6 allowed"
    assert askew.reason == "part not in its place: turned by 15.0 degrees, 5.0 allowed"


def test_a_dark_frame_is_dark_not_lost(parts: list[Image]) -> None:
    with detector_of(alignment_to(parts[0]), greenness) as detector:
        assert detector.inspect(np.zeros((*SIZE_HW, 3), np.uint8)).reason.startswith("black")


@pytest.mark.parametrize("degrees", [-140.0, 25.0])
@pytest.mark.parametrize("enlarged", [1, 3])
def test_a_region_is_told_where_the_defect_lies_in_the_camera_s_picture(
    degrees: float, enlarged: int, parts: list[Image]
) -> None:
    image = lying(parts[0], degrees, (7, -5))
    image = cv2.resize(image, None, fx=enlarged, fy=enlarged, interpolation=cv2.INTER_LINEAR)
    left, top, width, height = (enlarged * side for side in (140, 100, 14, 8))
    image[top : top + height, left : left + width] = (0, 255, 0)
    with detector_of(alignment_to(parts[0]), greenness) as detector:
        verdict = detector.inspect(np.asarray(image, np.uint8))
    assert verdict.decision is Decision.NG
    (region,) = verdict.regions
    slack = 2 * enlarged
    assert np.abs(np.array(region.center_xy) - (left + width / 2, top + height / 2)).max() < slack
    x, y, w, h = region.box_xywh
    assert np.abs(np.array([x, y, x + w, y + h]) - [left, top, left + width, top + height]).max() <= slack
    assert left - slack < region.peak_xy[0] < left + width + slack
    assert region.area == pytest.approx(width * height, rel=0.3)
    assert verdict.anomaly_map is not None
    shown = cv2.resize(verdict.anomaly_map, (image.shape[1], image.shape[0])) > 0.5
    assert shown[top + height // 2, left + width // 2]
    assert shown.sum() < 3 * width * height
    assert draw_overlay(Frame(np.asarray(image, np.uint8), 0), verdict).size


@pytest.mark.parametrize("degrees", [-140.0, 25.0])
def test_named_regions_are_shown_where_they_lie_in_the_camera_s_picture(degrees: float, parts: list[Image]) -> None:
    left, top, width, height = 130, 80, 24, 16
    corners = ((left, top), (left + width, top), (left + width, top + height), (left, top + height))
    regions = RegionsOfInterest(SIZE_HW, (NamedRegion("lid", (tuple((float(x), float(y)) for x, y in corners),)),))
    marked = parts[0].copy()
    marked[top : top + height, left : left + width] = (0, 255, 0)
    image = lying(marked, degrees, (7, -5))
    green = (image[..., 1] > 200) & (image[..., 0] < 60) & (image[..., 2] < 60)
    with detector_of(alignment_to(parts[0]), greenness, region_of_interest=regions) as detector:
        verdict = detector.inspect(image)
        lost = detector.inspect(np.full((*SIZE_HW, 3), 128, np.uint8))
    assert (verdict.decision, verdict.rejected_in) == (Decision.NG, ("lid",))
    shown = inspected_in_picture(verdict)
    assert shown is not None
    assert shown.masks is not None
    for mask in (shown.mask, shown.masks[0]):
        assert (mask & green).sum() > 0.85 * green.sum()
        assert mask.sum() < 1.3 * width * height
    assert lost.decision is Decision.NO_DECISION
    assert inspected_in_picture(lost) is None  # nobody knows where they lie


def test_what_lies_outside_the_picture_rejects_nothing(parts: list[Image]) -> None:
    alignment, image = alignment_to(parts[0]), lying(parts[0], 45, (0, 0))
    placed = prepare(image, SIZE_HW, alignment).placed
    assert placed is not None
    outside = ~placed.inside(SIZE_HW)
    assert 0.02 < outside.mean() < 0.5

    def maps_of(where: NDArray[np.bool_]) -> Callable[[Image], NDArray[np.float32]]:
        return lambda frames: np.repeat(where[None].astype(np.float32), len(frames), axis=0)

    inside = np.zeros(SIZE_HW, bool)
    inside[90:100, 110:130] = True
    with detector_of(alignment, maps_of(outside)) as detector:
        verdict = detector.inspect(image)
    assert (verdict.decision, verdict.score, verdict.regions) == (Decision.OK, 1.0, ())
    assert verdict.reason.endswith("only where the aligned frame reaches beyond the picture: nothing there counts")
    with detector_of(alignment, maps_of(outside | inside)) as detector:
        verdict = detector.inspect(image)
    assert (verdict.decision, len(verdict.regions)) == (Decision.NG, 1)


def test_a_region_of_interest_that_reaches_out_of_the_picture_is_no_decision(parts: list[Image]) -> None:
    alignment, region = alignment_to(parts[0]), (0, 40, 192, 160)
    with detector_of(alignment, greenness, region_of_interest=region) as detector:
        assert detector.inspect(parts[0]).decision is Decision.OK
        verdict = detector.inspect(lying(parts[0], 0, (0, 12)))
    assert verdict.decision is Decision.NO_DECISION
    assert verdict.reason.startswith("part not all in the picture: 6.2% of the region of interest")


def test_without_alignment_a_recipe_says_nothing_of_it_and_a_frame_is_only_scaled(parts: list[Image]) -> None:
    assert "alignment" not in make_recipe().document
    prepared = prepare(parts[0], (90, 100), None)
    assert prepared.scaled is prepared.frame
    np.testing.assert_array_equal(prepared.frame, scaled(parts[0], (90, 100)))


def test_an_alignment_travels_in_the_recipe_and_is_told_in_words(parts: list[Image]) -> None:
    recipe = recipe_with(alignment_to(parts[0], "near", largest_shift=0.05))
    assert recipe_from_json(recipe.to_json()) == recipe
    assert len(recipe.to_json()) < 40_000
    (line,) = [line for line in describe(recipe) if line.startswith("Alignment")]
    assert "shifted by 5 % of the picture's shorter side at most, turned by 20 degrees at most" in line
    assert "quality 0.40 or more" in line


def png(image: Image) -> str:
    return encoded_reference(image)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("mode", "upright", "expected one of near, any-angle"),
        ("largest_shift", 0.0, "largest_shift is 0; expected a finite number above 0"),
        ("largest_shift", 0.3, "largest_shift is 0.3; expected 0 to 0.2"),
        ("largest_angle", 90.0, "largest_angle is 90; expected 180 of the mode any-angle"),
        ("least_quality", 0.0, "least_quality is 0; expected a finite number above 0"),
        ("least_quality", 0.7, "good_quality is 0.6; expected 0.7 to 1"),
        ("border_bgr", [0, 256, 0], "border_bgr is 256; expected 0 to 255"),
        ("reference", "@", "the reference is not base64"),
        ("reference", "AAAA", "the reference is no PNG"),
        ("reference", "A" * 70_000, "the reference has 70,000 characters; expected 65,536 at most"),
        ("reference", png(np.zeros((8, 40), np.uint8)), "the reference has 40×8 pixels; expected 16 to 1,024 a side"),
        ("reference", png(np.zeros((20, 20, 3), np.uint8)), "the reference is no PNG of 8-bit grey pixels"),
    ],
)
def test_a_damaged_alignment_is_refused(name: str, value: object, reason: str, parts: list[Image]) -> None:
    document = json.loads(recipe_with(alignment_to(parts[0])).to_json())
    document["alignment"][name] = value
    with pytest.raises(DetectorError) as caught:
        recipe_from_json(json.dumps(document))
    assert reason in str(caught.value)


def test_a_reference_comes_back_as_it_was_and_one_of_a_single_grey_is_refused(parts: list[Image]) -> None:
    reference = reference_of(parts[0], SIZE_HW)
    np.testing.assert_array_equal(decoded_reference(encoded_reference(reference)), reference)
    with pytest.raises(InputError, match="nothing that could be found"):
        Finder(np.full((100, 120), 80, np.uint8), "near")


def test_a_round_part_is_not_taken_for_turned_beyond_its_limit() -> None:
    def ring(seed: int) -> Image:
        noise = np.random.default_rng(seed).normal(0, 6, SIZE_HW)
        y, x = np.ogrid[: SIZE_HW[0], : SIZE_HW[1]]
        radius = np.hypot(y - 95.5, x - 119.5)
        grey = np.where((radius < 70) & (radius > 40), 180, 60) + cv2.GaussianBlur(noise, (0, 0), 3) * 8
        return np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)

    angles = {
        limit: [abs(Finder(reference_of(ring(0), SIZE_HW), "near", limit).find(ring(k)).angle) for k in range(1, 9)]
        for limit in (8.0, 180.0)
    }
    assert max(angles[180.0]) > 8  # it has none, so that any may be found
    assert max(angles[8.0]) <= 8

"""Frame health: measured, compared with the limits, and said in words."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from runtime_samples import grey_frame, make_recipe

from runtime.demo import DemoLine
from runtime.frames import Frame
from runtime.health import HealthCheck, brightness, saturated_share
from runtime.likeness import likeness_limit, pattern
from runtime.sharpness import SharpnessMeter, sharpness_limits

LIMITS = make_recipe().health
LINE = DemoLine(4, (96, 128), 0.0)
GOOD = [LINE.good(number).image for number in range(12)]


def problem(frame: Frame) -> str | None:
    return HealthCheck(LIMITS).problem(frame, frame.image)


def test_brightness_and_saturation_are_measured() -> None:
    image = np.zeros((2, 5, 3), np.uint8)
    image[0, 0] = 250
    image[0, 1] = (255, 255, 249)  # saturated in two channels only
    assert saturated_share(image) == 0.1
    assert brightness(image) == pytest.approx((3 * 250 + 2 * 255 + 249) / 30)


@pytest.mark.parametrize(("grey", "healthy"), [(19, False), (20, True), (235, True), (236, False)])
def test_the_limits_themselves_are_healthy(grey: int, healthy: bool) -> None:
    assert (problem(grey_frame(grey=grey)) is None) is healthy


def test_too_large_a_saturated_share_is_over_exposed() -> None:
    image = np.full((10, 20, 3), 100, np.uint8)
    image[:2] = 255
    assert problem(Frame(image, 0)) is None
    image[2, 0] = 255
    assert problem(Frame(image, 0)) == ("over-exposed: mean brightness 132 and 20% saturated, limits are 235 and 20%")


@pytest.mark.parametrize(
    ("size_hw", "healthy"), [((20, 20), True), ((20, 40), True), ((20, 19), False), ((20, 41), False)]
)
def test_the_aspect_must_be_that_of_the_good_images(size_hw: tuple[int, int], healthy: bool) -> None:
    frame = Frame(np.full((*size_hw, 3), 128, np.uint8), 0)
    assert (problem(frame) is None) is healthy


@pytest.mark.parametrize(("height", "healthy"), [(49, False), (50, True), (5000, True)])
def test_a_thumbnail_is_not_judged(height: int, healthy: bool) -> None:
    frame = grey_frame()
    image = np.full((height, round(1.5 * height), 3), 128, np.uint8)
    check = HealthCheck(replace(LIMITS, height_low=50.0))
    found = check.problem(replace(frame, image=image), frame.image)
    assert (found is None) is healthy
    assert healthy or found == "wrong size: 74×49 is small, good images allow 50 rows or more"


def test_a_live_picture_delivered_twice_is_frozen() -> None:
    check = HealthCheck(LIMITS)
    first, second = grey_frame(live=True), grey_frame(spot=129, live=True)
    said = [check.problem(frame, frame.image) for frame in (first, second, second, first)]
    assert said == [None, None, "frozen: the camera delivered the same picture twice", None]


def test_a_frozen_frame_need_not_be_contiguous() -> None:
    check = HealthCheck(LIMITS)
    wide = np.random.default_rng(0).integers(50, 200, (16, 48, 3), np.uint8)
    frame = replace(grey_frame(live=True), image=wide[:, ::2])
    assert check.problem(frame, frame.image) is None
    assert check.problem(frame, frame.image) is not None


def test_a_file_may_hold_the_same_picture_twice() -> None:
    check = HealthCheck(LIMITS)
    assert [check.problem(grey_frame(), grey_frame().image) for _ in range(2)] == [None, None]


def learnt() -> HealthCheck:
    """The check of parts of the demo line, by limits of a dozen good ones."""
    meter = SharpnessMeter((96, 128))
    low, typical = likeness_limit(np.stack([pattern(image) for image in GOOD]))
    sharpness = sharpness_limits([meter.measure(image) for image in GOOD])
    return HealthCheck(replace(LIMITS, brightness_low=10.0, sharpness_low=sharpness, likeness_low=low, typical=typical))


def said(check: HealthCheck, image: NDArray[np.uint8]) -> str | None:
    return check.problem(Frame(image, 0), image)


def test_other_parts_are_healthy_and_an_empty_belt_has_no_part() -> None:
    check = learnt()
    assert [said(check, LINE.good(number).image) for number in range(20, 30)] == [None] * 10
    for number in range(20, 24):
        reason = said(check, LINE.empty(number))
        assert reason is not None
        assert reason.startswith("no part in view: the frame's likeness to the good images is 0.")


@pytest.mark.parametrize(
    ("kernel_wh", "direction"), [((5, 1), "from left to right"), ((1, 5), "from top to bottom")], ids=["x", "y"]
)
def test_a_blurred_frame_is_not_judged(kernel_wh: tuple[int, int], direction: str) -> None:
    check = learnt()
    reason = said(check, np.asarray(cv2.blur(GOOD[0], kernel_wh), np.uint8))
    assert reason is not None
    assert reason.startswith(f"blurred: sharpness {direction} is 0.0")
    assert said(check, GOOD[0]) is None  # the buffers hold nothing of the frame before


def test_a_dark_empty_frame_is_black_and_an_empty_one_is_not_called_blurred() -> None:
    check = learnt()
    reasons = [said(check, np.full((96, 128, 3), grey, np.uint8)) for grey in (5, 90)]
    assert [str(reason).partition(":")[0] for reason in reasons] == ["black", "no part in view"]


def test_a_limit_that_good_images_do_not_set_refuses_nothing() -> None:
    flat = np.full((96, 128, 3), 90, np.uint8)
    assert said(HealthCheck(LIMITS), flat) is None
    one_way = HealthCheck(replace(LIMITS, sharpness_low=(0.0, 0.05)))
    assert said(one_way, flat) == "blurred: sharpness from top to bottom is 0, good images allow 0.05 or more"

"""Frame health: measured, compared with the limits, and said in words."""

from dataclasses import replace

import numpy as np
import pytest
from runtime_samples import grey_frame, make_recipe

from runtime.frames import Frame
from runtime.health import HealthCheck, brightness, saturated_share

LIMITS = make_recipe().health


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

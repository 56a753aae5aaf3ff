"""Sharpness of prepared frames: what blur, noise, light and motion do to it, and the limits that good images set."""

import cv2
import numpy as np
import pytest
from detector_page import page_function
from numpy.typing import NDArray

from runtime.demo import DemoLine
from runtime.sharpness import FEW, SharpnessMeter, sharpness_limits


@pytest.fixture(scope="module")
def part() -> NDArray[np.uint8]:
    return DemoLine(5, (128, 160), 0.0).good(0).image


def measured(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.array(SharpnessMeter((image.shape[0], image.shape[1])).measure(image))


def smoothed(image: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


@pytest.mark.parametrize("size_hw", [(128, 160), (97, 131), (16, 17)])
def test_it_is_what_the_page_says(size_hw: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size_hw, 3), np.uint8)
    image = smoothed(image, 1.0)
    np.testing.assert_allclose(measured(image), page_function("sharpness")(image), rtol=1e-4)


def test_a_meter_measures_one_frame_after_the_other(part: NDArray[np.uint8]) -> None:
    meter = SharpnessMeter((128, 160))
    first = meter.measure(part)
    assert meter.measure(smoothed(part, 2)) != first
    assert meter.measure(part) == first


def test_more_blur_is_less_sharp_each_way(part: NDArray[np.uint8]) -> None:
    found = np.array([measured(smoothed(part, sigma) if sigma else part) for sigma in (0.0, 0.7, 1.0, 1.5, 2.5)])
    assert (np.diff(found, axis=0) < 0).all()
    assert (found[2] < found[0] / 3).all()


def test_noise_makes_no_blurred_frame_sharp(part: NDArray[np.uint8]) -> None:
    blurred = smoothed(part, 2.0)
    noise = np.random.default_rng(1).normal(0, 6, part.shape)
    noisy = np.clip(blurred + noise, 0, 255).astype(np.uint8)
    assert (measured(noisy) < measured(part) / 3).all()
    # which the variance of the Laplacian does not see
    grey, plain = (cv2.cvtColor(each, cv2.COLOR_BGR2GRAY) for each in (noisy, part))
    assert cv2.Laplacian(grey, cv2.CV_32F).var() > cv2.Laplacian(plain, cv2.CV_32F).var() / 3


def test_half_of_the_light_changes_little(part: NDArray[np.uint8]) -> None:
    np.testing.assert_allclose(measured((part // 2).astype(np.uint8)), measured(part), rtol=0.15)


def test_motion_blurs_along_itself(part: NDArray[np.uint8]) -> None:
    moved = np.asarray(cv2.blur(part, (7, 1)), np.uint8)
    across, down = measured(moved) / measured(part)
    assert across < 0.4
    assert down > 0.7


def test_a_flat_frame_has_nothing_sharp() -> None:
    assert (measured(np.full((32, 32, 3), 90, np.uint8)) == 0).all()


def test_the_limit_is_the_least_less_a_margin_that_few_images_widen() -> None:
    values = np.exp(np.linspace(-1.0, 1.0, 101))
    across, down = sharpness_limits([(value, 1.0) for value in values])
    deviation = 2 * 0.34
    assert np.log(across) == pytest.approx(-1 - deviation * (1 + FEW / 101), abs=1e-6)
    assert np.log(down) == pytest.approx(-0.1 * (1 + FEW / 101))  # images that do not differ


def test_too_few_images_and_those_without_detail_set_no_limit() -> None:
    assert sharpness_limits([(1.0, 1.0)] * 7) == (0.0, 0.0)
    assert sharpness_limits([(1.0, 1.0)] * 7 + [(1.0, -0.2)])[1] == 0.0
    assert sharpness_limits([(1.0, 1.0)] * 7 + [(1.0, -0.2)])[0] > 0.3

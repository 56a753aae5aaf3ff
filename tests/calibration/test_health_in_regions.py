"""Frame health where named regions are: what lies inside decides, and the edge of a region hides no blur."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.health import fit_health
from runtime.demo import DemoLine
from runtime.frames import Frame
from runtime.health import HealthCheck
from runtime.interest import Inspected, NamedRegion, RegionsOfInterest, inspected

SIDE = 128
SIZE_HW = (SIDE, SIDE)
ANGLES = np.linspace(0, 2 * np.pi, 24, endpoint=False)


def circle(radius: float) -> Inspected:
    corners = tuple((SIDE / 2 + radius * np.cos(each), SIDE / 2 + radius * np.sin(each)) for each in ANGLES)
    found = inspected(RegionsOfInterest(SIZE_HW, (NamedRegion("middle", (corners,)),)), SIZE_HW)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def parts() -> list[NDArray[np.uint8]]:
    line = DemoLine(0, SIZE_HW)
    return [line.good(number).image for number in range(40)]


@pytest.mark.parametrize("seen", [None, circle(20)], ids=["everywhere", "in a circle"])
def test_blurred_and_empty_frames_are_refused_and_good_ones_are_not(
    parts: list[NDArray[np.uint8]], seen: Inspected | None
) -> None:
    limits = fit_health(parts[:30], SIZE_HW, seen)
    assert all(limits.sharpness_low)
    assert limits.likeness_low > 0

    def said(image: NDArray[np.uint8]) -> str:
        return (HealthCheck(limits, seen).problem(Frame(image, 0), image) or "").partition(":")[0]

    assert [said(image) for image in parts[30:]] == [""] * 10
    blurred = [np.asarray(cv2.GaussianBlur(image, (0, 0), 3.0), np.uint8) for image in parts[30:]]
    assert [said(image) for image in blurred] == ["blurred"] * 10
    for grey in range(60, 160, 20):
        assert said(np.full((*SIZE_HW, 3), grey, np.uint8)) == "no part in view"


def test_what_lies_outside_regions_has_no_part_in_it(parts: list[NDArray[np.uint8]]) -> None:
    seen = circle(45)
    limits, random = fit_health(parts[:30], SIZE_HW, seen), np.random.default_rng(1)
    noise = random.integers(0, 255, (*SIZE_HW, 3), np.uint8)
    for image in parts[30:]:
        other = np.where(seen.mask[:, :, None], image, noise)
        assert HealthCheck(limits, seen).problem(Frame(other, 0), other) is None


def test_a_region_too_small_for_what_is_coarse_sets_no_limit(parts: list[NDArray[np.uint8]]) -> None:
    assert fit_health(parts[:30], SIZE_HW, circle(3)).sharpness_low == (0.0, 0.0)

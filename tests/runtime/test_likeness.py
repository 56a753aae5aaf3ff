"""Likeness of frames to the good images as a whole: parts, an empty belt, another product, and the limit."""

import numpy as np
import pytest
from detector_page import page_function
from numpy.typing import NDArray

from runtime.demo import DemoLine
from runtime.likeness import centred, left_out_likeness, likeness, likeness_limit, pattern

LINE = DemoLine(6, (96, 96), 0.5)
GOOD = [LINE.good(number).image for number in range(20)]
PATTERNS = np.stack([pattern(image) for image in GOOD])


def found(image: NDArray[np.uint8], typical: tuple[float, ...]) -> float:
    return float(likeness(centred(pattern(image)), centred(np.array(typical))))


def test_it_is_what_the_page_says() -> None:
    typical = likeness_limit(PATTERNS)[1]
    assert len(typical) == 192
    for image in (GOOD[0], LINE.empty(3)):
        assert found(image, typical) == pytest.approx(page_function("likeness")(image, typical), abs=1e-6)


def test_parts_are_like_each_other_also_defective_ones_and_an_empty_belt_is_not() -> None:
    limit, typical = likeness_limit(PATTERNS)
    assert 0.5 < limit < left_out_likeness(PATTERNS).min()
    others = [LINE.part(number).image for number in range(100, 130)]
    assert min(found(image, typical) for image in others) > limit + 0.1
    assert max(found(LINE.empty(number), typical) for number in range(100, 110)) < limit - 0.1
    assert found(GOOD[0][::-1, ::-1], typical) > limit  # half a turn is for the scores to see


def test_neither_light_nor_the_colour_of_the_belt_makes_a_frame_like_another() -> None:
    _, typical = likeness_limit(PATTERNS)
    plain = found(GOOD[1], typical)
    assert found((GOOD[1] // 2).astype(np.uint8), typical) == pytest.approx(plain, abs=0.06)
    flat = np.full((96, 96, 3), (90, 40, 160), np.uint8)
    noise = np.random.default_rng(0).normal(0, 6, flat.shape)
    assert found(flat, typical) == 0
    assert abs(found(np.clip(flat + noise, 0, 255).astype(np.uint8), typical)) < 0.2


def test_the_limit_lies_midway_between_the_least_alike_image_and_nothing() -> None:
    limit, typical = likeness_limit(PATTERNS)
    assert (1 - limit) ** 2 == pytest.approx(1 - left_out_likeness(PATTERNS).min())
    np.testing.assert_allclose(typical, PATTERNS.mean(axis=0), atol=0.006)


def test_each_image_is_compared_with_the_mean_of_the_others() -> None:
    for number in (0, 7):
        typical = np.delete(PATTERNS, number, axis=0).mean(axis=0)
        alone = found(GOOD[number], tuple(typical))
        assert left_out_likeness(PATTERNS)[number] == pytest.approx(alone, abs=1e-6)


def test_images_that_have_nothing_in_common_or_are_too_few_set_no_limit() -> None:
    assert likeness_limit(PATTERNS[:7]) == (0.0, ())
    random = np.random.default_rng(0).integers(0, 256, (20, 192)).astype(np.float32)
    assert likeness_limit(random) == (0.0, ())
    assert likeness_limit(np.full((20, 192), 100, np.float32)) == (0.0, ())

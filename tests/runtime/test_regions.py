"""Regions of an anomaly map, against a plain flood fill."""

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.regions import MOST_REGIONS, find_regions


def flood_fill(above: NDArray[np.bool_]) -> list[set[tuple[int, int]]]:
    """Connected sets of pixels, diagonals included."""
    left = {(int(y), int(x)) for y, x in np.argwhere(above)}
    found = []
    while left:
        region, edge = set(), [left.pop()]
        while edge:
            y, x = edge.pop()
            region.add((y, x))
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            edge += near
        found.append(region)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_regions_are_those_of_a_flood_fill(seed: int) -> None:
    values = np.random.default_rng(seed).random((12, 17)).astype(np.float32)
    expected = sorted(flood_fill(values > 0.8), key=lambda region: -max(values[place] for place in region))
    regions = find_regions(values, 0.8, (12, 17))
    assert len(regions) == len(expected)
    for region, pixels in zip(regions, expected, strict=True):
        ys, xs = np.array(sorted(pixels)).T
        peak_y, peak_x = max(pixels, key=lambda place: values[place])
        assert region.area == len(pixels)
        assert region.box_xywh == (xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1)
        assert region.center_xy == pytest.approx((xs.mean(), ys.mean()))
        assert region.peak_xy == (peak_x, peak_y)
        assert region.peak_score == values[peak_y, peak_x]


def test_positions_are_in_pixels_of_the_original_frame() -> None:
    values = np.zeros((10, 10), np.float32)
    values[2, 3] = 1
    (region,) = find_regions(values, 0.5, (20, 40))
    assert region.box_xywh == (12, 4, 4, 2)
    assert region.area == 8
    assert region.center_xy == region.peak_xy == (13.5, 4.5)  # the middle of columns 12 to 15 and rows 4 to 5


def test_a_box_covers_every_pixel_of_an_odd_scale() -> None:
    values = np.ones((7, 7), np.float32)
    (region,) = find_regions(values, 0.5, (100, 33))
    assert region.box_xywh == (0, 0, 33, 100)


def test_no_region_where_nothing_is_above() -> None:
    assert find_regions(np.full((4, 4), 0.5, np.float32), 0.5, (4, 4)) == ()


def test_a_threshold_between_two_values_of_float32_is_not_rounded() -> None:
    """Rounded, 0.1 is the value of the map itself, and the part would be NG without a region."""
    values = np.full((4, 4), np.float32(0.1))
    assert float(values[0, 0]) > 0.1
    assert len(find_regions(values, 0.1, (4, 4))) == 1
    assert find_regions(np.nextafter(values, np.float32(0)), 0.1, (4, 4)) == ()


def test_the_highest_peaks_are_kept_where_there_are_too_many() -> None:
    values = np.zeros((20, 20), np.float32)
    values[::2, ::2] = np.arange(1, 101).reshape(10, 10)
    regions = find_regions(values, 0.5, (20, 20))
    assert [region.peak_score for region in regions] == list(range(100, 100 - MOST_REGIONS, -1))


def test_what_lies_outside_the_region_of_interest_does_not_count() -> None:
    values = np.ones((10, 10), np.float32)
    (region,) = find_regions(values, 0.5, (10, 10), region_of_interest=(2, 3, 4, 5))
    assert region.box_xywh == (3, 2, 5, 4)

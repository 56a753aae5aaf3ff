"""Regions of an anomaly map, against a plain flood fill."""

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.regions import MOST_REGIONS, Found, find_regions
from runtime.scoring import Scoring


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
    regions = find_regions(values, 0.8, (12, 17), Scoring()).regions
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
    (region,) = find_regions(values, 0.5, (20, 40), Scoring()).regions
    assert region.box_xywh == (12, 4, 4, 2)
    assert region.area == 8
    assert region.center_xy == region.peak_xy == (13.5, 4.5)  # the middle of columns 12 to 15 and rows 4 to 5


def test_a_box_covers_every_pixel_of_an_odd_scale() -> None:
    values = np.ones((7, 7), np.float32)
    (region,) = find_regions(values, 0.5, (100, 33), Scoring()).regions
    assert region.box_xywh == (0, 0, 33, 100)


def test_no_region_where_nothing_is_above() -> None:
    assert find_regions(np.full((4, 4), 0.5, np.float32), 0.5, (4, 4), Scoring()) == Found()


def test_a_threshold_between_two_values_of_float32_is_not_rounded() -> None:
    """Rounded, 0.1 is the value of the map itself, and the part would be NG without a region."""
    values = np.full((4, 4), np.float32(0.1))
    assert float(values[0, 0]) > 0.1
    assert len(find_regions(values, 0.1, (4, 4), Scoring()).regions) == 1
    assert find_regions(np.nextafter(values, np.float32(0)), 0.1, (4, 4), Scoring()) == Found()


def test_the_highest_peaks_are_kept_where_there_are_too_many() -> None:
    values = np.zeros((20, 20), np.float32)
    values[::2, ::2] = np.arange(1, 101).reshape(10, 10)
    regions = find_regions(values, 0.5, (20, 20), Scoring()).regions
    assert [region.peak_score for region in regions] == list(range(100, 100 - MOST_REGIONS, -1))


def test_what_lies_outside_the_region_of_interest_does_not_count() -> None:
    values = np.ones((10, 10), np.float32)
    (region,) = find_regions(values, 0.5, (10, 10), Scoring((2, 3, 4, 5))).regions
    assert region.box_xywh == (3, 2, 5, 4)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("smallest", [2, 3.5, 12])
def test_regions_that_are_too_small_are_told_apart(seed: int, smallest: float) -> None:
    values = np.random.default_rng(seed).random((12, 17)).astype(np.float32)
    areas = [len(pixels) * 6 for pixels in flood_fill(values > 0.7)]  # the frame has 3 rows and 2 columns of each pixel
    found = find_regions(values, 0.7, (36, 34), Scoring(smallest_area=smallest * 6))
    small = [area for area in areas if area < smallest * 6]
    assert sorted(region.area for region in found.regions) == sorted(set_of(areas, small))
    assert (found.ignored, found.largest_ignored) == (len(small), max(small, default=0))
    mask = np.zeros(values.shape, bool)
    for pixels in flood_fill(values > 0.7):
        if len(pixels) < smallest:
            mask[tuple(np.array(sorted(pixels)).T)] = True
    if small:
        assert found.ignored_mask is not None
        np.testing.assert_array_equal(found.ignored_mask, mask)
    else:
        assert found.ignored_mask is None


def set_of(areas: list[int], without: list[int]) -> list[int]:
    rest = list(areas)
    for area in without:
        rest.remove(area)
    return rest


def test_a_region_that_counts_is_not_hidden_by_higher_ones_that_do_not() -> None:
    values = np.zeros((20, 20), np.float32)
    values[::2, ::2] = 9
    values[14:18, 14:18] = 1
    assert len(find_regions(values, 0.5, (20, 20), Scoring()).regions) == MOST_REGIONS
    (region,) = find_regions(values, 0.5, (20, 20), Scoring(smallest_area=10)).regions
    assert region.area >= 16


def test_areas_are_in_square_millimetres_where_the_scale_is_known() -> None:
    values = np.zeros((10, 10), np.float32)
    values[2, 3:5] = 1
    scoring = Scoring(mm_per_pixel=0.5, smallest_area=4.0)
    (region,) = find_regions(values, 0.5, (20, 40), scoring).regions
    assert (region.area, region.area_mm2) == (16, 4.0)
    assert find_regions(values, 0.5, (20, 40), Scoring(mm_per_pixel=0.5, smallest_area=4.1)).ignored == 1
    assert find_regions(values, 0.5, (20, 40), Scoring()).regions[0].area_mm2 is None


def test_a_region_of_exactly_the_smallest_area_counts_however_it_is_rounded() -> None:
    values = np.zeros((10, 10), np.float32)
    values[2, 3:6] = 1
    for side in range(1, 200):
        scale = 0.01 * side
        scoring = Scoring(mm_per_pixel=scale, smallest_area=3 * scale * scale * (77 / 10) * (33 / 10))
        assert find_regions(values, 0.5, (77, 33), scoring).ignored == 0


def test_of_a_region_that_the_region_of_interest_cuts_the_part_inside_has_to_be_large_enough() -> None:
    values = np.ones((10, 10), np.float32)
    assert find_regions(values, 0.5, (10, 10), Scoring((2, 3, 4, 5), smallest_area=20)).ignored == 0
    assert find_regions(values, 0.5, (10, 10), Scoring((2, 3, 4, 5), smallest_area=21)).ignored == 1

"""Equations 11 and 12, and the way from a map to a score, against plain NumPy written a second time."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from calibration.maps import Moments, anomaly_map, anomaly_score, normalized, smoothed, upsampled, within
from runtime.scoring import Scoring

Array = NDArray[np.float64]
IMAGES, HEIGHT, WIDTH = 2, 4, 6


def drawn(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).normal(1, 2, shape)


def plain_upsampled(term: Array, size_hw: tuple[int, int], stride: int) -> Array:
    """[h, w] → [H, W]: sample k lies in the middle of pixels s·k … s·k + s − 1; bilinear between, constant beyond."""
    rows, columns = (
        np.array(
            [np.interp(np.arange(length), np.arange(count) * stride + (stride - 1) / 2, unit) for unit in np.eye(count)]
        )
        for count, length in zip(term.shape, size_hw, strict=True)
    )
    found: Array = rows.T @ term @ columns
    return found


@pytest.mark.parametrize("sigma", [0.5, 2.0, 3.5])
def test_smoothing_is_a_gaussian_cut_off_at_three_deviations(sigma: float) -> None:
    maps = drawn(2, 20, 30)
    reach = int(np.ceil(3 * sigma))
    expected = np.stack([gaussian_filter(m, sigma, mode="mirror", radius=reach) for m in maps])
    np.testing.assert_allclose(smoothed(torch.from_numpy(maps), sigma).numpy(), expected, rtol=1e-10)
    assert smoothed(torch.from_numpy(maps), 0.0).numpy().tobytes() == maps.tobytes()


@pytest.mark.parametrize("size_hw", [(32, 40), (29, 35)])
@pytest.mark.parametrize("stride", [1, 2, 4, 8])
def test_upsampling_interpolates_between_the_centres_of_the_samples(stride: int, size_hw: tuple[int, int]) -> None:
    shape = [-(-length // stride) for length in size_hw]
    evidence = drawn(2, 3, *shape)
    found = upsampled(torch.from_numpy(evidence), size_hw, stride).numpy()
    assert found.shape == (2, 3, *size_hw)
    for image, kind in np.ndindex(2, 3):
        expected = plain_upsampled(evidence[image, kind], size_hw, stride)
        np.testing.assert_allclose(found[image, kind], expected, rtol=1e-10, atol=1e-10)


def test_the_map_is_the_weighted_sum_of_evidence_in_deviations() -> None:
    evidence = np.random.default_rng(0).uniform(0, 9, (IMAGES, 3, HEIGHT, WIDTH))
    moments, weights = [Moments(2.0, 0.5), Moments(0.3, 0.1), Moments(7.0, 3.0)], [0.5, 0.25, 2.0]
    expected = (
        0.5 * (evidence[:, 0] - 2.0) / 0.5 + 0.25 * (evidence[:, 1] - 0.3) / 0.1 + 2.0 * (evidence[:, 2] - 7.0) / 3.0
    )
    terms = normalized(torch.from_numpy(evidence), moments)
    np.testing.assert_allclose(terms[:, 1].numpy(), (evidence[:, 1] - 0.3) / 0.1, rtol=1e-12)
    np.testing.assert_allclose(anomaly_map(terms, weights, Scoring()).numpy(), expected, rtol=1e-12)
    smooth = np.stack([gaussian_filter(each, 0.5, mode="mirror", radius=2) for each in expected])
    np.testing.assert_allclose(anomaly_map(terms, weights, Scoring(smoothing=0.5)).numpy(), smooth, rtol=1e-10)


def test_a_lone_kind_is_the_map() -> None:
    evidence = torch.rand(1, 1, HEIGHT, WIDTH)
    terms = normalized(evidence, [Moments(0.5, 0.25)])
    torch.testing.assert_close(anomaly_map(terms, [1.0], Scoring()), (evidence[:, 0] - 0.5) / 0.25)


def test_statistics_keep_their_precision_whatever_the_maps_have() -> None:
    terms = normalized(torch.full((1, 1, 1, 1), 1 / 3, dtype=torch.float64), [Moments(1 / 3, 1.0)])
    assert float(terms) == 0.0  # a mean that was rounded to float32 on the way would leave 1e-8


@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize("region", [None, (1, 2, 3, 3)])
def test_the_score_is_the_mean_of_the_highest_values_in_the_region(
    count: int, region: tuple[int, int, int, int] | None
) -> None:
    maps = drawn(IMAGES, HEIGHT, WIDTH)
    top, left, height, width = region or (0, 0, HEIGHT, WIDTH)
    expected = [sorted(m[top : top + height, left : left + width].ravel())[-count:] for m in maps]
    found = anomaly_score(torch.from_numpy(maps), Scoring(region, score_pixels=count)).numpy()
    np.testing.assert_allclose(found, np.mean(expected, axis=1), rtol=1e-12)


def test_the_score_is_the_maximum_by_default() -> None:
    maps = torch.from_numpy(drawn(IMAGES, HEIGHT, WIDTH))
    assert anomaly_score(maps, Scoring()).tolist() == maps.amax(dim=(1, 2)).tolist()


def test_a_peak_outside_the_region_does_not_count() -> None:
    maps = torch.zeros(1, HEIGHT, WIDTH)
    maps[0, 0, 0], maps[0, 2, 3] = 100, 1
    assert anomaly_score(maps, Scoring((1, 1, 3, 4))).item() == 1
    assert within(maps, (1, 1, 3, 4)).shape == (1, 3 * 4)

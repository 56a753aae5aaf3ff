"""Equations 8 to 12 against plain NumPy, written a second time from the paper."""

import numpy as np
import pytest
import torch
from calibration.scoring import (
    Moments,
    anomaly_map,
    anomaly_score,
    normalized,
    predictive_variance,
    regression_error,
    relative,
    smoothed,
    upsampled,
    within,
)
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Array = NDArray[np.float64]
STUDENTS, IMAGES, DIMENSIONS, HEIGHT, WIDTH = 3, 2, 5, 4, 6


def descriptors(*shape: int) -> Array:
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


def test_the_regression_error_is_equations_8_and_9() -> None:
    students, teacher = descriptors(STUDENTS, IMAGES, DIMENSIONS, HEIGHT, WIDTH), descriptors(IMAGES, DIMENSIONS, 4, 6)
    expected = np.zeros((IMAGES, HEIGHT, WIDTH))
    for n, row, column, d in np.ndindex(IMAGES, HEIGHT, WIDTH, DIMENSIONS):
        mean = sum(students[i, n, d, row, column] for i in range(STUDENTS)) / STUDENTS
        expected[n, row, column] += (mean - teacher[n, d, row, column]) ** 2
    found = regression_error(torch.from_numpy(students), torch.from_numpy(teacher)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_predictive_variance_is_equation_10_as_printed() -> None:
    students = descriptors(STUDENTS, IMAGES, DIMENSIONS, HEIGHT, WIDTH)
    mean_of_squares = (students**2).sum(axis=2).mean(axis=0)
    square_of_mean = (students.mean(axis=0) ** 2).sum(axis=1)
    found = predictive_variance(torch.from_numpy(students)).numpy()
    np.testing.assert_allclose(found, mean_of_squares - square_of_mean, rtol=1e-10)


def test_the_two_pass_variance_survives_large_descriptors_in_single_precision() -> None:
    students = descriptors(STUDENTS, 1, DIMENSIONS, HEIGHT, WIDTH)
    exact = predictive_variance(torch.from_numpy(students))
    moved = predictive_variance(torch.from_numpy(students + 1e4).float())  # the printed form is off by its own size
    torch.testing.assert_close(moved.double(), exact, rtol=2e-3, atol=0)


def test_a_relative_term_is_halved_where_the_descriptor_is_as_large_as_on_average() -> None:
    teacher = np.zeros((1, 128, 1, 3))
    teacher[0, :, 0, 1] = 1  # ‖T‖² = 128, the average of standardized descriptors
    teacher[0, 0, 0, 2] = 16  # 256
    found = relative(torch.full((1, 1, 3), 6.0, dtype=torch.float64), torch.from_numpy(teacher))
    np.testing.assert_allclose(found[0, 0].numpy(), [6, 3, 2], rtol=1e-12)


@pytest.mark.parametrize("sigma", [0.5, 2.0, 3.5])
def test_smoothing_is_a_gaussian_cut_off_at_three_deviations(sigma: float) -> None:
    maps = descriptors(2, 20, 30)
    reach = int(np.ceil(3 * sigma))
    expected = np.stack([gaussian_filter(m, sigma, mode="mirror", radius=reach) for m in maps])
    np.testing.assert_allclose(smoothed(torch.from_numpy(maps), sigma).numpy(), expected, rtol=1e-10)
    assert smoothed(torch.from_numpy(maps), 0.0).numpy().tobytes() == maps.tobytes()


@pytest.mark.parametrize("size_hw", [(32, 40), (29, 35)])
@pytest.mark.parametrize("stride", [1, 2, 4, 8])
def test_upsampling_interpolates_between_the_centres_of_the_samples(stride: int, size_hw: tuple[int, int]) -> None:
    shape = [-(-length // stride) for length in size_hw]
    term = descriptors(*shape)
    found = upsampled(torch.from_numpy(term)[None], size_hw, stride)[0].numpy()
    assert found.shape == size_hw
    np.testing.assert_allclose(found, plain_upsampled(term, size_hw, stride), rtol=1e-10, atol=1e-10)


def test_the_map_is_the_mean_over_scales_of_both_normalized_terms() -> None:
    rng = np.random.default_rng(0)
    terms = rng.uniform(0, 9, (2, 2, IMAGES, HEIGHT, WIDTH))  # scale, term
    moments = [Moments(2.0, 0.5, 0.3, 0.1), Moments(7.0, 3.0, 1.5, 4.0)]
    expected = (
        ((terms[0, 0] - 2.0) / 0.5 + (terms[0, 1] - 0.3) / 0.1)
        + ((terms[1, 0] - 7.0) / 3.0 + (terms[1, 1] - 1.5) / 4.0)
    ) / 2
    pairs = [normalized(torch.from_numpy(e), torch.from_numpy(v), m) for (e, v), m in zip(terms, moments, strict=True)]
    np.testing.assert_allclose(anomaly_map(pairs).numpy(), expected, rtol=1e-12)


def test_a_single_student_leaves_the_variance_out() -> None:
    error = torch.rand(1, HEIGHT, WIDTH)
    pair = normalized(error, None, Moments(0.5, 0.25, None, None))
    assert pair[1] is None
    torch.testing.assert_close(anomaly_map([pair]), (error - 0.5) / 0.25)


@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize("region", [None, (1, 2, 3, 3)])
def test_the_score_is_the_mean_of_the_highest_values_in_the_region(
    count: int, region: tuple[int, int, int, int] | None
) -> None:
    maps = descriptors(IMAGES, HEIGHT, WIDTH)
    top, left, height, width = region or (0, 0, HEIGHT, WIDTH)
    expected = [sorted(m[top : top + height, left : left + width].ravel())[-count:] for m in maps]
    found = anomaly_score(torch.from_numpy(maps), count, region).numpy()
    np.testing.assert_allclose(found, np.mean(expected, axis=1), rtol=1e-12)


def test_the_score_is_the_maximum_by_default() -> None:
    maps = torch.from_numpy(descriptors(IMAGES, HEIGHT, WIDTH))
    assert anomaly_score(maps).tolist() == maps.amax(dim=(1, 2)).tolist()


def test_a_peak_outside_the_region_does_not_count() -> None:
    maps = torch.zeros(1, HEIGHT, WIDTH)
    maps[0, 0, 0], maps[0, 2, 3] = 100, 1
    assert anomaly_score(maps, 1, (1, 1, 3, 4)).item() == 1
    assert within(maps, (1, 1, 3, 4)).shape == (1, 3, 4)

"""Equations 8 to 10 against plain NumPy, written a second time from the paper, and a run's evidence made of them."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from runs import opened

from calibration.methods.students import predictive_variance, regression_error, relative

Array = NDArray[np.float64]
STUDENTS, IMAGES, DIMENSIONS, HEIGHT, WIDTH = 3, 2, 5, 4, 6


def descriptors(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).normal(1, 2, shape)


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


def test_evidence_is_each_receptive_fields_error_before_its_variance(calibrated_run: Path) -> None:
    trained = opened(calibrated_run).trained
    frames = np.random.default_rng(0).integers(0, 256, (2, 32, 36, 3), np.uint8)
    pixels = torch.from_numpy(np.ascontiguousarray(frames[..., ::-1].transpose(0, 3, 1, 2))).float() / 255
    (scale,) = trained.scales  # type: ignore[attr-defined]
    teacher, students = scale.descriptors(pixels, trained.stride)
    expected = [
        relative(term, teacher) for term in (regression_error(students, teacher), predictive_variance(students))
    ]
    found = trained.evidence(frames)
    assert [kind.name for kind in trained.kinds] == ["regression error, p = 33", "predictive variance, p = 33"]
    torch.testing.assert_close(found, torch.stack(expected, dim=1))
    assert found.shape == (2, len(trained.kinds), 4, 5)

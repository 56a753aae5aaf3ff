"""Figures of descriptors where the answer is known."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.teachers.figures import (
    effective_rank,
    eigenvalue_shares,
    figures_of,
    mean_squared_correlation,
)
from train.linear_decoder import LinearDecoder


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_decoder_is_numpys_least_squares() -> None:
    x, y = noise(60, 5) + 3, noise(60, 4, seed=1) - 2
    found = LinearDecoder.fit(x, y)(x)
    design = np.hstack([x.numpy(), np.ones((60, 1))]).astype(np.float64)
    expected = design @ np.linalg.lstsq(design, y.numpy().astype(np.float64), rcond=None)[0]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_a_linear_function_of_the_descriptors_is_explained_on_patches_never_fitted() -> None:
    mixing, x = noise(5, 7, seed=1), noise(300, 5)
    figures = figures_of(x[:200], x[:200] @ mixing + 1, x[200:], x[200:] @ mixing + 1)
    assert figures.explained_variance == pytest.approx(1, abs=1e-9)


def test_descriptors_that_say_half_explain_half() -> None:
    known, hidden = noise(6000, 3), noise(6000, 3, seed=1)
    target = torch.cat([known, hidden], dim=1)
    figures = figures_of(known[:4000], target[:4000], known[4000:], target[4000:])
    assert figures.explained_variance == pytest.approx(0.5, abs=0.03)


def test_descriptors_that_say_nothing_explain_no_more_than_the_mean() -> None:
    x, y = noise(4000, 6), noise(4000, 3, seed=1)
    assert -0.01 < figures_of(x[:3000], y[:3000], x[3000:], y[3000:]).explained_variance <= 0.002


def test_dimensions_that_never_vary_divide_nothing_by_zero() -> None:
    x, y = noise(50, 4), noise(50, 2, seed=1)
    x[:, 1:3] = 7
    figures = figures_of(x, y, x, y)
    assert 0 < figures.explained_variance < 1
    assert math.isfinite(figures.mean_squared_correlation)
    constant = torch.full((50, 4), 2.0)
    assert figures_of(constant, y, constant, y).explained_variance == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("used", "dimensions"), [(1, 8), (3, 8), (8, 8)])
def test_the_effective_rank_is_the_number_of_dimensions_used_alike(used: int, dimensions: int) -> None:
    basis = torch.linalg.qr(noise(20_000, used))[0]  # orthonormal columns: an even spectrum
    turned = basis @ torch.linalg.qr(noise(dimensions, dimensions, seed=1))[0][:used]
    assert effective_rank(eigenvalue_shares(turned)) == pytest.approx(used, rel=1e-3)


def test_the_effective_rank_of_uneven_eigenvalues_is_that_of_the_formula() -> None:
    shares = torch.tensor([0.5, 0.25, 0.25, 0.0], dtype=torch.float64)
    assert effective_rank(shares) == pytest.approx(2**1.5)


def test_the_spectrum_sums_to_1_and_falls() -> None:
    shares = eigenvalue_shares(noise(100, 6) * torch.arange(1, 7) + 5)
    assert float(shares.sum()) == pytest.approx(1)
    assert (shares.diff() <= 0).all()


def test_the_correlation_is_numpys_and_what_never_varies_has_none() -> None:
    x = noise(40, 5) @ noise(5, 5, seed=1) + 2
    correlation = np.corrcoef(x.numpy().astype(np.float64), rowvar=False)
    expected = (np.square(correlation).sum() - 5) / 20
    assert mean_squared_correlation(x) == pytest.approx(expected, rel=1e-5)
    x[:, 0] = 1
    expected = (np.square(correlation[1:, 1:]).sum() - 4) / 20
    assert mean_squared_correlation(x) == pytest.approx(expected, rel=1e-5)

"""Residuals whitened: unit covariance over good images, and equations 8 to 10 as they stand."""

import torch

from train.whitening import SHRINKAGE, fit_whitening, mapped


def residuals(count: int, seed: int, scale: float = 1.0) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    mixed = torch.randn(count, 5, 4, 6, generator=draw)
    mixing = torch.tensor([[3.0, 0, 0, 0, 0], [2, 1, 0, 0, 0], [0, 0, 0.1, 0, 0], [1, 0, 0, 2, 0], [0, 1, 0, 0, 1]])
    return scale * torch.einsum("ij,njhw->nihw", mixing, mixed)


def test_mapped_residuals_have_unit_covariance_but_for_the_shrinkage() -> None:
    found = residuals(200, 0)
    whitening = fit_whitening([[found[:50], found[50:]]])
    rows = mapped(found, whitening).permute(0, 2, 3, 1).flatten(0, 2)
    covariance = rows.T @ rows / len(rows)
    assert whitening.dtype == torch.float32
    off_diagonal = covariance - torch.diag(covariance.diagonal())
    assert float(off_diagonal.abs().max()) < 0.1
    assert float(covariance.diagonal()[0]) > 1 - 2 * SHRINKAGE  # the loudest loses least
    assert float(covariance.diagonal().max()) < 1 / (1 - SHRINKAGE) + 1e-3


def test_each_set_counts_the_same_however_many_images_it_has() -> None:
    many, few = residuals(90, 1), residuals(10, 2, scale=3.0)
    equal = fit_whitening([[many], [few]])
    torch.testing.assert_close(equal, fit_whitening([[many], [few, few]]))
    assert not torch.allclose(equal, fit_whitening([[many, few]]), rtol=0.05)


def test_a_direction_in_which_nothing_errs_stays_finite() -> None:
    found = residuals(20, 3)
    found[:, 2] = 0
    assert bool(fit_whitening([[found]]).isfinite().all())

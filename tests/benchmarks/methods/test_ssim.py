"""SSIM against the formula of Wang et al. 2004, window by window."""

import numpy as np
import pytest
import torch

from benchmarks.methods.ssim import dissimilarity_map, ssim
from runtime.errors import InputError


def plain_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Of two windows, from means, variances and covariance."""
    c1, c2 = 0.01**2, 0.03**2
    covariance = ((a - a.mean()) * (b - b.mean())).mean()
    numerator = (2 * a.mean() * b.mean() + c1) * (2 * covariance + c2)
    return float(numerator / ((a.mean() ** 2 + b.mean() ** 2 + c1) * (a.var() + b.var() + c2)))


def test_every_window_is_that_of_the_formula() -> None:
    draw = np.random.default_rng(0)
    a, b = draw.uniform(size=(2, 3, 9, 8)), draw.uniform(size=(2, 3, 9, 8))
    found = ssim(torch.tensor(a), torch.tensor(b), 5)
    assert found.shape == (2, 3, 5, 4)
    for image, channel, row, column in [(0, 0, 0, 0), (1, 2, 4, 3), (0, 1, 2, 1)]:
        window = (image, channel, slice(row, row + 5), slice(column, column + 5))
        assert float(found[image, channel, row, column]) == pytest.approx(plain_ssim(a[window], b[window]), abs=1e-9)


def test_an_image_is_wholly_similar_to_itself_and_dissimilar_to_its_negative() -> None:
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert dissimilarity_map(image, image, 7).abs().max() < 1e-5
    assert dissimilarity_map(image, 1 - image, 7).min() > 1


@pytest.mark.parametrize("window", [4, 5])
def test_the_map_has_the_images_size_and_puts_a_window_at_its_centre(window: int) -> None:
    a = torch.full((1, 3, 20, 20), 0.5)
    b = a.clone()
    b[..., 10, 12] = 1.0
    found = dissimilarity_map(a, b, window)
    assert found.shape == (1, 20, 20)
    rows, columns = torch.nonzero(found[0] > 1e-3, as_tuple=True)
    assert abs(float(rows.float().mean()) - 10) <= 0.5
    assert abs(float(columns.float().mean()) - 12) <= 0.5


def test_a_window_larger_than_the_image_is_refused() -> None:
    with pytest.raises(InputError, match="a window of 11 pixels does not fit into 8×8"):
        ssim(torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8))

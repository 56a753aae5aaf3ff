"""Residuals whitened: how far a student errs, in deviations of how it errs on good parts.

*Uninformed Students* takes a student's output as the mean of a Gaussian whose covariance is one constant (section 3.2),
so that the error is a plain sum of squares (equation 8). But students err along with each other in some directions of
the descriptor, and hardly at all in others, and an error there is the one that tells. Here the covariance is that of
the residuals of good images, and the error is Mahalanobis'. It is a linear map of descriptors, so that equations 8 to
10 stand as they are, of descriptors that were mapped.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

SHRINKAGE = 0.01  # of the covariance, towards the mean of its diagonal


def fit_whitening(sets: Sequence[Iterable[Tensor]]) -> Tensor:
    """The map W float32 [D, D] by which residuals [N, D, h, w] over sets of images have unit covariance, W r.

    The residuals' mean is left in: it is what a student gets wrong everywhere, and so is no sign of anything, but
    small. Each set counts the same; sums are in float64.
    """
    moments = torch.stack([_moment(each) for each in sets]).mean(dim=0)
    dimensions = len(moments)
    shrunk = (1 - SHRINKAGE) * moments + SHRINKAGE * moments.diagonal().mean() * torch.eye(dimensions).double()
    factor = torch.linalg.cholesky(shrunk)
    whitening: Tensor = torch.linalg.solve_triangular(factor, torch.eye(dimensions).double(), upper=False)
    return whitening.float()


def _moment(residuals: Iterable[Tensor]) -> Tensor:
    total, count = torch.zeros(()).double(), 0
    for each in residuals:
        rows = each.permute(0, 2, 3, 1).flatten(0, 2).double().cpu()
        total, count = total + rows.T @ rows, count + len(rows)
    return total / count


def mapped(descriptors: Tensor, whitening: Tensor) -> Tensor:
    """W d of descriptors [N, D, h, w]."""
    return torch.nn.functional.conv2d(descriptors, whitening[:, :, None, None])

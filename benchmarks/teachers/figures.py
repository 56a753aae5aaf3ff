"""Figures of one teacher's descriptors: what they keep of P's, and how many dimensions they really use.

A shipped teacher has no decoder D, and a self-supervised one never had any. Here the best linear D is found in closed
form, so that any teacher is measured alike, one of random weights too.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from train.held_out import unexplained_variance
from train.linear_decoder import LinearDecoder


@dataclass(frozen=True)
class DescriptorFigures:
    """`explained_variance` is the share of the variance of P's output, on held-out patches, that the best linear
    decoder of the training patches explains: 1 at best, 0 or just below for the mean.

    `spectrum` holds the eigenvalues [d] of the descriptors' covariance, largest first, as shares of their sum;
    `effective_rank` is how many dimensions they amount to (Roy and Vetterli, EUSIPCO 2007), from 1 to d;
    `mean_squared_correlation` is that of two different dimensions, what equation 5 presses down, and about 1/N by
    chance.
    """

    explained_variance: float
    effective_rank: float
    mean_squared_correlation: float
    spectrum: tuple[float, ...]


def figures_of(
    training: Tensor, training_target: Tensor, held_out: Tensor, held_out_target: Tensor
) -> DescriptorFigures:
    """The figures of descriptors [N, d] with P's output [N, D]; spectrum and correlation are of the held-out ones."""
    decoder = LinearDecoder.fit(training, training_target)
    spectrum = eigenvalue_shares(held_out)
    return DescriptorFigures(
        explained_variance=1 - unexplained_variance(decoder(held_out), held_out_target.double()),
        effective_rank=effective_rank(spectrum),
        mean_squared_correlation=mean_squared_correlation(held_out),
        spectrum=tuple(spectrum.tolist()),
    )


def eigenvalue_shares(descriptors: Tensor) -> Tensor:
    """Eigenvalues of the covariance of `descriptors` [N, d], largest first, as shares of their sum."""
    centred = descriptors.double() - descriptors.double().mean(dim=0)
    values: Tensor = torch.linalg.eigvalsh(centred.T @ centred).flip(0).clamp(min=0)
    return values / values.sum().clamp(min=torch.finfo(values.dtype).tiny)


def effective_rank(shares: Tensor) -> float:
    """exp of the entropy of shares that sum to 1."""
    return float(torch.special.entr(shares).sum().exp())


def mean_squared_correlation(descriptors: Tensor) -> float:
    """Mean of the squared off-diagonal correlations of `descriptors` [N, d]; a dimension that never varies has none."""
    centred = descriptors.double() - descriptors.double().mean(dim=0)
    norm = centred.norm(dim=0)
    unit = centred / torch.where(norm > 0, norm, torch.ones_like(norm))
    squares = (unit.T @ unit).square()
    dimensions = len(squares)
    return float((squares.sum() - squares.diagonal().sum()) / (dimensions * (dimensions - 1)))

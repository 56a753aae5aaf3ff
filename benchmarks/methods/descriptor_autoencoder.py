"""ℓ2-AE: how badly an autoencoder reconstructs a descriptor (*Uninformed Students*, CVPR 2020, Tables 1 and 2).

Ours: fully connected layers with leaky ReLUs, the size of the latent vector, descriptors standardized before, how many
of them are trained on, a number of steps in place of epochs, and the stride. Without PCA: the bottleneck is one
already. None of it was checked against the paper's text, which was not at hand.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.methods.base import Scores, Setting, fitted
from benchmarks.methods.bounds import above_zero, at_least
from benchmarks.methods.descriptors import VectorModel, Vectors
from benchmarks.methods.training import WEIGHTS, minimize, seeded
from train.descriptor import Standardization
from train.networks import LEAKY_SLOPE


@dataclass(frozen=True)
class Options:
    """Options of the autoencoder."""

    samples: int = 50_000  # descriptors it is trained on
    stride: int = 4  # every s-th position is scored
    hidden: int = 128
    latent: int = 32
    steps: int = 5_000
    batch_size: int = 256
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        at_least(self, hidden=1, latent=1, steps=1, batch_size=1)
        above_zero(self, "learning_rate")


def dense_layers(*sizes: int) -> nn.Sequential:
    """Fully connected layers of the given sizes, a leaky ReLU after each but the last."""
    layers: list[nn.Module] = []
    for size_in, size_out in pairwise(sizes):
        layers += [nn.Linear(size_in, size_out), nn.LeakyReLU(LEAKY_SLOPE)]
    return nn.Sequential(*layers[:-1])


class VectorAutoencoder:
    """The squared distance, over the number of dimensions, between a standardized vector and its reconstruction."""

    def __init__(self, options: Options, setting: Setting) -> None:
        self.options, self.setting = options, setting
        self.network: nn.Module | None = None

    def fit(self, vectors: Vectors) -> None:
        """See `VectorModel`. Raises `InputError` when the training diverges."""
        options, seed = self.options, self.setting.seed
        data = torch.from_numpy(vectors).to(self.setting.device)
        self.standardization = Standardization.of(data)
        data, size = self.standardization(data), data.shape[1]
        with seeded(seed, WEIGHTS):
            network = dense_layers(size, options.hidden, options.latent, options.hidden, size).to(data.device)

        def loss(indices: Tensor, step: int) -> Tensor:
            batch = data[indices.to(data.device)]
            return reconstruction_error(batch, network(batch)).mean()

        minimize(
            loss, network.parameters(), len(data), steps=options.steps, batch_size=options.batch_size,
            learning_rate=options.learning_rate, seed=seed, name="l2-ae",
        )  # fmt: skip
        self.network = network.eval()

    @torch.no_grad()
    def scores(self, vectors: Vectors) -> Scores:
        """See `VectorModel`."""
        network = fitted(self.network)
        data = self.standardization(torch.from_numpy(vectors).to(self.setting.device))
        return np.asarray(reconstruction_error(data, network(data)).cpu().numpy(), np.float32)


def reconstruction_error(data: Tensor, reconstructed: Tensor) -> Tensor:
    """Mean square over the dimensions, [n], of vectors [n, d]."""
    return (data - reconstructed).square().mean(dim=1)


def model(options: Options, setting: Setting) -> VectorModel:
    """The model of descriptors; the registry applies it to frames."""
    return VectorAutoencoder(options, setting)

"""VAE: `benchmarks.methods.descriptor_autoencoder` with a random latent vector (Kingma and Welling, ICLR 2014).

The score is the expected squared error over `draws` from the encoder's posterior, which is the reconstruction
probability of An and Cho (2015) for a decoder of constant deviation. That deviation (`deviation`, in units of the
standardized descriptor) and the draws are ours, besides all that the autoencoder says of its source and of itself.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.methods.base import Scores, Setting, fitted
from benchmarks.methods.bounds import above_zero, at_least
from benchmarks.methods.descriptor_autoencoder import dense_layers, reconstruction_error
from benchmarks.methods.descriptors import VectorModel, Vectors
from benchmarks.methods.training import NOISE, WEIGHTS, minimize, seeded
from train.descriptor import Standardization
from train.seeds import generator


@dataclass(frozen=True)
class Options:
    """Options of the VAE."""

    samples: int = 50_000  # descriptors it is trained on
    stride: int = 4  # every s-th position is scored
    hidden: int = 128
    latent: int = 32
    deviation: float = 0.3  # of the decoder's Gaussian
    draws: int = 5  # from the posterior, for each score
    steps: int = 5_000
    batch_size: int = 256
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        at_least(self, hidden=1, latent=1, draws=1, steps=1, batch_size=1)
        above_zero(self, "deviation", "learning_rate")


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) ‖ N(0, 1)), [n], of a diagonal posterior [n, z] (Kingma and Welling, appendix B)."""
    return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(dim=1)


class VectorVAE:
    """A VAE of standardized vectors."""

    def __init__(self, options: Options, setting: Setting) -> None:
        self.options, self.setting = options, setting
        self.networks: tuple[nn.Module, nn.Module] | None = None

    def fit(self, vectors: Vectors) -> None:
        """See `VectorModel`. Raises `InputError` when the training diverges."""
        options, seed = self.options, self.setting.seed
        data = torch.from_numpy(vectors).to(self.setting.device)
        self.standardization = Standardization.of(data)
        data, size = self.standardization(data), data.shape[1]
        with seeded(seed, WEIGHTS):
            encoder = dense_layers(size, options.hidden, 2 * options.latent).to(data.device)
            decoder = dense_layers(options.latent, options.hidden, size).to(data.device)

        def loss(indices: Tensor, step: int) -> Tensor:
            """The negated evidence lower bound, less a constant."""
            batch = data[indices.to(data.device)]
            mean, log_variance = encoder(batch).chunk(2, dim=1)
            noise = torch.randn(mean.shape, generator=generator(seed, NOISE, step)).to(mean)
            error = reconstruction_error(batch, decoder(mean + (log_variance / 2).exp() * noise))
            return (error * size / (2 * options.deviation**2) + divergence(mean, log_variance)).mean() / size

        minimize(
            loss, [*encoder.parameters(), *decoder.parameters()], len(data), steps=options.steps,
            batch_size=options.batch_size, learning_rate=options.learning_rate, seed=seed, name="vae",
        )  # fmt: skip
        self.networks = encoder.eval(), decoder.eval()

    @torch.no_grad()
    def scores(self, vectors: Vectors) -> Scores:
        """See `VectorModel`. The draws' noise is the same for every vector, so that a score depends on it alone."""
        encoder, decoder = fitted(self.networks)
        data = self.standardization(torch.from_numpy(vectors).to(self.setting.device))
        mean, log_variance = encoder(data).chunk(2, dim=1)
        errors = torch.zeros(len(data), device=data.device)
        for draw in range(self.options.draws):
            noise = torch.randn(mean.shape[1], generator=generator(self.setting.seed, NOISE, 1 << 30, draw)).to(mean)
            errors += reconstruction_error(data, decoder(mean + (log_variance / 2).exp() * noise))
        return np.asarray((errors / self.options.draws).cpu().numpy(), np.float32)


def model(options: Options, setting: Setting) -> VectorModel:
    """The model of descriptors; the registry applies it to frames."""
    return VectorVAE(options, setting)

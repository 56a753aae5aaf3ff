"""A convolutional autoencoder with the mean squared error, and the threshold that goes with it in practice.

The network is that of `patch_autoencoder`. The score of a frame is the mean squared error of all its pixels, and the
threshold is the good frames' mean plus three standard deviations. It is fitted on frames that were trained on too,
which is the usual practice, and puts it low; the tables rank scores and do not need it.
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from benchmarks.methods.base import Frames, MapMethod, Maps, Scores, Setting, fitted
from benchmarks.methods.patch_autoencoder import PatchAutoencoder, PatchOptions

DEVIATIONS = 3.0


@dataclass(frozen=True)
class Options(PatchOptions):
    """Options of the autoencoder."""


class SquaredErrorAutoencoder(MapMethod):
    """An autoencoder with a threshold of its own."""

    def __init__(self, options: PatchOptions, seed: int, device: str = "cpu") -> None:
        self.autoencoder = PatchAutoencoder(options, _loss, _residual, seed, device)
        self.limit: float | None = None

    def fit(self, good: Frames) -> None:
        """See `Method`."""
        self.autoencoder.fit(good)
        scores = self.scores(self.maps(good)).astype(np.float64)
        self.limit = float(scores.mean() + DEVIATIONS * scores.std())

    def maps(self, frames: Frames) -> Maps:
        """See `MapMethod`: the squared error, averaged over the channels."""
        return self.autoencoder.maps(frames)

    def scores(self, maps: Maps) -> Scores:
        """The mean squared error of each frame."""
        return np.asarray(maps.mean(axis=(1, 2)), np.float32)

    @property
    def threshold(self) -> float:
        """The good frames' mean score plus three deviations; above it a frame would be rejected."""
        return fitted(self.limit)


def _loss(reconstructed: Tensor, patches: Tensor) -> Tensor:
    return (reconstructed - patches).square().mean()


def _residual(reconstructed: Tensor, patches: Tensor) -> Tensor:
    return (reconstructed - patches).square().mean(dim=1)


def make(options: Options, setting: Setting) -> SquaredErrorAutoencoder:
    """The method."""
    return SquaredErrorAutoencoder(options, setting.seed, setting.device)

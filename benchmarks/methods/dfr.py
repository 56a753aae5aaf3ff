"""DFR (Shi, Yang and Qi, *Unsupervised Anomaly Segmentation via Deep Feature Reconstruction*, Neurocomputing 2021;
arXiv 2012.07122).

Multi-scale regional features: every stage is enlarged to the frame, averaged over 4×4 pixels at a stride of 4, and all
are concatenated. A 1×1 convolutional autoencoder learns to reconstruct them; its latent size is the number of
principal components that explain 90 % of the variance. The squared error, averaged over the channels, is the map.

Deviations: ResNet-18's stages in place of VGG-19's layers; a step takes `batch_size` regions drawn from all frames in
place of a few whole frames, since 1×1 convolutions see no neighbours, at a rate of 1e-3 (1e-4); steps in place of
epochs; features are standardized by channel (ours); the bilinear enlargements, of stages and of the map, do not align
the corners.

Checked against the authors' code (github.com/YoungGod/DFR): the regions, the layers of the autoencoder, 90 %, the
error, and what is said above to differ. Their twelve layers are those before VGG-19's last block.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.methods.base import Frames, MapMethod, Maps, Setting, at_frame_size, check_frames, fitted
from benchmarks.methods.bounds import above_zero, at_least, proper_shares
from benchmarks.methods.descriptor_autoencoder import reconstruction_error
from benchmarks.methods.descriptors import Vectors, as_vectors, sample_vectors
from benchmarks.methods.features import Extractor, ResNetStages, Stages, kept
from benchmarks.methods.training import WEIGHTS, minimize, seeded
from train.descriptor import Standardization


@dataclass(frozen=True)
class Options:
    """Options of DFR."""

    layers: tuple[str, ...] = ("layer1", "layer2", "layer3")
    region: int = 4  # side and stride of the averaged regions, pixels
    explained: float = 0.9  # share of the variance that the latent size stands for
    samples: int = 100_000  # regional features kept to train on
    steps: int = 3_000
    batch_size: int = 1_024
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        at_least(self, region=1, samples=2, steps=1, batch_size=2)
        above_zero(self, "learning_rate")
        proper_shares(self, "explained")


class RegionalFeatures:
    """Stages at the frame's size, averaged over regions: float32 [n, C, H / region, W / region]."""

    def __init__(self, stages: Stages, names: Sequence[str], region: int) -> None:
        self.stages, self.names, self.region = stages, tuple(names), region
        self.identity = f"regions of {region} of {','.join(names)} of {stages.identity}"

    def __call__(self, frames: Frames) -> Tensor:
        """See `Extractor`."""
        maps = self.stages(frames, self.names)
        size = frames.shape[1:3]
        return torch.cat([self._averaged(x, (int(size[0]), int(size[1]))) for x in maps], dim=1).cpu()

    def _averaged(self, x: Tensor, size_hw: tuple[int, int]) -> Tensor:
        enlarged = functional.interpolate(x, size_hw, mode="bilinear", align_corners=False)
        return functional.avg_pool2d(enlarged, self.region, ceil_mode=True, count_include_pad=False)


def latent_size(vectors: Vectors, explained: float) -> int:
    """The fewest principal components whose variances sum to a share `explained` of the whole."""
    variances = np.linalg.eigvalsh(np.cov(vectors.astype(np.float64), rowvar=False))[::-1].clip(min=0)
    return int(np.searchsorted(np.cumsum(variances) / variances.sum(), explained)) + 1


def autoencoder(channels: int, latent: int) -> nn.Sequential:
    """The paper's layers on vectors, where a 1×1 convolution is a fully connected layer: C, (C + 2z)/2, 2z, z and back,
    batch norm and ReLU after each but the latent and the last."""
    sizes = [channels, (channels + 2 * latent) // 2, 2 * latent, latent]
    sizes += sizes[-2::-1]
    layers: list[nn.Module] = []
    for index in range(len(sizes) - 1):
        layers.append(nn.Linear(sizes[index], sizes[index + 1]))
        if index not in (2, len(sizes) - 2):
            layers += [nn.BatchNorm1d(sizes[index + 1]), nn.ReLU()]
    return nn.Sequential(*layers)


class DeepFeatureReconstruction(MapMethod):
    """An autoencoder of regional features."""

    def __init__(self, extractor: Extractor, options: Options, seed: int, device: str = "cpu") -> None:
        self.extractor, self.options, self.seed, self.device = extractor, options, seed, device
        self.size_hw: tuple[int, int] | None = None

    def fit(self, good: Frames) -> None:
        """See `Method`. Raises `InputError` when the training diverges."""
        size_hw, options = check_frames(good), self.options
        vectors = sample_vectors(self.extractor, good, options.samples, self.seed)
        data = torch.from_numpy(vectors).to(self.device)
        self.standardization = Standardization.of(data)
        data = self.standardization(data)
        self.latent = latent_size(data.cpu().numpy(), options.explained)
        with seeded(self.seed, WEIGHTS):
            network = autoencoder(data.shape[1], self.latent).to(self.device)

        def loss(indices: Tensor, step: int) -> Tensor:
            batch = data[indices.to(data.device)]
            return reconstruction_error(batch, network(batch)).mean()

        minimize(
            loss, network.parameters(), len(data), steps=options.steps, batch_size=options.batch_size,
            learning_rate=options.learning_rate, seed=self.seed, name="dfr",
        )  # fmt: skip
        self.network, self.size_hw = network.eval(), size_hw

    @torch.no_grad()
    def maps(self, frames: Frames) -> Maps:
        """See `MapMethod`."""
        size_hw = fitted(self.size_hw)
        check_frames(frames, size_hw)
        return np.concatenate([self._map(frame, size_hw) for frame in frames])

    def _map(self, frame: Frames, size_hw: tuple[int, int]) -> Maps:
        features = self.extractor(frame[None])
        data = self.standardization(torch.from_numpy(as_vectors(features)).to(self.device))
        error = reconstruction_error(data, self.network(data))
        return at_frame_size(error.reshape(1, *features.shape[2:]), size_hw)


def make(options: Options, setting: Setting) -> MapMethod:
    """The method over ResNet-18."""
    extractor = kept(RegionalFeatures(ResNetStages(setting), options.layers, options.region), setting)
    return DeepFeatureReconstruction(extractor, options, setting.seed, setting.device)

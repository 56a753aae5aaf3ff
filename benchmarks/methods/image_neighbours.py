"""k-NN of whole images: the mean distance to the nearest good images in pooled ResNet features.

After Nazare et al. 2018 and Bergman et al. 2020 (DN2), which take the last layer's. Here the stages named are pooled
over the image, each column is standardized over the good images, and the columns that vary most before that are kept:
they carry the signal, and a column that hardly varies would be all noise once standardized. Images only: it has no map.
It has no random part.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks.methods.base import Frames, Inspected, Method, Setting, check_frames, fitted
from benchmarks.methods.bounds import at_least
from benchmarks.methods.features import Extractor, ResNetStages, Stages, kept
from runtime.errors import InputError
from train.descriptor import Standardization
from train.neighbours import nearest


@dataclass(frozen=True)
class Options:
    """Options of k-NN."""

    layers: tuple[str, ...] = ("layer2", "layer3")
    neighbours: int = 2
    columns: int = 256  # those of highest variance

    def __post_init__(self) -> None:
        at_least(self, neighbours=1, columns=1)


class PooledFeatures:
    """The mean of each channel over the image, float32 [n, C, 1, 1]."""

    def __init__(self, stages: Stages, names: tuple[str, ...]) -> None:
        self.stages, self.names = stages, names
        self.identity = f"pooled {','.join(names)} of {stages.identity}"

    def __call__(self, frames: Frames) -> Tensor:
        """See `Extractor`."""
        maps = self.stages(frames, self.names)
        return torch.cat([x.mean(dim=(2, 3), keepdim=True) for x in maps], dim=1).cpu()


class ImageNeighbours(Method):
    """Good images as points."""

    def __init__(self, extractor: Extractor, options: Options) -> None:
        self.extractor, self.options = extractor, options
        self.size_hw: tuple[int, int] | None = None

    def fit(self, good: Frames) -> None:
        """See `Method`. Raises `InputError` for a single frame, which has no deviation."""
        size_hw = check_frames(good)
        if len(good) < 2:
            raise InputError("k-NN got one good frame; expected 2 or more, to standardize features")
        features = self._pooled(good)
        self.columns = features.var(dim=0).argsort(descending=True, stable=True)[: self.options.columns]
        self.standardization = Standardization.of(features[:, self.columns])
        self.bank = self.standardization(features[:, self.columns])
        self.size_hw = size_hw

    def inspect(self, frames: Frames) -> Inspected:
        """See `Method`."""
        check_frames(frames, fitted(self.size_hw))
        queries = self.standardization(self._pooled(frames)[:, self.columns])
        distances, _ = nearest(queries, self.bank, self.options.neighbours)
        return Inspected(None, np.asarray(distances.mean(dim=1).numpy(), np.float32))

    def _pooled(self, frames: Frames) -> Tensor:
        return torch.cat([self.extractor(frame[None])[:, :, 0, 0] for frame in frames])


def make(options: Options, setting: Setting) -> Method:
    """The method over ResNet-18."""
    return ImageNeighbours(kept(PooledFeatures(ResNetStages(setting), options.layers), setting), options)

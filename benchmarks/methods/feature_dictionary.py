"""CNN feature dictionary (Napoletano, Piccoli and Schettini, *Anomaly Detection in Nanofibrous Materials by CNN-Based
Self-Similarity*, Sensors 2018).

Patches are described by a ResNet-18's pooled features, divided by their sum and reduced by PCA to 95 % of the variance.
K-Means makes clusters of good ones, and the feature nearest to each centre enters the dictionary. A patch is as
abnormal as its mean distance to its nearest entries.

Deviations: features are pooled where the backbone allows (`resnet18-layer23` has no last layer); a map is interpolated
between the centres of the patches, where the paper averages over those that cover a pixel; patches enter the network at
64 pixels, not at its own 224. The number of patches that are clustered (`samples`) is ours.

Checked against the paper's section 6: ResNet-18, 512 pooled features, the L1 norm, 95 %, and dictionaries of 10 to
1,000 entries. Bergmann et al. (*MVTec AD*, CVPR 2019, section 4.1.3), whose figures their later papers print, take ten
entries, as here, and patches of 16×16 pixels every 4, which would be sixteen times as many as here. Not checked: the
number of neighbours that are averaged (here the nearest alone), and the averaged map.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.methods.base import Frames, MapMethod, Maps, Setting, at_frame_size, check_frames, fitted
from benchmarks.methods.bounds import at_least, proper_shares
from benchmarks.methods.clusters import cluster_centres
from benchmarks.methods.descriptors import Vectors, as_vectors, sample_vectors
from benchmarks.methods.features import Extractor, kept
from benchmarks.methods.patch_features import PatchFeatures, pooled_stages
from train.neighbours import nearest


@dataclass(frozen=True)
class Options:
    """Options of the dictionary."""

    patch: int = 32  # side, pixels
    stride: int = 16  # between patches
    input_size: int = 64  # side at which patches enter the network
    entries: int = 10  # of the dictionary
    neighbours: int = 1  # entries whose distances are averaged
    samples: int = 10_000  # patches that are clustered
    explained: float = 0.95  # share of the variance that PCA keeps

    def __post_init__(self) -> None:
        at_least(self, input_size=1, entries=1, neighbours=1, samples=2)
        proper_shares(self, "explained")


class FeatureDictionary(MapMethod):
    """A dictionary of good patches."""

    def __init__(self, extractor: Extractor, options: Options, seed: int) -> None:
        self.extractor, self.options, self.seed = extractor, options, seed
        self.size_hw: tuple[int, int] | None = None
        self.pca: Any = None

    def fit(self, good: Frames) -> None:
        """See `Method`. Raises `InputError` for fewer patches than entries."""
        from sklearn.decomposition import PCA

        size_hw, options = check_frames(good), self.options
        vectors = sample_vectors(self.extractor, good, options.samples, self.seed)
        self.pca = PCA(options.explained, svd_solver="full").fit(vectors)
        reduced = self._reduced(vectors)
        centres = torch.from_numpy(cluster_centres(reduced.numpy(), options.entries, self.seed))
        _, members = nearest(centres, reduced, 1)
        self.entries = reduced[members[:, 0]]
        self.size_hw = size_hw

    def maps(self, frames: Frames) -> Maps:
        """See `MapMethod`."""
        size_hw = fitted(self.size_hw)
        check_frames(frames, size_hw)
        return np.concatenate([self._map(frame, size_hw) for frame in frames])

    def _map(self, frame: Frames, size_hw: tuple[int, int]) -> Maps:
        features = self.extractor(frame[None])
        distances, _ = nearest(self._reduced(as_vectors(features)), self.entries, self.options.neighbours)
        return at_frame_size(distances.mean(dim=1).reshape(1, *features.shape[2:]), size_hw)

    def _reduced(self, vectors: Vectors) -> Tensor:
        return torch.from_numpy(np.asarray(self.pca.transform(vectors), np.float32))


def make(options: Options, setting: Setting) -> MapMethod:
    """The method over ResNet-18."""
    describe, identity = pooled_stages(setting, options.input_size)

    def of_unit_norm(patches: Tensor) -> Tensor:
        return functional.normalize(describe(patches), p=1.0, dim=1)

    extractor = PatchFeatures(
        of_unit_norm, f"{identity}, of unit L1 norm", options.patch, options.stride, setting.device
    )
    return FeatureDictionary(kept(extractor, setting), options, setting.seed)

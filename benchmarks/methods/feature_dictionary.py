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

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.methods.base import Frames, MapMethod, Maps, Setting, as_pixels, at_frame_size, check_frames, fitted
from benchmarks.methods.clusters import cluster_centres
from benchmarks.methods.descriptors import Vectors, as_vectors, sample_vectors
from benchmarks.methods.features import Extractor, kept
from benchmarks.methods.neighbours import nearest
from runtime.errors import InputError

CHUNK = 256  # patches described at once


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


class PatchFeatures:
    """A descriptor of each `stride`-th patch, float32 [n, C, ceil(H / stride), ceil(W / stride)].

    The patch is centred in the pixels that it stands for; borders are reflected. `describe` turns patches [b, 3, p, p],
    RGB in [0, 1], into vectors [b, C].
    """

    def __init__(
        self, describe: Callable[[Tensor], Tensor], identity: str, patch: int, stride: int, device: str = "cpu"
    ) -> None:
        if not 1 <= stride <= patch:
            raise InputError(f"stride is {stride}; expected 1 to {patch}, the side of a patch")
        self.describe, self.patch, self.stride, self.device = describe, patch, stride, device
        self.identity = f"patches of {patch} every {stride} by {identity}"

    @torch.no_grad()
    def __call__(self, frames: Frames) -> Tensor:
        """See `Extractor`. Raises `InputError` for frames too small to reflect."""
        return torch.stack([self._described(pixels) for pixels in as_pixels(frames, self.device)]).cpu()

    def _described(self, pixels: Tensor) -> Tensor:
        rows, columns = (-(-length // self.stride) for length in pixels.shape[1:])
        before = (self.patch - self.stride) // 2
        behind = [
            (count - 1) * self.stride + self.patch - before - length
            for count, length in zip((rows, columns), pixels.shape[1:], strict=True)
        ]
        if max(before, *behind) >= min(pixels.shape[1:]):
            raise InputError(f"patches of {self.patch} pixels are too large for frames of {list(pixels.shape[1:])}")
        padded = functional.pad(pixels[None], (before, behind[1], before, behind[0]), mode="reflect")[0]
        windows = padded.unfold(1, self.patch, self.stride).unfold(2, self.patch, self.stride)  # [3, h, w, p, p]
        patches = windows.permute(1, 2, 0, 3, 4).reshape(-1, 3, self.patch, self.patch)
        vectors = torch.cat([self.describe(chunk) for chunk in torch.split(patches, CHUNK)])
        return vectors.T.reshape(-1, rows, columns)


class FeatureDictionary(MapMethod):
    """A dictionary of good patches."""

    def __init__(self, extractor: Extractor, options: Options, seed: int) -> None:
        if options.neighbours < 1 or options.entries < 1:
            raise InputError(f"{options}; expected entries and neighbours of 1 or more")
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
    from train.data import file_sha256
    from train.descriptor import DescriptorNetwork

    network = DescriptorNetwork(setting.backbone, options.input_size, setting.weights).to(setting.device)
    source = file_sha256(setting.weights) if setting.weights else "torchvision"
    identity = f"{setting.backbone} {source} at {options.input_size}, of unit L1 norm"

    def describe(patches: Tensor) -> Tensor:
        return functional.normalize(network(patches), p=1.0, dim=1)

    extractor = PatchFeatures(describe, identity, options.patch, options.stride, setting.device)
    return FeatureDictionary(kept(extractor, setting), options, setting.seed)

"""Methods over the teacher's descriptors: what scores a vector scores every position of an image.

*Uninformed Students* (Bergmann et al., CVPR 2020, sections 4.1 and 4.2) compares itself with shallow models and with
autoencoders that see the same teacher. `VectorModel` is such a model; `DescriptorMethod` applies it to every position
of a frame (Table 1), or to the one descriptor of an image as small as a patch (Table 2).
"""

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from benchmarks.methods.base import (
    Frames,
    MapMethod,
    Maps,
    Scores,
    Setting,
    as_pixels,
    at_frame_size,
    check_frames,
    fitted,
)
from benchmarks.methods.features import Extractor, kept
from benchmarks.methods.training import SAMPLE
from runtime.errors import InputError
from train.seeds import generator

if TYPE_CHECKING:
    from train.networks import PatchNetwork

Vectors = NDArray[np.float32]  # [n, d]


class VectorModel(Protocol):
    """A model of good vectors. For `n` vectors of `d` dimensions, float32 [n, d]."""

    def fit(self, vectors: Vectors) -> None:
        """Learn from good vectors."""

    def scores(self, vectors: Vectors) -> Scores:
        """How anomalous each is, float32 [n]."""


class TeacherDescriptors:
    """A teacher's descriptors at every `stride`-th position, float32 [n, 128, ceil(H/s), ceil(W/s)]."""

    def __init__(self, setting: Setting, stride: int) -> None:
        """Raises `InputError` for a teacher that is none, or a stride that dense extraction does not know."""
        from train.dense import OUTPUT_STRIDES

        if stride not in OUTPUT_STRIDES:
            raise InputError(f"stride is {stride}; expected one of {', '.join(map(str, OUTPUT_STRIDES))}")
        self.network, sha256 = _teacher(setting)
        self.stride, self.device = stride, setting.device
        self.identity = f"teacher {sha256} at stride {stride}"

    @torch.no_grad()
    def __call__(self, frames: Frames) -> Tensor:
        """See `Extractor`."""
        from train.dense import dense_descriptors

        pixels = as_pixels(frames, self.device).contiguous(memory_format=torch.channels_last)
        return dense_descriptors(self.network, pixels, self.stride, "atrous").cpu()


class PatchDescriptors:
    """One descriptor for each frame, float32 [n, 128, 1, 1]: the frame is zoomed to the teacher's p×p pixels.

    Batches are remembered, at half a kilobyte an image: every method and every class describes the same test images.
    """

    def __init__(self, setting: Setting) -> None:
        """Raises `InputError` for a teacher that is none."""
        self.network, sha256 = _teacher(setting)
        self.device = setting.device
        self.identity = f"teacher {sha256} of zoomed frames"
        self.remembered: dict[bytes, Tensor] = {}

    def __call__(self, frames: Frames) -> Tensor:
        """See `Extractor`."""
        key = hashlib.sha256(f"{frames.shape} ".encode() + frames.tobytes()).digest()
        if key not in self.remembered:
            self.remembered[key] = self._described(frames)
        return self.remembered[key]

    @torch.no_grad()
    def _described(self, frames: Frames) -> Tensor:
        descriptors: Tensor = self.network(as_pixels(zoomed(frames, self.network.patch_size), self.device))
        return descriptors[:, :, None, None].cpu()


@lru_cache(maxsize=1)
def _patch_descriptors(setting: Setting) -> PatchDescriptors:
    """One for all methods of a setting, so that they share what it remembers."""
    return PatchDescriptors(setting)


def zoomed(frames: Frames, side: int) -> Frames:
    """Frames uint8 [n, H, W, 3] at side×side pixels, prepared as any other frame is."""
    from runtime.preparation import scaled

    return np.stack([scaled(frame, (side, side)) for frame in frames])


def _teacher(setting: Setting) -> "tuple[PatchNetwork, str]":
    from train.data import file_sha256
    from train.ensemble import channels_last, teacher_path
    from train.files import load_network

    path = teacher_path(setting.teacher)
    network, _, _ = load_network(path)
    channels_last(network.eval().requires_grad_(False).to(setting.device))
    return network, file_sha256(path)


class Reduced:
    """A model of vectors after PCA to the fewest components that explain a share of their variance."""

    def __init__(self, model: VectorModel, explained: float = 0.95) -> None:
        if not 0 < explained <= 1:
            raise InputError(f"explained is {explained}; expected a share of the variance above 0, at most 1")
        self.model, self.explained = model, explained
        self.pca: Any = None

    def fit(self, vectors: Vectors) -> None:
        """See `VectorModel`."""
        from sklearn.decomposition import PCA

        share = self.explained if self.explained < 1 else None
        self.pca = PCA(share, svd_solver="full").fit(vectors)
        self.model.fit(self._reduced(vectors))

    def scores(self, vectors: Vectors) -> Scores:
        """See `VectorModel`."""
        return self.model.scores(self._reduced(vectors))

    def _reduced(self, vectors: Vectors) -> Vectors:
        return np.asarray(fitted(self.pca).transform(vectors), np.float32)


class DescriptorMethod(MapMethod):
    """A vector model at every position of a frame; its map is enlarged to the frame's size, bilinearly.

    The model is fitted on `samples` positions of all good frames, drawn without replacement, or on all where there are
    no more. `batch` frames are described at once.
    """

    def __init__(self, extractor: Extractor, model: VectorModel, samples: int, seed: int, batch: int = 1) -> None:
        if samples < 2:
            raise InputError(f"samples is {samples}; expected 2 descriptors or more")
        self.extractor, self.model, self.samples, self.seed, self.batch = extractor, model, samples, seed, batch
        self.size_hw: tuple[int, int] | None = None

    def fit(self, good: Frames) -> None:
        """See `Method`."""
        size_hw = check_frames(good)
        self.model.fit(sample_vectors(self.extractor, good, self.samples, self.seed, self.batch))
        self.size_hw = size_hw

    def maps(self, frames: Frames) -> Maps:
        """See `MapMethod`."""
        size_hw = fitted(self.size_hw)
        check_frames(frames, size_hw)
        return np.concatenate([self._maps(part, size_hw) for part in _parts(frames, self.batch)])

    def _maps(self, frames: Frames, size_hw: tuple[int, int]) -> Maps:
        features = self.extractor(frames)
        scores = self.model.scores(as_vectors(features))
        return at_frame_size(torch.from_numpy(scores).reshape(len(frames), *features.shape[2:]), size_hw)


def as_vectors(features: Tensor) -> Vectors:
    """Feature maps [n, C, h, w] as vectors float32 [n·h·w, C], row by row."""
    return np.ascontiguousarray(features.permute(0, 2, 3, 1).reshape(-1, features.shape[1]).numpy(), np.float32)


def sample_vectors(extractor: Extractor, good: Frames, samples: int, seed: int, batch: int = 1) -> Vectors:
    """At most `samples` feature vectors of good frames, float32 [n, C]: positions drawn evenly over all frames."""
    draw = generator(seed, SAMPLE)
    parts = _parts(good, batch)
    each = -(-samples // len(parts))  # no part gives more, so that one part's features are held at a time
    found = []
    for frames in tqdm(parts, "features", unit="batch", leave=False, disable=None):
        vectors = as_vectors(extractor(frames))
        found.append(vectors[torch.randperm(len(vectors), generator=draw)[:each].numpy()])
    together = np.concatenate(found)
    return np.asarray(together[torch.randperm(len(together), generator=draw)[:samples].numpy()], np.float32)


def _parts(frames: Frames, batch: int) -> list[Frames]:
    return [frames[first : first + batch] for first in range(0, len(frames), batch)]


def over_teacher(model: VectorModel, setting: Setting, stride: int, samples: int) -> MapMethod:
    """A vector model over the setting's teacher, its descriptors kept where the setting says so."""
    return DescriptorMethod(kept(TeacherDescriptors(setting, stride), setting), model, samples, setting.seed)


def over_patches(model: VectorModel, setting: Setting, samples: int) -> MapMethod:
    """A vector model over the one descriptor of each small image (Table 2)."""
    return DescriptorMethod(_patch_descriptors(setting), model, samples, setting.seed, batch=256)

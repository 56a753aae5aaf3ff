"""PatchCore (Roth et al., *Towards Total Recall in Industrial Anomaly Detection*, CVPR 2022).

Locally averaged features of layer2 and layer3 at layer2's resolution (eq. 1 to 4), a greedy coreset of them as memory
bank (algorithm 1), the distance to the nearest of them as patch score, and the highest of an image, re-weighted by
equations 6 and 7, as image score. The map is enlarged bilinearly and smoothed by a Gaussian of σ = 4 pixels.

Deviations: ResNet-18 in place of Wide ResNet-50. The two stages keep their own numbers of channels, where the authors'
code pools both to one. The size of the coreset is a number of features (`coreset`), not a share of them, so that the
cost of a frame does not grow with the training set. Eq. 7 leaves the number of neighbours open: nine here, as in
anomalib. There the memory's own nearest m* counts among its neighbours, so that the weight is not negative.

Checked against the authors' code (github.com/amazon-science/patchcore-inspection): the stages, the 3×3 averages with
zeros beyond the border, bilinear enlargement of the second stage and of the map, σ = 4, 128 projected dimensions, the
nearest neighbour alone. That code averages 3×3 cells and channels together, to 1,024 numbers, and its image score is
the highest patch score without the weight of eq. 7; the weight was checked against anomalib's.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks.methods.base import (
    Frames,
    Inspected,
    Maps,
    Method,
    Setting,
    at_frame_size,
    check_frames,
    fitted,
)
from benchmarks.methods.bounds import at_least
from benchmarks.methods.descriptors import TeacherDescriptors, as_vectors
from benchmarks.methods.features import Extractor, LocalFeatures, ResNetStages, kept
from benchmarks.methods.patch_features import PatchFeatures, pooled_stages
from runtime.errors import InputError
from train.coreset import greedy_coreset
from train.neighbours import nearest

TAUGHT_AT = 96  # side in pixels at which patches enter P when it teaches (`descriptor_input` of train.teacher)


@dataclass(frozen=True)
class Options:
    """Options of PatchCore."""

    layers: tuple[str, ...] = ("layer2", "layer3")
    teachers: tuple[str, ...] = ()  # one, to take its descriptors in place of the layers: what they are worth (ours)
    patch: int | None = None  # side of patches that P describes one by one, as it does for a teacher: the same (ours)
    stride: int = 8  # every s-th position of such a teacher, or pixels between such patches; layer2's
    coreset: int = 4_000  # features in the memory bank
    projected: int = 128  # dimensions in which the coreset is chosen
    neighbours: int = 9  # b of equation 7
    sigma: float = 4.0  # of the smoothing, pixels; 0 for none

    def __post_init__(self) -> None:
        at_least(self, patch=1, coreset=2, projected=1, neighbours=2, sigma=0)


class PatchCore(Method):
    """A memory bank of good patch features."""

    def __init__(self, extractor: Extractor, options: Options, seed: int, device: str = "cpu") -> None:
        self.extractor, self.options, self.seed, self.device = extractor, options, seed, device
        self.size_hw: tuple[int, int] | None = None

    def fit(self, good: Frames) -> None:
        """See `Method`. Holds the features of all good frames at once, 4 bytes a number."""
        size_hw = check_frames(good)
        bar = tqdm(good, "features", unit="image", leave=False, disable=None)
        features = np.concatenate([as_vectors(self.extractor(frame[None])) for frame in bar])
        vectors = torch.from_numpy(features).to(self.device)
        self.bank = vectors[greedy_coreset(vectors, self.options.coreset, self.seed, self.options.projected)]
        self.size_hw = size_hw

    def inspect(self, frames: Frames) -> Inspected:
        """See `Method`."""
        size_hw = fitted(self.size_hw)
        check_frames(frames, size_hw)
        found = [self._inspect(frame, size_hw) for frame in frames]
        return Inspected(np.stack([m for m, _ in found]), np.array([score for _, score in found], np.float32))

    def maps(self, frames: Frames) -> Maps:
        """The maps alone; the image scores do not follow from them."""
        maps = self.inspect(frames).maps
        assert maps is not None
        return maps

    def _inspect(self, frame: Frames, size_hw: tuple[int, int]) -> tuple[Maps, float]:
        features = self.extractor(frame[None])
        vectors = torch.from_numpy(as_vectors(features)).to(self.device)
        distances, indices = nearest(vectors, self.bank, 1)
        enlarged = at_frame_size(distances.reshape(1, *features.shape[2:]), size_hw)[0]
        farthest = int(distances.argmax())
        score = reweighted(vectors[farthest], self.bank, int(indices[farthest]), self.options.neighbours)
        return smoothed(enlarged, self.options.sigma), score


def reweighted(patch: Tensor, bank: Tensor, index: int, neighbours: int) -> float:
    """Equation 7: the score of the most anomalous patch [d], whose nearest in `bank` [m, d] is number `index` (m*).

    s = (1 − exp ‖patch − m*‖ / Σ_m exp ‖patch − m‖) · ‖patch − m*‖, over the `neighbours` nearest m of m* in the bank.
    """
    distance = (patch - bank[index]).norm()
    if len(bank) == 1:
        return float(distance)  # good frames of one colour: no neighbours to weigh by, and the weight would be 0
    _, around = nearest(bank[index][None], bank, neighbours)
    others = (patch - bank[around[0]]).norm(dim=1)
    weight = 1 - (distance - torch.logsumexp(others, dim=0)).exp()  # the quotient of exponentials without overflow
    return float(weight * distance)


def smoothed(anomaly_map: Maps, sigma: float) -> Maps:
    """A map float32 [H, W] under a Gaussian of `sigma` pixels, borders reflected."""
    if not sigma:
        return anomaly_map
    return np.asarray(cv2.GaussianBlur(anomaly_map, (0, 0), sigma, borderType=cv2.BORDER_REFLECT), np.float32)


def make(options: Options, setting: Setting) -> Method:
    """The method over ResNet-18, a teacher, or what one is taught. Raises `InputError` for more than one of these."""
    if len(options.teachers) > 1 or (options.teachers and options.patch):
        also = f" and patch is {options.patch}" if options.patch else ""
        raise InputError(f"teachers are {', '.join(options.teachers)}{also}; expected one, or none for ResNet-18")
    extractor: Extractor
    if options.teachers:
        extractor = TeacherDescriptors(replace(setting, teacher=options.teachers[0]), options.stride)
    elif options.patch:
        extractor = PatchFeatures(*pooled_stages(setting, TAUGHT_AT), options.patch, options.stride, setting.device)
    else:
        extractor = LocalFeatures(ResNetStages(setting), options.layers)
    return PatchCore(kept(extractor, setting), options, setting.seed, setting.device)

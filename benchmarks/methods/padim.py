"""PaDiM (Defard et al., *PaDiM: a Patch Distribution Modeling Framework for Anomaly Detection and Localization*, ICPR
2021 workshops; arXiv 2011.08785).

A Gaussian at each position of ResNet-18's layer1 over 100 channels, chosen at random among those of layer1 to layer3:
each position of layer1 has the deeper cells that cover it beside its own (section III-A). Its covariance is that of the
good frames plus 0.01·I (eq. 1). The map is the Mahalanobis distance to the position's Gaussian (eq. 2), enlarged
bilinearly and smoothed by a Gaussian of σ = 4 pixels; the score is its highest value.

Deviations: frames are prepared as for all methods here, where the paper resizes them to 256 pixels and cuts out the
middle 224. Gaussians are held as inverse Cholesky factors: the same distance without an inverse covariance. `pool` is
ours.

Memory: 4·C² bytes for each position, so 164 MB for frames of 256×256 (64×64 positions, C = 100), and while fitting
4·C bytes for each position of each good frame, there 1.6 MB. `pool` = 2 takes a quarter of both.

Checked against a public implementation (github.com/xiahaifeng1995/PaDiM-Anomaly-Detection-Localization-master): the
channels, 0.01·I, the distance, both steps of the map. Not checked against the paper's text: its numbers of equations,
and how it enlarges maps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from benchmarks.methods.base import Frames, MapMethod, Maps, Setting, at_frame_size, check_frames, fitted
from benchmarks.methods.bounds import above_zero, at_least
from benchmarks.methods.features import PROBE, Extractor, ResNetStages, Stages, kept
from benchmarks.methods.patchcore import smoothed
from benchmarks.methods.training import CHANNELS
from runtime.errors import InputError
from train.seeds import generator


@dataclass(frozen=True)
class Options:
    """Options of PaDiM."""

    layers: tuple[str, ...] = ("layer1", "layer2", "layer3")  # the first gives the resolution
    channels: int = 100  # chosen at random among those of all layers
    pool: int = 1  # side of the squares of positions whose features are averaged; 1 for none
    regularization: float = 0.01  # ε of equation 1
    sigma: float = 4.0  # of the smoothing, pixels; 0 for none

    def __post_init__(self) -> None:
        at_least(self, channels=1, pool=1, sigma=0)
        above_zero(self, "regularization")


class ChosenChannels:
    """Randomly chosen channels of all stages at the first one's resolution: float32 [n, C, ceil(h/p), ceil(w/p)]."""

    def __init__(self, stages: Stages, names: Sequence[str], channels: int, pool: int, seed: int) -> None:
        """Raises `InputError` for more channels than the stages have, or a stage that there is not."""
        self.stages, self.names, self.pool = stages, tuple(names), pool
        counts = [x.shape[1] for x in stages(PROBE, names)]
        if channels > sum(counts):
            raise InputError(f"channels is {channels}; {', '.join(names)} have {sum(counts)}: choose that or fewer")
        taken = torch.zeros(sum(counts), dtype=torch.bool)
        taken[torch.randperm(len(taken), generator=generator(seed, CHANNELS))[:channels]] = True
        self.taken = torch.split(taken, counts)
        self.identity = (
            f"{channels} channels by seed {seed}, pooled by {pool}, of {','.join(names)} of {stages.identity}"
        )

    def __call__(self, frames: Frames) -> Tensor:
        """See `Extractor`."""
        maps = self.stages(frames, self.names)
        size = tuple(maps[0].shape[2:])
        chosen = [x[:, taken.to(x.device)] for x, taken in zip(maps, self.taken, strict=True)]
        together = torch.cat([functional.interpolate(x, size) for x in chosen if x.shape[1]], dim=1)
        return functional.avg_pool2d(together, self.pool, ceil_mode=True).cpu()


def gaussians(vectors: Tensor, regularization: float) -> tuple[Tensor, Tensor]:
    """Means [p, C] and whitening matrices [p, C, C], float32, of vectors [p, n, C] at p positions (eq. 1).

    ‖whitening · (x − mean)‖ is the Mahalanobis distance of x. Raises `InputError` for a covariance that is singular in
    spite of the regularization.
    """
    vectors = vectors.double()  # fewer frames than channels leave variances of ε alone
    mean = vectors.mean(dim=1)
    centred = vectors - mean[:, None]
    identity = torch.eye(vectors.shape[2], dtype=torch.float64, device=vectors.device)
    covariance = centred.mT @ centred / (vectors.shape[1] - 1) + regularization * identity
    factor, failed = torch.linalg.cholesky_ex(covariance)
    if failed.any():
        raise InputError(f"regularization is {regularization}, which leaves a covariance singular; use a larger one")
    whitening = torch.linalg.solve_triangular(factor, identity.expand_as(factor), upper=False)
    return mean.float(), whitening.float()


class PatchDistributions(MapMethod):
    """A Gaussian at each position."""

    def __init__(self, extractor: Extractor, options: Options, device: str = "cpu") -> None:
        self.extractor, self.options, self.device = extractor, options, device
        self.size_hw: tuple[int, int] | None = None

    def fit(self, good: Frames) -> None:
        """See `Method`. Raises `InputError` for a single frame, which has no covariance."""
        size_hw = check_frames(good)
        if len(good) < 2:
            raise InputError("PaDiM got one good frame; expected 2 or more, for a covariance")
        bar = tqdm(good, "features", unit="image", leave=False, disable=None)
        features = [self.extractor(frame[None])[0] for frame in bar]
        found = []
        for row in tqdm(range(features[0].shape[1]), "gaussians", unit="row", leave=False, disable=None):
            vectors = torch.stack([x[:, row] for x in features]).to(self.device)  # [n, C, w]
            found.append(gaussians(vectors.permute(2, 0, 1), self.options.regularization))
        self.mean = torch.stack([mean for mean, _ in found])  # [h, w, C]
        self.whitening = torch.stack([whitening for _, whitening in found])  # [h, w, C, C]
        self.size_hw = size_hw

    def maps(self, frames: Frames) -> Maps:
        """See `MapMethod`."""
        size_hw = fitted(self.size_hw)
        check_frames(frames, size_hw)
        found = [at_frame_size(self.distances(frame)[None], size_hw)[0] for frame in frames]
        return np.stack([smoothed(each, self.options.sigma) for each in found])

    def distances(self, frame: Frames) -> Tensor:
        """Mahalanobis distances [h, w] of a frame [H, W, 3] (eq. 2)."""
        features = self.extractor(frame[None])[0].to(self.device)
        away = features.permute(1, 2, 0) - self.mean
        return (self.whitening @ away[..., None]).square().sum(dim=(2, 3)).sqrt()


def make(options: Options, setting: Setting) -> MapMethod:
    """The method over ResNet-18. Raises `InputError` for channels or stages that it does not have."""
    stages = ResNetStages(setting)
    extractor = ChosenChannels(stages, options.layers, options.channels, options.pool, setting.seed)
    return PatchDistributions(kept(extractor, setting), options, setting.device)

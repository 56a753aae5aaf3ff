"""What a backbone says of a frame: a dense map of descriptors, and one vector of the whole frame.

Descriptors are PatchCore's (Roth et al., CVPR 2022, equations 1 to 4): the maps of a few stages, averaged over 3×3
samples, at the resolution of the finest. Deviation: beyond the border nothing is averaged, where the authors' code
averages zeros. The vector has the mean and the deviation of each channel over the frame.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from runtime.errors import InputError
from runtime.scoring import Scoring
from train.backbones import LoadedBackbone, load_backbone
from train.backbones.base import Stage
from train.regions import shares

AVERAGED = 3  # samples each way
LEAST_FLOOR = 1e-12  # of a variance, whose root has no slope at 0


class OfBackbone(Protocol):
    """What a configuration says of the features that it takes."""

    @property
    def backbone(self) -> str:
        """The name of a shipped backbone, or a file."""

    @property
    def stages(self) -> tuple[str, ...]:
        """Whose maps are compared; none: its usual ones."""

    @property
    def image_evidence(self) -> bool:
        """Whether frames are judged as a whole, too."""

    @property
    def scoring(self) -> Scoring:
        """Whose named regions frames are judged in as a whole."""

    @property
    def size_hw(self) -> tuple[int, int] | None:
        """Of the prepared frame, pixels; needed where there are named regions."""


def features_of(config: OfBackbone, backbone: str | None = None) -> "Features":
    """The features that `config` takes, of another file of the same backbone where that is named.

    Raises `InputError` for a backbone or stages that are not there.
    """
    loaded = load_backbone(backbone or config.backbone)
    pooled = loaded.architecture.pooled if config.image_evidence else ()
    strides = [stage.stride for stage in loaded.stages(pooled)]
    pooling = Pooling.of(config.scoring, config.size_hw, strides)
    return Features(loaded, config.stages or loaded.architecture.compared, pooled, pooling)


class Pooling(nn.Module):
    """Mean and deviation of each channel over the frame or, where there are named regions, over these alone."""

    def __init__(self, strides: Sequence[int], weights: Sequence[NDArray[np.float32]] | None = None) -> None:
        """`strides` are those of the maps; `weights` of the places [h, w] of each, whose sum is 1 (None: all alike)."""
        super().__init__()
        self.strides = tuple(strides)
        self._names = None if weights is None else [f"weights{index}" for index in range(len(weights))]
        for name, each in zip(self._names or (), weights or (), strict=True):
            self.register_buffer(name, torch.from_numpy(each), persistent=False)

    @classmethod
    def of(cls, scoring: Scoring, size_hw: tuple[int, int] | None, strides: Sequence[int]) -> "Pooling":
        """That of maps of these strides, of prepared frames of `size_hw`.

        A rectangle is of the map's score alone, and the frame is judged as a whole whatever it is.
        """
        chosen = None if size_hw is None else scoring.in_regions(size_hw)
        return cls(strides, None if chosen is None else [shares(chosen.mask, stride) for stride in strides])

    def forward(self, maps: Iterable[Tensor]) -> Tensor:
        """float32 [N, P] of one or more maps [N, C, h, w]."""
        return pooled(maps, None if self._names is None else [getattr(self, name) for name in self._names])


class Features(nn.Module):
    """A backbone with the stages that are compared and those that are pooled; in float32."""

    def __init__(
        self,
        backbone: LoadedBackbone,
        compared: tuple[str, ...],
        pooled: tuple[str, ...],
        pooling: Pooling | None = None,
    ) -> None:
        """Raises `InputError` for stages that the backbone does not have, and where none is compared."""
        super().__init__()
        if not compared:
            raise InputError("no stage is compared; name one or more")
        self.name, self.sha256, self.network = backbone.name, backbone.sha256, backbone.network
        self.compared, self.pooled = backbone.stages(compared), backbone.stages(pooled)
        self.pooling = pooling or Pooling([stage.stride for stage in self.pooled])
        self.register_buffer("pixel_mean", torch.tensor(self.network.pixel_mean).view(3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(self.network.pixel_std).view(3, 1, 1), persistent=False)

    @property
    def stride(self) -> int:
        """Pixels from one descriptor to the next."""
        return min(stage.stride for stage in self.compared)

    @property
    def dimensions(self) -> int:
        """Of a descriptor."""
        return sum(stage.channels for stage in self.compared)

    @torch.no_grad()
    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Descriptors [N, D, h, w] and vectors [N, P] of images [N, 3, H, W], RGB in [0, 1]; h = ceil(H / stride)."""
        maps = self.network.maps(self.normalized(pixels), stage_names(self.compared, self.pooled))
        found = descriptors(maps, self.compared)
        if not self.pooled:
            return found, found.new_zeros(0)
        return found, self.pooling(maps[stage.name].float() for stage in self.pooled)

    def normalized(self, pixels: Tensor) -> Tensor:
        """Images [N, 3, H, W], RGB in [0, 1], as the backbone reads them."""
        return (pixels - self.pixel_mean) / self.pixel_std  # type: ignore[operator]


def stage_names(*several: Sequence[Stage]) -> tuple[str, ...]:
    """The names of stages, each once."""
    return tuple(dict.fromkeys(stage.name for stages in several for stage in stages))


def descriptors(maps: Mapping[str, Tensor], stages: Sequence[Stage]) -> Tensor:
    """Descriptors float32 [N, D, h, w] of a backbone's maps by stage."""
    smoothed = {stage: averaged(maps[stage.name].float()) for stage in stages}
    finest = min(smoothed.values(), key=lambda found: -found.shape[2])
    height, width = finest.shape[2:]
    stride = min(stage.stride for stage in stages)
    return torch.cat([enlarged(found, stage.stride // stride, height, width) for stage, found in smoothed.items()], 1)


def pooled(maps: Iterable[Tensor], weights: Sequence[Tensor] | None = None) -> Tensor:
    """Mean and deviation of each channel over the frame, float32 [N, P], of one or more maps [N, C, h, w].

    With `weights` of each map's places, [h, w], whose sum is 1: over named regions (`train.regions.shares`).
    """
    found = []
    for index, x in enumerate(maps):
        mean = _mean(x, None if weights is None else weights[index])
        variance = _mean((x - mean).square(), None if weights is None else weights[index])
        found += [mean[:, :, 0, 0], (variance[:, :, 0, 0] + LEAST_FLOOR).sqrt()]
    return torch.cat(found, dim=1)


def _mean(x: Tensor, weights: Tensor | None) -> Tensor:
    """[N, C, 1, 1] over the places of a map [N, C, h, w]."""
    if weights is None:
        return x.mean(dim=(2, 3), keepdim=True)
    return (x * weights).sum(dim=(2, 3), keepdim=True)


def averaged(x: Tensor) -> Tensor:
    """A map [N, C, h, w] with the mean of 3×3 samples at each place, fewer at the border."""
    return functional.avg_pool2d(x, AVERAGED, 1, AVERAGED // 2, count_include_pad=False)


def enlarged(x: Tensor, factor: int, height: int, width: int) -> Tensor:
    """[N, C, h, w] as [N, C, `height`, `width`], `factor` samples for each: bilinear, what is too much cut off."""
    if factor == 1:
        return x
    x = functional.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False)
    return x[:, :, :height, :width]

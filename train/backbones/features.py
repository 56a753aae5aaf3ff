"""What a backbone says of a frame: a dense map of descriptors, and one vector of the whole frame.

Descriptors are PatchCore's (Roth et al., CVPR 2022, equations 1 to 4): the maps of a few stages, averaged over 3×3
samples, at the resolution of the finest. Deviation: beyond the border nothing is averaged, where the authors' code
averages zeros. The vector has the mean and the deviation of each channel over the frame.
"""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from runtime.errors import InputError
from train.backbones import LoadedBackbone
from train.backbones.base import Stage

AVERAGED = 3  # samples each way
LEAST_FLOOR = 1e-12  # of a variance, whose root has no slope at 0


class Features(nn.Module):
    """A backbone with the stages that are compared and those that are pooled; in float32."""

    def __init__(self, backbone: LoadedBackbone, compared: tuple[str, ...], pooled: tuple[str, ...]) -> None:
        """Raises `InputError` for stages that the backbone does not have, and where none is compared."""
        super().__init__()
        if not compared:
            raise InputError("no stage is compared; name one or more")
        self.name, self.sha256, self.network = backbone.name, backbone.sha256, backbone.network
        self.compared, self.pooled = backbone.stages(compared), backbone.stages(pooled)
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
        x = (pixels - self.pixel_mean) / self.pixel_std  # type: ignore[operator]
        maps = self.network.maps(x, stage_names(self.compared, self.pooled))
        return descriptors(maps, self.compared), pooled_stages(maps, self.pooled)


def stage_names(*several: Sequence[Stage]) -> tuple[str, ...]:
    """The names of stages, each once."""
    return tuple(dict.fromkeys(stage.name for stages in several for stage in stages))


def descriptors(maps: Mapping[str, Tensor], stages: Sequence[Stage]) -> Tensor:
    """Descriptors float32 [N, D, h, w] of a backbone's maps by stage."""
    averaged = {stage: _averaged(maps[stage.name].float()) for stage in stages}
    finest = min(averaged.values(), key=lambda found: -found.shape[2])
    height, width = finest.shape[2:]
    stride = min(stage.stride for stage in stages)
    return torch.cat([_enlarged(found, stage.stride // stride, height, width) for stage, found in averaged.items()], 1)


def pooled_stages(maps: Mapping[str, Tensor], stages: Sequence[Stage]) -> Tensor:
    """`pooled` of some stages of a backbone's maps; empty for none."""
    if not stages:
        return next(iter(maps.values())).new_zeros(0)
    return pooled(maps[stage.name].float() for stage in stages)


def pooled(maps: Iterable[Tensor]) -> Tensor:
    """Mean and deviation of each channel over the frame, float32 [N, P], of one or more maps [N, C, h, w]."""
    found = []
    for x in maps:
        mean = x.mean(dim=(2, 3), keepdim=True)
        deviation = ((x - mean).square().mean(dim=(2, 3)) + LEAST_FLOOR).sqrt()
        found += [mean[:, :, 0, 0], deviation]
    return torch.cat(found, dim=1)


def _averaged(x: Tensor) -> Tensor:
    return functional.avg_pool2d(x, AVERAGED, 1, AVERAGED // 2, count_include_pad=False)


def _enlarged(x: Tensor, factor: int, height: int, width: int) -> Tensor:
    if factor == 1:
        return x
    x = functional.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False)
    return x[:, :, :height, :width]

"""Dense distillation: a teacher regresses P's map of a whole view of a photograph at each of its positions.

One pass of P gives hundreds of targets in place of one (ours; EfficientAD, Batzner et al., WACV 2024, distils densely,
too, from another network and without compactness). P's map is made as a memory bank makes it
(`train.backbones.features`), with one difference: a sample is taken to lie where its receptive field is centred, so
that the teacher's field can be laid around the very same place.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.backbones import ARCHITECTURES, load_backbone
from train.backbones.features import averaged
from train.dense import descriptors_of_padded
from train.networks import PatchNetwork, receptive_field

BACKBONES = {
    "resnet18-layer23": "resnet18",
    "efficientnet-lite0": "efficientnet-lite0",
    "efficientnet-lite2": "efficientnet-lite2",
}
ENLARGED = {17: 2, 33: 2, 65: 1}  # how much larger P sees a view, by p: its stride of 8 is then 4, 4 and 8 pixels of it
MARGIN = 60  # pixels of the enlarged view around the positions: nearer to the border P sees much of its padding


@dataclass(frozen=True)
class Grid:
    """The places of a square view whose descriptors are learnt: samples of P's finest stage, clear of the border.

    Sample j lies at `origin` + `stride`·j, in pixels of the view, whose first pixel's middle is 0.
    """

    origin: float
    stride: int
    first: int  # the first sample learnt
    count: int  # of samples each way

    @classmethod
    def of(cls, side: int, stride: int, origin: float, margin: int) -> "Grid":
        """That of views of `side` pixels, with `margin` of them around the places."""
        first = -int((origin - margin) // stride)
        return cls(origin, stride, first, int((side - 1 - margin - origin) // stride) - first + 1)

    def window(self, field: int) -> slice:
        """The pixels that receptive fields of `field` pixels around these places cover, to within half a pixel."""
        start = round(self.origin + self.stride * self.first - (field - 1) / 2)
        return slice(start, start + (self.count - 1) * self.stride + field)


class DenseDescriptor(nn.Module):
    """P: a shipped backbone, frozen, whose map is read at the places of a grid."""

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, name: str, patch_size: int, side: int) -> None:
        """`name` as in `BACKBONES`; views are `side` pixels wide."""
        super().__init__()
        backbone, architecture = load_backbone(BACKBONES[name]), BACKBONES[name]
        self.network, self.stages = backbone.network, backbone.stages(ARCHITECTURES[architecture].compared)
        self.size = sum(stage.channels for stage in self.stages)
        self.enlarged = ENLARGED[patch_size]
        middles = [middle_of_first(architecture, stage.stride) for stage in self.stages]
        stride, middle = min((stage.stride, middle) for stage, middle in zip(self.stages, middles, strict=True))
        origin, margin = (middle + 0.5) / self.enlarged - 0.5, MARGIN // self.enlarged
        self.grid = Grid.of(side, stride // self.enlarged, origin, margin)
        places = middle + stride * (self.grid.first + torch.arange(self.grid.count))  # in the enlarged view
        self.readers = nn.ModuleList(
            _Reader((places - middle) / stage.stride) for stage, middle in zip(self.stages, middles, strict=True)
        )
        self.register_buffer("pixel_mean", torch.tensor(self.network.pixel_mean).view(3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(self.network.pixel_std).view(3, 1, 1), persistent=False)
        self.eval().requires_grad_(False)

    def forward(self, views: Tensor) -> Tensor:
        """Descriptors [N·h·w, D] of views [N, 3, S, S], RGB in [0, 1], view by view and row by row."""
        return rows(self.map(views))

    def map(self, views: Tensor) -> Tensor:
        """The same as a map, [N, D, h, w]."""
        if self.enlarged > 1:
            views = functional.interpolate(views, scale_factor=float(self.enlarged), mode="bilinear")
        x = (views - self.pixel_mean) / self.pixel_std
        maps = self.network.maps(x, tuple(stage.name for stage in self.stages))
        read = zip(self.stages, self.readers, strict=True)
        return torch.cat([reader(averaged(maps[stage.name].float())) for stage, reader in read], dim=1)


class DenseTeacher(nn.Module):
    """A teacher at the places of a grid."""

    def __init__(self, teacher: PatchNetwork, grid: Grid) -> None:
        super().__init__()
        self.teacher, self.grid = teacher, grid

    def forward(self, views: Tensor) -> Tensor:
        """Descriptors [N·h·w, 128] of views [N, 3, S, S], RGB in [0, 1], in the order of P's."""
        return rows(self.map(views))

    def map(self, views: Tensor) -> Tensor:
        """The same as a map, [N, 128, h, w]."""
        window = self.grid.window(receptive_field(self.teacher.layers))
        shape = (self.grid.count * self.grid.stride,) * 2
        return descriptors_of_padded(self.teacher, views[:, :, window, window], self.grid.stride, "atrous", shape)


def middle_of_first(architecture: str, stride: int) -> float:
    """Where the receptive field of a stage's sample 0 is centred, in pixels of P's input of even size.

    ResNet's convolutions pad alike on both sides. TensorFlow's ``SAME`` pads one pixel less before than behind where
    the stride is 2, and that adds up to a whole stride less one.
    """
    return 0.0 if architecture == "resnet18" else stride - 1.0


def rows(maps: Tensor) -> Tensor:
    """Maps [N, D, h, w] as one row a position, [N·h·w, D]."""
    return maps.permute(0, 2, 3, 1).flatten(0, 2)


class _Reader(nn.Module):
    """Reads maps [N, C, h, w] at the same fractional rows and columns, linear in both directions."""

    low: Tensor
    share: Tensor

    def __init__(self, index: Tensor) -> None:
        super().__init__()
        self.between = bool((index != index.floor()).any())
        self.register_buffer("low", index.floor().long(), persistent=False)
        self.register_buffer("share", index - index.floor(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, positions, positions]."""
        return self._along(self._along(x, 2), 3)

    def _along(self, x: Tensor, dimension: int) -> Tensor:
        found = x.index_select(dimension, self.low)
        if not self.between:
            return found
        share = self.share if dimension == 3 else self.share[:, None]
        return torch.lerp(found, x.index_select(dimension, self.low + 1), share)

"""EfficientNet-Lite (Tan and Le, *EfficientNet*, ICML 2019; the variants without squeeze-and-excitation and with ReLU6
that Google published in 2020), to stride 16."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from train.backbones.base import SamePadded, Stage, folded_conv

EPSILON = 1e-3  # of batch normalization


@dataclass(frozen=True)
class Group:
    """Inverted bottlenecks of one width: `repeats` of them, the first of stride `stride`."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


# the groups of Lite0; behind them come two of stride 32 and the classifier, which are left out. Wider and deeper
# variants round channels to multiples of 8, and repeats up; the first group is not repeated
GROUPS = {
    "efficientnet-lite0": (
        Group(1, 3, 1, 1, 16), Group(2, 3, 2, 6, 24), Group(2, 5, 2, 6, 40), Group(3, 3, 2, 6, 80),
        Group(3, 5, 1, 6, 112),
    ),
    "efficientnet-lite2": (
        Group(1, 3, 1, 1, 16), Group(3, 3, 2, 6, 24), Group(3, 5, 2, 6, 48), Group(4, 3, 2, 6, 88),
        Group(4, 5, 1, 6, 120),
    ),
}  # fmt: skip
STEM = 32  # channels


class Bottleneck(nn.Module):
    """1×1 to `expansion` times the channels, a depthwise convolution, 1×1 back; a shortcut where the shape stays."""

    def __init__(self, channels: int, group: Group, stride: int) -> None:
        super().__init__()
        inner = channels * group.expansion
        self.expand = SamePadded(channels, inner, 1) if group.expansion > 1 else None
        self.depthwise = SamePadded(inner, inner, group.kernel, stride, groups=inner)
        self.project = SamePadded(inner, group.channels, 1)
        self.shortcut = stride == 1 and channels == group.channels

    def forward(self, x: Tensor) -> Tensor:
        """Of [N, C, H, W]."""
        inner = x if self.expand is None else functional.relu6(self.expand(x))
        found: Tensor = self.project(functional.relu6(self.depthwise(inner)))
        return x + found if self.shortcut else found


class EfficientNetLite(nn.Module):
    """See `train.backbones.base.Backbone`. A stage is a group, by its number from 1: what its last bottleneck gives."""

    pixel_mean = (127 / 255,) * 3  # the published networks take (x − 127) / 128
    pixel_std = (128 / 255,) * 3

    def __init__(self, name: str) -> None:
        super().__init__()
        self.stem = SamePadded(3, STEM, 3, 2)
        self.groups = nn.ModuleList()
        stages, channels, stride = [], STEM, 2
        for number, group in enumerate(GROUPS[name], start=1):
            blocks = nn.ModuleList()
            for index in range(group.repeats):
                blocks.append(Bottleneck(channels, group, group.stride if index == 0 else 1))
                channels = group.channels
            stride *= group.stride
            self.groups.append(blocks)
            stages.append(Stage(f"group{number}", channels, stride))
        self.stages = tuple(stages)

    def maps(self, pixels: Tensor, names: tuple[str, ...]) -> dict[str, Tensor]:
        """See `Backbone`."""
        found: dict[str, Tensor] = {}
        x = functional.relu6(self.stem(pixels))
        for stage, blocks in zip(self.stages, self.groups, strict=True):
            for block in blocks:  # type: ignore[attr-defined]
                x = block(x)
            if stage.name in names:
                found[stage.name] = x
            if len(found) == len(names):
                break
        return found


def converted(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of `EfficientNetLite` from the one of the package efficientnet-lite-pytorch.

    Raises `KeyError` for a tensor that is not there.
    """

    def conv(source: str, norm: str) -> dict[str, Tensor]:
        return folded_conv(tensors, source, norm, EPSILON)

    found = {f"stem.{part}": value for part, value in conv("_conv_stem", "_bn0").items()}
    block = 0
    for number, group in enumerate(GROUPS[name]):
        for index in range(group.repeats):
            pairs = {"depthwise": ("_depthwise_conv", "_bn1"), "project": ("_project_conv", "_bn2")}
            if group.expansion > 1:
                pairs["expand"] = ("_expand_conv", "_bn0")
            for ours, (source, norm) in pairs.items():
                place = f"_blocks.{block}."
                for part, value in conv(place + source, place + norm).items():
                    found[f"groups.{number}.{index}.{ours}.{part}"] = value
            block += 1
    return found


def left_out(name: str, tensor: str) -> bool:
    """Whether a tensor of that package's state dict is of the groups of stride 32 or the classifier."""
    part, _, rest = tensor.partition(".")
    block = rest.partition(".")[0]
    behind = part == "_blocks" and block.isdecimal() and int(block) >= sum(group.repeats for group in GROUPS[name])
    return behind or part in ("_conv_head", "_bn1", "_fc")

"""ResNet-18 (He et al., *Deep Residual Learning for Image Recognition*, CVPR 2016) to layer3, stride 16."""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional

from train.backbones.base import Conv, Stage, folded_conv
from train.networks import PIXEL_MEAN, PIXEL_STD

EPSILON = 1e-5  # of batch normalization
LAYERS = (("layer1", 64, 1), ("layer2", 128, 2), ("layer3", 256, 2))  # name, channels, stride; two blocks each


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = Conv(channels, width, 3, stride, 1)
        self.conv2 = Conv(width, width, 3, 1, 1)
        self.downsample = Conv(channels, width, 1, stride) if stride > 1 or channels != width else None

    def forward(self, x: Tensor) -> Tensor:
        """Of [N, C, H, W]."""
        shortcut = x if self.downsample is None else self.downsample(x)
        return functional.relu(shortcut + self.conv2(functional.relu(self.conv1(x))))


class ResNet18(nn.Module):
    """See `train.backbones.base.Backbone`. The stages are torchvision's layers."""

    pixel_mean = PIXEL_MEAN
    pixel_std = PIXEL_STD

    def __init__(self, name: str = "resnet18") -> None:
        super().__init__()
        self.conv1 = Conv(3, 64, 7, 2, 3)
        stages, channels, stride = [], 64, 4
        for layer, width, step in LAYERS:
            blocks = nn.Sequential(BasicBlock(channels, width, step), BasicBlock(width, width, 1))
            self.add_module(layer, blocks)
            channels, stride = width, stride * step
            stages.append(Stage(layer, width, stride))
        self.stages = tuple(stages)

    def maps(self, pixels: Tensor, names: tuple[str, ...]) -> dict[str, Tensor]:
        """See `Backbone`."""
        found: dict[str, Tensor] = {}
        x = functional.max_pool2d(functional.relu(self.conv1(pixels)), 3, 2, 1)
        for stage in self.stages:
            x = self.get_submodule(stage.name)(x)
            if stage.name in names:
                found[stage.name] = x
            if len(found) == len(names):
                break
        return found


def converted(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of `ResNet18` from torchvision's. Raises `KeyError` for a tensor that is not there."""

    def conv(source: str, norm: str) -> dict[str, Tensor]:
        return folded_conv(tensors, source, norm, EPSILON)

    found = {f"conv1.{part}": value for part, value in conv("conv1", "bn1").items()}
    for layer, _, stride in LAYERS:
        for block in range(2):
            place = f"{layer}.{block}."
            pairs = {"conv1": ("conv1", "bn1"), "conv2": ("conv2", "bn2")}
            if block == 0 and stride > 1:
                pairs["downsample"] = ("downsample.0", "downsample.1")
            for ours, (source, norm) in pairs.items():
                for part, value in conv(place + source, place + norm).items():
                    found[f"{place}{ours}.{part}"] = value
    return found


def left_out(name: str, tensor: str) -> bool:
    """Whether a tensor of torchvision's state dict is of layer4 or the classifier."""
    return tensor.startswith(("layer4.", "fc."))

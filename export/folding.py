"""Folding: what surrounds a network on export, written into its convolutions as far as that is exact."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.backbones.features import Features
from train.ensemble import Standardized
from train.networks import LEAKY_SLOPE, PatchNetwork


class FoldedNetwork(nn.Module):
    """A patch network that takes raw pixels, [N, 3, H, W], BGR, 0 to 255, in float32.

    The scaling to [0, 1], the pixel normalization and the order of the colours are folded into the first convolution,
    which is exact because the networks use no padding of their own. With `half` the convolutions behind the first run
    in FP16; the first stays in float32, where raw pixels meet weights 60 times smaller than the others.
    """

    def __init__(self, network: PatchNetwork, half: bool = False) -> None:
        super().__init__()
        self.layers = network.layers
        self.groups = [network.conv(index).groups for index in range(len(network.convs))]
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for index in range(len(network.convs)):
            conv = network.conv(index)
            assert conv.bias is not None
            self._append(conv.weight.detach(), conv.bias.detach())
        self._fold_pixels(network)
        self.watcher: Callable[[float], None] | None = None  # sees each convolution's largest magnitude
        self.half_from = 1 if half else len(self.weights)

    def standardized(self, teacher: Standardized) -> "FoldedNetwork":
        """This network with the teacher's standardization (equation 7) folded into its last convolution."""
        scale = 1 / teacher.deviation.double()
        weight, bias = self.weights[-1].double(), self.biases[-1].double()
        self.weights[-1] = _frozen(weight * scale.view(-1, 1, 1, 1))
        self.biases[-1] = _frozen((bias - teacher.mean.double()) * scale)
        return self

    def finished(self) -> "FoldedNetwork":
        """This network with its convolutions in the precision asked for; nothing can be folded afterwards."""
        for index in range(self.half_from, len(self.weights)):
            self.weights[index] = nn.Parameter(self.weights[index].half(), requires_grad=False)
            self.biases[index] = nn.Parameter(self.biases[index].half(), requires_grad=False)
        return self

    def normalized(self, pixels: Tensor) -> Tensor:
        """The normalization is folded: nothing is left to do."""
        return pixels

    def convolved(self, x: Tensor, index: int, stride: int = 1, dilation: int = 1) -> Tensor:
        """Convolution `index` with its activation; the last is linear, and its result float32 again.

        From the descriptors on all is float32: a sum of 128 squares overflows FP16 above a deviation of 22.
        """
        weight, bias, groups = self.weights[index], self.biases[index], self.groups[index]
        x = functional.conv2d(x.to(weight.dtype), weight, bias, stride, dilation=dilation, groups=groups)
        if self.watcher is not None:
            self.watcher(float(x.abs().max()))
        return x.float() if index == len(self.weights) - 1 else functional.leaky_relu(x, LEAKY_SLOPE)

    def _append(self, weight: Tensor, bias: Tensor) -> None:
        self.weights.append(_frozen(weight))
        self.biases.append(_frozen(bias))

    def _fold_pixels(self, network: PatchNetwork) -> None:
        weight = self.weights[0].double() / network.pixel_std.double()
        bias = self.biases[0].double() - (weight * network.pixel_mean.double()).sum(dim=(1, 2, 3))
        self.weights[0] = _frozen(weight.flip(1) / 255)
        self.biases[0] = _frozen(bias)


class FoldedBackbone(nn.Module):
    """A backbone that takes raw pixels, [N, 3, H, W], BGR, 0 to 255, in float32, and gives its maps by stage.

    The order of the colours is folded into the first convolution. The normalization cannot be: a backbone pads with
    zeros behind it. With `half` the convolutions behind the first run in FP16; maps are float32 again.
    """

    def __init__(self, features: Features, half: bool = False) -> None:
        super().__init__()
        self.network = copy.deepcopy(features.network)
        convs = [module for module in self.network.modules() if isinstance(module, nn.Conv2d)]
        first = convs[0]
        first.weight = _frozen(first.weight.detach().flip(1))
        if half:
            for conv in convs[1:]:
                conv.half()
        mean, std = (
            torch.tensor(each).flip(0).view(3, 1, 1) * 255 for each in (self.network.pixel_mean, self.network.pixel_std)
        )
        self.register_buffer("pixel_mean", mean)
        self.register_buffer("pixel_factor", 1 / std)

    def forward(self, pixels: Tensor, names: tuple[str, ...]) -> dict[str, Tensor]:
        """Maps [N, C, h, w] of these stages."""
        return self.maps(self.normalized(pixels), names)

    def normalized(self, pixels: Tensor) -> Tensor:
        """Raw pixels as the backbone reads them, but for the order of their colours."""
        return (pixels - self.pixel_mean) * self.pixel_factor  # type: ignore[operator]

    def maps(self, normal: Tensor, names: tuple[str, ...]) -> dict[str, Tensor]:
        """Maps [N, C, h, w] of these stages, of normalized pixels."""
        return {name: found.float() for name, found in self.network.maps(normal, names).items()}


def _frozen(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor.to(torch.float32).contiguous(), requires_grad=False)

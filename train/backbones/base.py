"""What a backbone is: a network pretrained to classify photographs, cut to the stages whose maps describe a part."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Stage:
    """One map of a backbone, [N, `channels`, ceil(H / `stride`), ceil(W / `stride`)].

    Sample k stands for the pixels `stride`·k … `stride`·(k + 1) − 1 in both directions, as everywhere here. The padding
    of strided convolutions puts the middle of its receptive field up to half a stride beside theirs; moving the map by
    as much gained nothing (four sets, even images), so nobody moves it.
    """

    name: str
    channels: int
    stride: int


class Backbone(Protocol):
    """A frozen network. Its convolutions hold their batch normalization, and have biases in its place."""

    stages: tuple[Stage, ...]
    pixel_mean: tuple[float, float, float]  # of RGB in [0, 1]
    pixel_std: tuple[float, float, float]

    def maps(self, pixels: Tensor, names: tuple[str, ...]) -> dict[str, Tensor]:
        """The maps of these stages, of normalized pixels [N, 3, H, W]; nothing behind the last is computed."""


def folded_conv(tensors: Mapping[str, Tensor], conv: str, norm: str, epsilon: float) -> dict[str, Tensor]:
    """Weight and bias of a convolution without a bias and the batch normalization behind it, as one convolution.

    `conv` and `norm` name both in a state dict. Raises `KeyError` for a tensor that is not there.
    """
    mean, variance, scale, shift = (
        tensors[f"{norm}.{part}"].double() for part in ("running_mean", "running_var", "weight", "bias")
    )
    factor = scale / (variance + epsilon).sqrt()
    weight = tensors[f"{conv}.weight"].double() * factor.view(-1, 1, 1, 1)
    return {"weight": weight.float(), "bias": (shift - mean * factor).float()}


class Conv(nn.Conv2d):
    """A convolution that computes in the precision of its weights."""

    def forward(self, x: Tensor) -> Tensor:
        """Of [N, C, H, W]."""
        return super().forward(x.to(self.weight.dtype))


class SamePadded(nn.Conv2d):
    """A convolution that pads as TensorFlow's ``SAME`` does: as little as gives ceil(side / stride), more at the end
    where the number is odd."""

    def forward(self, x: Tensor) -> Tensor:
        """Of [N, C, H, W]."""
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        x = x.to(self.weight.dtype)
        if stride == 1:
            return functional.conv2d(x, self.weight, self.bias, padding=kernel // 2, groups=self.groups)
        before_after = []
        for side in (x.shape[3], x.shape[2]):  # from the last dimension, as `pad` takes them
            missing = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            before_after += [missing // 2, missing - missing // 2]
        x = functional.pad(x, before_after)
        return functional.conv2d(x, self.weight, self.bias, stride, groups=self.groups)

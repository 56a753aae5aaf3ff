"""The patch networks of *Uninformed Students* (Bergmann et al., CVPR 2020, Table 4 and its supplement).

One table describes all three; the network here is the plain one that turns one crop into one descriptor.
`train.dense` evaluates the same weights at every position of an image.
"""

from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from runtime.errors import InputError

DESCRIPTOR_SIZE = 128
LEAKY_SLOPE = 5e-3  # paper, section 4

# ImageNet statistics, RGB in [0, 1]: the patch networks see what the descriptor network P was trained on
PIXEL_MEAN = (0.485, 0.456, 0.406)
PIXEL_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Conv:
    """A convolution of stride 1 without padding."""

    channels: int
    kernel: int


@dataclass(frozen=True)
class Pool:
    """A 2×2 maximum of stride 2, rounding down."""


Layer = Conv | Pool

# Two readings of the paper's table are ours. Its caption puts an activation after every convolution; the last stays
# linear here, so that it can be standardized (eq. 7) and folded. For p = 65 it prints k3 for the last layer, which
# works on a 1×1 map, and both 128 and 256 channels for conv 3: k1 and 256 here.
LAYERS: dict[int, tuple[Layer, ...]] = {
    17: (Conv(128, 6), Conv(256, 5), Conv(256, 5), Conv(DESCRIPTOR_SIZE, 4)),
    33: (Conv(128, 5), Pool(), Conv(256, 5), Pool(), Conv(256, 2), Conv(DESCRIPTOR_SIZE, 4)),
    65: (
        Conv(128, 5), Pool(), Conv(128, 5), Pool(), Conv(256, 5), Pool(), Conv(256, 4), Conv(DESCRIPTOR_SIZE, 1),
    ),
}  # fmt: skip
PATCH_SIZES = tuple(LAYERS)
CHANNEL_STEP = 8  # thinner layers keep to what vector units take at once


def layers_of(patch_size: int, width: float = 1.0) -> tuple[Layer, ...]:
    """The layers of one row of the table, hidden ones with `width` (0 to 1) times the paper's channels.

    The descriptor keeps its 128 dimensions, so that whatever reads descriptors need not know the width; thinner
    networks are ours. Half the channels cost about a quarter of the multiply-adds. Raises `InputError` for a size that
    the table has not, or a width out of range.
    """
    if patch_size not in LAYERS:
        raise InputError(f"patch size {patch_size} is not one of {', '.join(map(str, PATCH_SIZES))}")
    if not 0 < width <= 1:
        raise InputError(f"width is {width:g}; expected a share of the paper's channels above 0, up to 1")
    *hidden, last = LAYERS[patch_size]
    return (*(_thinned(layer, width) for layer in hidden), last)


def _thinned(layer: Layer, width: float) -> Layer:
    if isinstance(layer, Pool):
        return layer
    steps = max(1, round(layer.channels * width / CHANNEL_STEP))
    return replace(layer, channels=steps * CHANNEL_STEP)


def receptive_field(layers: tuple[Layer, ...]) -> int:
    """Side of the square of pixels that one descriptor depends on: 17, 32 and 60 for p = 17, 33 and 65.

    The pools round down, so the nominal patch of p = 33 and 65 has a last row and column that nothing reads.
    """
    side = 1
    for layer in reversed(layers):
        side = side * 2 if isinstance(layer, Pool) else side + layer.kernel - 1
    return side


class PatchNetwork(nn.Module):
    """A teacher or student: a crop of p×p pixels in, a 128-d descriptor out.

    Convolutions use no padding; a leaky ReLU (slope 5e-3) follows each but the last. `width` thins the hidden layers
    (`layers_of`).
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, patch_size: int, width: float = 1.0) -> None:
        super().__init__()
        self.patch_size, self.width = patch_size, width
        self.layers = layers_of(patch_size, width)
        channels = [3] + [layer.channels for layer in self.layers if isinstance(layer, Conv)]
        kernels = [layer.kernel for layer in self.layers if isinstance(layer, Conv)]
        self.convs = nn.ModuleList(
            nn.Conv2d(c_in, c_out, kernel)
            for c_in, c_out, kernel in zip(channels[:-1], channels[1:], kernels, strict=True)
        )
        # not saved with the weights: they are part of the definition, as the layers are
        self.register_buffer("pixel_mean", torch.tensor(PIXEL_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(PIXEL_STD).view(3, 1, 1), persistent=False)
        self._initialize()

    def _initialize(self) -> None:
        """He initialization, which keeps the activations' scale through the leaky ReLUs; the paper names none."""
        for conv in map(self.conv, range(len(self.convs))):
            nn.init.kaiming_normal_(conv.weight, a=LEAKY_SLOPE, nonlinearity="leaky_relu")
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)

    def conv(self, index: int) -> nn.Conv2d:
        """The convolution number `index`, from the input on."""
        return cast(nn.Conv2d, self.convs[index])

    def convolved(self, x: Tensor, index: int, stride: int = 1, dilation: int = 1) -> Tensor:
        """Convolution `index` with its activation; the last is linear."""
        conv = self.conv(index)
        x = functional.conv2d(x, conv.weight, conv.bias, stride=stride, dilation=dilation)
        return x if index == len(self.convs) - 1 else functional.leaky_relu(x, LEAKY_SLOPE)

    def normalized(self, pixels: Tensor) -> Tensor:
        """Pixels [N, 3, H, W], RGB in [0, 1], as the first convolution expects them."""
        return (pixels - self.pixel_mean) / self.pixel_std

    def forward(self, patches: Tensor) -> Tensor:
        """Descriptors [N, 128] of patches [N, 3, p, p], RGB in [0, 1]."""
        x = self.normalized(patches)
        index = 0
        for layer in self.layers:
            if isinstance(layer, Pool):
                x = functional.max_pool2d(x, 2)
            else:
                x, index = self.convolved(x, index), index + 1
        if x.shape[2:] != (1, 1):
            raise InputError(
                f"a patch network of p = {self.patch_size} got crops of {tuple(patches.shape[2:])} pixels; "
                "use train.dense for whole images"
            )
        return x.flatten(1)

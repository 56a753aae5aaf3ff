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
    """A convolution of stride 1 without padding. A `depthwise` one filters each channel by itself."""

    channels: int
    kernel: int
    depthwise: bool = False


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


def layers_of(patch_size: int, width: float = 1.0, separable: bool = False) -> tuple[Layer, ...]:
    """The layers of one row of the table, hidden ones with `width` (0 to 1) times the paper's channels.

    The descriptor keeps its 128 dimensions, so that whatever reads descriptors need not know the width; thinner
    networks are ours. Half the channels cost about a quarter of the multiply-adds. `separable` makes each convolution
    but the first, which reads three colours only, a depthwise one and one of 1×1, each with its activation (Howard et
    al., *MobileNets*, 2017): about an eighth of the multiply-adds. Raises `InputError` for a size that the table has
    not, or a width out of range.
    """
    if patch_size not in LAYERS:
        raise InputError(f"patch size {patch_size} is not one of {', '.join(map(str, PATCH_SIZES))}")
    if not 0 < width <= 1:
        raise InputError(f"width is {width:g}; expected a share of the paper's channels above 0, up to 1")
    *hidden, last = LAYERS[patch_size]
    layers = (*(_thinned(layer, width) for layer in hidden), last)
    return _separated(layers) if separable else layers


def _thinned(layer: Layer, width: float) -> Layer:
    if isinstance(layer, Pool):
        return layer
    steps = max(1, round(layer.channels * width / CHANNEL_STEP))
    return replace(layer, channels=steps * CHANNEL_STEP)


def _separated(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    first, *others = layers
    assert isinstance(first, Conv)
    separated: list[Layer] = [first]
    channels = first.channels
    for layer in others:
        if isinstance(layer, Conv) and layer.kernel > 1:
            separated += [Conv(channels, layer.kernel, depthwise=True), Conv(layer.channels, 1)]
        else:
            separated.append(layer)
        channels = layer.channels if isinstance(layer, Conv) else channels
    return tuple(separated)


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

    Convolutions use no padding; a leaky ReLU (slope 5e-3) follows each but the last. `width` thins the hidden layers,
    `separable` splits them (`layers_of`).
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, patch_size: int, width: float = 1.0, separable: bool = False) -> None:
        super().__init__()
        self.patch_size, self.width, self.separable = patch_size, width, separable
        self.layers = layers_of(patch_size, width, separable)
        convs = [layer for layer in self.layers if isinstance(layer, Conv)]
        channels = [3, *(conv.channels for conv in convs)]
        self.convs = nn.ModuleList(
            nn.Conv2d(c_in, conv.channels, conv.kernel, groups=c_in if conv.depthwise else 1)
            for c_in, conv in zip(channels[:-1], convs, strict=True)
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
        x = functional.conv2d(x, conv.weight, conv.bias, stride, dilation=dilation, groups=conv.groups)
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

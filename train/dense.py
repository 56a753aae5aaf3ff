"""Dense extraction: a patch network's descriptor at every position of an image, computed once per shared pixel.

Two forms give the same result (Bailer et al., *Fast Feature Extraction with CNNs with Pooling Layers*, BMVC 2017):

- ``atrous``: each pool becomes a 2×2 maximum of stride 1, and the layers behind it are dilated;
- ``bailer``: each pool is taken at all four shifts, the shifts go into the batch axis (multi-pooling), and the results
  are interleaved at the end (unwarping).

An output stride s keeps every s-th position: a pool whose shifts nobody needs stays an ordinary pool, and what is left
of s thins the last convolution.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from runtime.errors import InputError
from train.networks import Conv, Layer, Pool, receptive_field

Form = Literal["bailer", "atrous"]
FORMS: tuple[Form, ...] = ("bailer", "atrous")
OUTPUT_STRIDES = (1, 2, 4, 8)


class Convolutions(Protocol):
    """What dense extraction needs of a network: a `PatchNetwork`, or its folded copy on export."""

    layers: tuple[Layer, ...]

    def normalized(self, pixels: Tensor) -> Tensor:
        """Pixels as the first convolution expects them."""

    def convolved(self, x: Tensor, index: int, stride: int = 1, dilation: int = 1) -> Tensor:
        """Convolution `index` with its activation."""


@dataclass(frozen=True)
class Axis:
    """How one image axis is covered: `positions` descriptors, and the reflected pixels before and behind."""

    positions: int
    before: int
    behind: int


@dataclass(frozen=True)
class Window:
    """A rectangle of positions of the stride-1 map."""

    top: int
    left: int
    height: int
    width: int


def axis(layers: tuple[Layer, ...], length: int, stride: int) -> Axis:
    """Cover an axis of `length` pixels with ceil(length / stride) receptive fields.

    Sample k stands for the pixels s·k … s·k + s − 1: the centre of its receptive field lies in the middle of them, to
    within half a pixel where the two cannot meet (receptive field − s odd).
    """
    field = receptive_field(layers)
    positions = -(-length // stride)
    before = (field - stride + 1) // 2
    return Axis(positions, before, (positions - 1) * stride + field - before - length)


def dense_descriptors(network: Convolutions, pixels: Tensor, stride: int = 1, form: Form = "bailer") -> Tensor:
    """Descriptors [N, 128, ceil(H/s), ceil(W/s)] of images [N, 3, H, W], RGB in [0, 1].

    Borders are reflected. Raises `InputError` for images smaller than about half a receptive field.
    """
    return descriptors_of_padded(network, reflect_padded(network.layers, pixels, stride), stride, form, pixels.shape)


def reflect_padded(layers: tuple[Layer, ...], pixels: Tensor, stride: int) -> Tensor:
    """`pixels` [N, 3, H, W] with the halo that every receptive field of the dense map needs, by reflection."""
    height, width = pixels.shape[2:]
    rows, columns = axis(layers, height, stride), axis(layers, width, stride)
    smallest = max(rows.before, rows.behind, columns.before, columns.behind) + 1
    if min(height, width) < smallest:
        raise InputError(f"an image of {height}×{width} pixels is too small to reflect; use {smallest} or more")
    return functional.pad(pixels, (columns.before, columns.behind, rows.before, rows.behind), mode="reflect")


def forms_differ(layers: tuple[Layer, ...], stride: int) -> bool:
    """Whether the forms are two computations at this output stride: only where a pool is taken at all its shifts."""
    return _multi_pools(layers, stride) > 0


def descriptors_of_padded(
    network: Convolutions, padded: Tensor, stride: int, form: Form, image_shape: tuple[int, ...] | torch.Size
) -> Tensor:
    """Descriptors of images that carry their halo already; `image_shape` is that of the images without it."""
    rows, columns = (-(-length // stride) for length in image_shape[-2:])
    x = network.normalized(padded)
    if form == "bailer":
        x = _bailer(network, x, stride, rows, columns)
    else:
        x = _atrous(network, x, stride)
    return x[:, :, :rows, :columns]


def descriptors_in_window(
    network: Convolutions, padded: Tensor, window: Window, stride: int, form: Form = "atrous"
) -> Tensor:
    """Every s-th descriptor of a window of the stride-1 map: [N, 128, ceil(height/s), ceil(width/s)].

    `padded` are images with the halo of stride 1 (`reflect_padded`). A random window samples all positions cheaply.
    """
    field = receptive_field(network.layers)
    rows = slice(window.top, window.top + window.height + field - 1)
    columns = slice(window.left, window.left + window.width + field - 1)
    shape = (window.height, window.width)
    return descriptors_of_padded(network, padded[:, :, rows, columns], stride, form, shape)


def _atrous(network: Convolutions, x: Tensor, stride: int) -> Tensor:
    dilation, left, index = 1, stride, 0
    for layer in network.layers:
        if isinstance(layer, Pool):
            if left > 1:
                x, left = functional.max_pool2d(x, 2), left // 2
            else:
                x, dilation = _shifted_maximum(x, dilation), dilation * 2
        else:
            x, index = network.convolved(x, index, _stride(network, index, left), dilation), index + 1
    return x


def _bailer(network: Convolutions, x: Tensor, stride: int, rows: int, columns: int) -> Tensor:
    left, index, warps = stride, 0, 0
    shifts = _multi_pools(network.layers, stride)
    x = _extended(x, *(_bailer_length(network.layers, -(-n // 2**shifts), stride) for n in (rows, columns)))
    for layer in network.layers:
        if isinstance(layer, Conv):
            x, index = network.convolved(x, index, _stride(network, index, left)), index + 1
        elif left > 1:
            x, left = functional.max_pool2d(x, 2), left // 2
        else:
            x, warps = _warped(functional.max_pool2d(x, 2, stride=1)), warps + 1
    for _ in range(warps):
        x = _unwarped(x)
    return x


def _stride(network: Convolutions, index: int, left: int) -> int:
    """The last convolution takes whatever stride the pools have left over."""
    last = sum(isinstance(layer, Conv) for layer in network.layers) - 1
    return left if index == last else 1


def _shifted_maximum(x: Tensor, dilation: int) -> Tensor:
    """2×2 maximum of stride 1 with dilation, as slices: TensorRT's parser rejects MaxPool with dilations."""
    x = torch.maximum(x[:, :, :-dilation], x[:, :, dilation:])
    return torch.maximum(x[:, :, :, :-dilation], x[:, :, :, dilation:])


def _multi_pools(layers: tuple[Layer, ...], stride: int) -> int:
    """How many pools are taken at all four shifts: those that the output stride does not use up."""
    pools = sum(isinstance(layer, Pool) for layer in layers)
    used = int(stride).bit_length() - 1
    return max(0, pools - used)


def _bailer_length(layers: tuple[Layer, ...], outputs: int, stride: int) -> int:
    """Pixels along an axis from which every shift yields exactly `outputs` descriptors."""
    ordinary = sum(isinstance(layer, Pool) for layer in layers) - _multi_pools(layers, stride)
    left = stride // 2**ordinary
    length: int = (outputs - 1) * left + 1
    pools_behind = 0
    for layer in reversed(layers):
        if isinstance(layer, Conv):
            length += layer.kernel - 1
        else:
            multi = pools_behind < _multi_pools(layers, stride)
            length = 2 * length + 1 if multi else 2 * length
            pools_behind += 1
    return length


def _extended(x: Tensor, height: int, width: int) -> Tensor:
    """Cut or zero-extend to the given size; the positions that read the extension are cut off after unwarping."""
    x = x[:, :, :height, :width]
    behind_y, behind_x = height - x.shape[2], width - x.shape[3]
    return functional.pad(x, (0, behind_x, 0, behind_y)) if behind_y or behind_x else x


def _warped(x: Tensor) -> Tensor:
    """[B, C, 2h, 2w] → [4B, C, h, w]: the four shifts of a pool, side by side in the batch axis."""
    c, h, w = x.shape[1], x.shape[2] // 2, x.shape[3] // 2
    x = x.reshape(-1, c, h, 2, w, 2).permute(3, 5, 0, 1, 2, 4)  # [2, 2, B, C, h, w]
    return x.reshape(-1, c, h, w)


def _unwarped(x: Tensor) -> Tensor:
    """[4B, C, h, w] → [B, C, 2h, 2w]: interleave the shifts that `_warped` set apart."""
    c, h, w = x.shape[1:]
    x = x.reshape(2, 2, -1, c, h, w).permute(2, 3, 4, 0, 5, 1)  # [B, C, h, 2, w, 2]
    return x.reshape(-1, c, 2 * h, 2 * w)

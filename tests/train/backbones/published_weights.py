"""State dicts as others publish them, of random weights and random batch norm statistics."""

import math
from typing import Any, NamedTuple

import torch
import torchvision
from torch import Tensor, nn


class Block(NamedTuple):
    """One inverted bottleneck of EfficientNet-Lite."""

    kernel: int
    stride: int
    expansion: int
    width_in: int
    width: int


# EfficientNet-B0, from the paper's Table 1: kernel, stride, expansion, channels, repeats
STAGES = ((3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3), (5, 2, 6, 192, 4))
SCALES = {"efficientnet-lite0": (1.0, 1.0), "efficientnet-lite1": (1.0, 1.1), "efficientnet-lite2": (1.1, 1.2)}


def lite_blocks(name: str) -> list[list[Block]]:
    """Blocks by stage: channels to the nearest 8, never a tenth less; repeats up, but for the first stage."""
    width, depth = SCALES[name]
    found, before = [], 32
    for index, (kernel, stride, expansion, channels, repeats) in enumerate(STAGES):
        rounded = max(8, int(channels * width + 4) // 8 * 8)
        rounded += 8 if rounded < 0.9 * channels * width else 0
        count = repeats if index == 0 else math.ceil(repeats * depth)
        blocks = [Block(kernel, stride, expansion, before, rounded)]
        blocks += [Block(kernel, 1, expansion, rounded, rounded)] * (count - 1)
        found.append(blocks)
        before = rounded
    return found


def lite_state(name: str) -> dict[str, Tensor]:
    """A state dict in the names of efficientnet-lite-pytorch, with a stage of stride 32 and the classifier."""
    torch.manual_seed(0)
    state: dict[str, Tensor] = {}

    def conv(place: str, norm: str, width_in: int, width: int, kernel: int) -> None:
        weight = torch.randn(width, width_in, kernel, kernel) / math.sqrt(width_in * kernel**2 / 2)
        state.update({f"{place}.weight": weight, f"{norm}.num_batches_tracked": torch.tensor(3)})
        state.update({f"{norm}.{key}": value for key, value in random_norm(width).items()})

    conv("_conv_stem", "_bn0", 3, 32, 3)
    blocks = [block for stage in lite_blocks(name) for block in stage]
    for index, block in enumerate(blocks):
        place, inner = f"_blocks.{index}.", block.width_in * block.expansion
        if block.expansion > 1:
            conv(f"{place}_expand_conv", f"{place}_bn0", block.width_in, inner, 1)
        conv(f"{place}_depthwise_conv", f"{place}_bn1", 1, inner, block.kernel)
        conv(f"{place}_project_conv", f"{place}_bn2", inner, block.width, 1)
    conv("_conv_head", "_bn1", blocks[-1].width, 16, 1)
    return {**state, "_fc.weight": torch.randn(4, 16), "_fc.bias": torch.randn(4)}


def random_norm(width: int) -> dict[str, Tensor]:
    """Statistics and scale of a batch norm that does something to each channel."""
    return {
        "weight": torch.rand(width) + 0.5,
        "bias": torch.randn(width) * 0.3,
        "running_mean": torch.randn(width) * 0.3,
        "running_var": torch.rand(width) + 0.5,
    }


def random_resnet(depth: int = 18) -> Any:
    """Torchvision's ResNet with random weights and statistics."""
    torch.manual_seed(0)
    network = getattr(torchvision.models, f"resnet{depth}")(weights=None).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.load_state_dict(random_norm(module.num_features), strict=False)
    return network

"""Square patches of frames: drawn at random to train on, and laid over a whole frame to score it."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from benchmarks.methods.base import Frames, as_pixels
from benchmarks.methods.training import PATCHES
from runtime.errors import InputError
from train.seeds import generator

CHUNK = 64  # patches scored at once


def check_patch(size_hw: tuple[int, int], side: int, stride: int) -> None:
    """Raise `InputError` for patches that do not fit into frames, or a stride that would leave gaps."""
    if side > min(size_hw):
        raise InputError(
            f"patches of {side} pixels do not fit into frames of {size_hw[0]}×{size_hw[1]}; use larger ones"
        )
    if not 1 <= stride <= side:
        raise InputError(f"stride is {stride}; expected 1 to {side}, the side of a patch, or gaps would go unseen")


def random_patches(good: Frames, indices: Tensor, side: int, device: str, seed: int, step: int) -> Tensor:
    """A patch at a random place of each frame that `indices` [b] names: float32 [b, 3, side, side], RGB in [0, 1]."""
    draw = generator(seed, PATCHES, step)
    height, width = good.shape[1:3]
    tops = torch.randint(height - side + 1, (len(indices),), generator=draw).tolist()
    lefts = torch.randint(width - side + 1, (len(indices),), generator=draw).tolist()
    cut = [
        good[index, top : top + side, left : left + side]
        for index, top, left in zip(indices.tolist(), tops, lefts, strict=True)
    ]
    return as_pixels(np.stack(cut), device)


def starts(length: int, side: int, stride: int) -> list[int]:
    """Where patches begin along an axis: every `stride` pixels, and once more at the very end."""
    last = length - side
    return [*range(0, last, stride), last]


def averaged_over_patches(pixels: Tensor, side: int, stride: int, score: Callable[[Tensor], Tensor]) -> Tensor:
    """A map [H, W] of one image [3, H, W]: the mean, over the patches that cover a pixel, of what `score` says of it.

    `score` turns patches [b, 3, side, side] into maps [b, side, side].
    """
    height, width = pixels.shape[1:]
    corners = [(top, left) for top in starts(height, side, stride) for left in starts(width, side, stride)]
    total, count = torch.zeros_like(pixels[0]), torch.zeros_like(pixels[0])
    for first in range(0, len(corners), CHUNK):
        chunk = corners[first : first + CHUNK]
        maps = score(torch.stack([pixels[:, top : top + side, left : left + side] for top, left in chunk]))
        for (top, left), found in zip(chunk, maps, strict=True):
            total[top : top + side, left : left + side] += found
            count[top : top + side, left : left + side] += 1
    return total / count

"""Good frames of soft stripes, others with a square that does not belong, and a tiny random backbone."""

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.methods.base import Frames, as_pixels

SIDE = 32
SQUARE = (slice(10, 20), slice(16, 26))


class TinyStages:
    """Two random convolutions, at half and a quarter of the frame's size, as a backbone's stages."""

    identity = "tiny"

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 8, 3, 2, 1).requires_grad_(False)
        self.second = nn.Conv2d(8, 12, 3, 2, 1).requires_grad_(False)
        self.calls = 0

    def __call__(self, frames: Frames, names: Sequence[str]) -> list[Tensor]:
        self.calls += 1
        first = self.first(as_pixels(frames, "cpu")).relu()
        found = {"layer2": first, "layer3": self.second(first).relu()}
        return [found[name] for name in names]


def textured(count: int, seed: int) -> Frames:
    """Soft stripes with soft noise, uint8 [n, 32, 32, 3]."""
    noise = np.random.default_rng(seed).normal(0, 20, (count, SIDE, SIDE, 3))
    soft = np.stack([cv2.GaussianBlur(frame, (0, 0), 1.5) for frame in noise])
    stripes = 40 * np.sin(2 * np.pi * np.arange(SIDE) / 16)
    return (128 + soft + stripes[:, None]).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def good() -> Frames:
    return textured(12, 0)


@pytest.fixture(scope="session")
def unseen() -> Frames:
    """Good frames that no method was fitted on."""
    return textured(4, 1)


@pytest.fixture(scope="session")
def planted() -> Frames:
    """The same as `unseen`, each with a checkered square."""
    frames = textured(4, 1)
    rows, columns = np.indices((10, 10))
    checkered: NDArray[np.uint8] = np.where((rows // 2 + columns // 2) % 2, 250, 10).astype(np.uint8)
    frames[:, SQUARE[0], SQUARE[1]] = checkered[:, :, None]
    return frames


@pytest.fixture
def stages() -> TinyStages:
    return TinyStages()

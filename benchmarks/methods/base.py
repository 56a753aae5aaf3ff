"""What a compared method is: fitted on good frames alone, it then maps and scores others.

Every method takes prepared frames (`runtime.preparation.scaled`), uint8 [n, H, W, 3], BGR, all of one size, so that no
method is better prepared than another.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from runtime.errors import InputError

Frames = NDArray[np.uint8]
Maps = NDArray[np.float32]
Scores = NDArray[np.float32]
State = TypeVar("State")
LARGEST_SEED = 2**32 - 1  # scikit-learn takes no other


@dataclass(frozen=True)
class Inspected:
    """What a method says of n frames; `maps` is None for a method that judges whole images alone."""

    maps: Maps | None  # float32 [n, H, W], high where anomalous
    scores: Scores  # float32 [n]


@dataclass(frozen=True)
class Setting:
    """What every method is given beside its own options."""

    seed: int = 0
    device: str = "cpu"
    teacher: str = "p33"  # a shipped teacher or a file, for the methods over teacher descriptors
    backbone: str = "resnet18"  # a name that `train.descriptor` knows
    weights: Path | None = None  # of the backbone; None lets torchvision download them
    features: Path | None = None  # folder that keeps features; None keeps none
    features_bytes: int = 4 << 30  # most that the folder may hold
    runs: Path | None = None  # folder that keeps trained students; None trains in a temporary one

    def __post_init__(self) -> None:
        if not 0 <= self.seed <= LARGEST_SEED:
            raise InputError(f"the seed is {self.seed}; expected 0 to {LARGEST_SEED}")


class Method(Protocol):
    """A method as the tables see it."""

    def fit(self, good: Frames) -> None:
        """Learn from good frames. Raises `InputError` for frames of another shape or too few of them."""

    def inspect(self, frames: Frames) -> Inspected:
        """Maps and scores of frames of the fitted size. Raises `InputError` for other shapes, or before `fit`."""


class MapMethod(Method, Protocol):
    """A method whose image scores follow from its maps."""

    def maps(self, frames: Frames) -> Maps:
        """Anomaly maps, float32 [n, H, W], of frames of the fitted size. Raises as `inspect`."""

    def scores(self, maps: Maps) -> Scores:
        """Image scores, float32 [n]: the highest value of each map, unless a method says otherwise."""
        return np.asarray(maps.max(axis=(1, 2)), np.float32)

    def inspect(self, frames: Frames) -> Inspected:
        """Maps, and the scores that follow from them."""
        maps = self.maps(frames)
        return Inspected(maps, self.scores(maps))


def check_frames(frames: Frames, size_hw: tuple[int, int] | None = None) -> tuple[int, int]:
    """The size of frames. Raises `InputError` unless they are uint8 [n, H, W, 3], n ≥ 1, of `size_hw` where given."""
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or not len(frames):
        raise InputError(
            f"a method got {frames.dtype} frames of shape {list(frames.shape)}; expected uint8 [n, H, W, 3], n ≥ 1"
        )
    found = int(frames.shape[1]), int(frames.shape[2])
    if size_hw is not None and found != size_hw:
        raise InputError(
            f"a method fitted on frames of {size_hw[0]}×{size_hw[1]} pixels got {found[0]}×{found[1]};"
            " prepare all frames at one size"
        )
    return found


def fitted(state: State | None) -> State:
    """What `fit` left. Raises `InputError` when it was never called."""
    if state is None:
        raise InputError("the method was not fitted yet; call fit with good frames first")
    return state


def at_frame_size(maps: Tensor, size_hw: tuple[int, int]) -> Maps:
    """Maps [n, h, w] as float32 [n, H, W], bilinear between the centres of the cells, borders repeated."""
    resized = functional.interpolate(maps[:, None].float(), size_hw, mode="bilinear", align_corners=False)
    return np.asarray(resized[:, 0].cpu().numpy(), np.float32)


def as_pixels(frames: Frames, device: str) -> Tensor:
    """Frames as float32 [n, 3, H, W] on `device`, RGB in [0, 1]."""
    from train.ensemble import pixels_from_frames

    return pixels_from_frames(torch.from_numpy(np.ascontiguousarray(frames)).to(device))

"""What good images show at each position of a frame: the statistics behind `calibration.maps.by_position`.

They come from two sets of images that count the same: those that the students were trained on, which are many, and
those of equation 11's statistics, which are few. On the first the students err too little, where they have learnt by
heart most of all, so that the second keep places from looking more certain than they are. A threshold is fitted to
neither, and holds for new parts whatever they gave.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from calibration.maps import Positions, smoothed, within
from runtime.atomic import write_atomically
from runtime.errors import InputError

SMOOTHING = 4.0  # σ in pixels of the prepared frame: what a place shows, its neighbours show too
PRIOR_IMAGES = 1  # so many images more that show everywhere what all show on average: for few images, and still places


def fit_positions(
    maps: Callable[[NDArray[np.uint8]], Tensor],
    sets: Sequence[Iterable[NDArray[np.uint8]]],
    size_hw: tuple[int, int],
    region: tuple[int, int, int, int] | None,
) -> Positions:
    """Mean and deviation of anomaly maps at each position over sets of prepared frames [N, H, W, 3].

    `maps` gives those of frames, [N, H, W]. Sums are in float64, and each set counts the same. Both are smoothed over
    neighbouring positions, and drawn a little towards their means over the region of interest.
    """
    powers, count = [], 0
    for batches in sets:
        total, size = torch.zeros(2, *size_hw, dtype=torch.float64), 0
        for frames in batches:
            found = maps(frames).double()
            total += torch.stack([found.sum(dim=0), found.square().sum(dim=0)]).cpu()
            size += len(found)
        powers.append(total / size)
        count += size
    first, second = torch.stack(powers).mean(dim=0)

    def drawn(values: torch.Tensor) -> torch.Tensor:
        values = smoothed(values[None], SMOOTHING)
        return ((count * values + PRIOR_IMAGES * within(values, region).mean()) / (count + PRIOR_IMAGES))[0]

    mean = drawn(first)
    variance = drawn((second - 2 * mean * first + mean.square()).clamp(min=0))
    return Positions(mean.float(), variance.sqrt().clamp(min=1e-12).float())


def save_positions(path: Path, positions: Positions) -> str:
    """Write them; returns the file's SHA-256."""
    tensors = {"mean": positions.mean, "deviation": positions.deviation}
    content = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    write_atomically(path, content)
    return hashlib.sha256(content).hexdigest()


def load_positions(path: Path, sha256: str) -> Positions:
    """Read them. Raises `InputError` for a file that is missing or not the one of that hash."""
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise InputError(f"{path.name} is not the one that was written with it")
        return Positions(**load(content))
    except (OSError, SafetensorError, TypeError) as error:
        raise InputError(f"{path.name} is missing or damaged") from error

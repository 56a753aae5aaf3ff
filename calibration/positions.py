"""What good images show at each position of a frame: the statistics behind `calibration.scoring.by_position`.

They come from the images that the students were trained on. These are the many, and a threshold that is fitted to
other images holds for new parts whatever the training images gave. The students err less on them than on new parts, by
about as much everywhere, which moves all scores and not their order.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save

from calibration.scoring import Moments, Positions, smoothed, within
from runtime.atomic import write_atomically
from runtime.errors import InputError

if TYPE_CHECKING:
    from calibration.model import TrainedRun

SMOOTHING = 4.0  # σ in pixels of the prepared frame: what a place shows, its neighbours show too
PRIOR_IMAGES = 1  # so many images more that show everywhere what all show on average: for few images, and still places


def fit_positions(trained: "TrainedRun", moments: "list[Moments]", batches: Iterable[NDArray[np.uint8]]) -> Positions:
    """Mean and deviation of the anomaly map at each position over prepared frames [N, H, W, 3], summed in float64.

    Both are smoothed over neighbouring positions, and drawn a little towards their means over the region of interest.
    """
    region = trained.config.region_of_interest
    total = torch.zeros(2, *trained.config.size_hw, dtype=torch.float64)
    count = 0
    for frames in batches:
        maps = trained.maps(frames, moments).double()
        total += torch.stack([maps.sum(dim=0), maps.square().sum(dim=0)]).cpu()
        count += len(maps)
    first, second = total / count

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

"""What good images show at each position of a frame: the statistics behind `calibration.maps.by_position`.

Of students they come from two sets of images that count the same: those that the students were trained on, which are
many, and those of equation 11's statistics, which are few. On the first the students err too little, where they have
learnt by heart most of all, so that the second keep places from looking more certain than they are. Of a method that
leaves out images in turn they come from its reference images, each left out. A threshold is fitted to none of these,
and holds for new parts whatever they gave.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibration.maps import Positions, smoothed, within

SMOOTHING = 4.0  # σ in pixels of the prepared frame: what a place shows, its neighbours show too
PRIOR_IMAGES = 1  # so many images more that show everywhere what all show on average: for few images, and still places


def fit_positions(
    sets: Sequence[Iterable[Tensor]], size_hw: tuple[int, int], region: tuple[int, int, int, int] | None
) -> Positions:
    """Mean and deviation at each position over sets of anomaly maps [N, H, W].

    Sums are in float64, and each set counts the same. Both are smoothed over neighbouring positions, and drawn a little
    towards their means over the region of interest.
    """
    powers, count = [], 0
    for maps in sets:
        total, size = torch.zeros(2, *size_hw, dtype=torch.float64), 0
        for each in maps:
            found = each.double()
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


def in_score_units(positions: Positions, scores: NDArray[np.float64]) -> Positions:
    """Positions by which these scores [n], taken from maps `by_position`, have zero mean and unit deviation.

    So the map has the unit of image evidence (`calibration.image_evidence`), and the higher of both is the score.
    """
    mean, deviation = float(scores.mean()), max(float(scores.std(ddof=1)), 1e-9)
    return Positions(positions.mean + mean * positions.deviation, positions.deviation * deviation)

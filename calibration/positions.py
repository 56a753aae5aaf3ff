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

from calibration.maps import Positions
from calibration.statistics import fit_map, unit_of
from runtime.interest import Interest, inspected


def fit_positions(sets: Sequence[Iterable[Tensor]], size_hw: tuple[int, int], region: Interest | None) -> Positions:
    """Mean and deviation at each position over sets of anomaly maps [N, H, W]; see `calibration.statistics.fit_map`."""
    chosen = inspected(region, size_hw)
    maps = [(each.numpy() for batch in batches for each in batch.cpu()) for batches in sets]
    mean, deviation = fit_map(maps, size_hw, None if chosen is None else chosen.mask)
    return Positions(torch.from_numpy(mean), torch.from_numpy(deviation))


def in_score_units(positions: Positions, scores: NDArray[np.float64]) -> Positions:
    """Positions by which these scores [n], taken from maps `by_position`, have zero mean and unit deviation.

    So the map has the unit of image evidence (`calibration.image_evidence`), and the higher of both is the score.
    """
    unit = unit_of(scores)
    return Positions(positions.mean + unit.mean * positions.deviation, positions.deviation * unit.deviation)

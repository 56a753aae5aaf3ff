"""From evidence to a score, written plainly and once for all methods: what calibration and the parity gate go by.

The exported graph computes the same in fewer operations (`export.fused`); `export.parity` compares the two.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from calibration.statistics import Moments
from runtime.interest import Interest, RegionsOfInterest, inspected
from runtime.scoring import Scoring, smoothing_reach


@dataclass(frozen=True)
class Positions:
    """Mean and deviation [H, W] of the anomaly map at each position, over good images (see `calibration.positions`)."""

    mean: Tensor
    deviation: Tensor


def upsampled(evidence: Tensor, size_hw: tuple[int, int], stride: int) -> Tensor:
    """Evidence [N, K, h, w] of every `stride`-th position as [N, K, H, W]: bilinear between the centres of the samples.

    Sample k stands for the pixels stride·k … stride·(k + 1) − 1 (see `train.dense.axis`); borders are repeated.
    """
    if stride == 1:
        return evidence
    x = functional.interpolate(evidence, scale_factor=float(stride), mode="bilinear", align_corners=False)
    return x[:, :, : size_hw[0], : size_hw[1]]


def normalized(evidence: Tensor, moments: Sequence[Moments]) -> Tensor:
    """Equation 11: evidence [N, K, H, W], each kind with zero mean and unit deviation over good images."""
    mean, deviation = (
        _each_kind([getattr(each, name) for each in moments], evidence) for name in ("mean", "deviation")
    )
    return (evidence - mean) / deviation


def anomaly_map(normalized_evidence: Tensor, weights: Sequence[float], scoring: Scoring) -> Tensor:
    """Equation 12: the weighted sum of normalized evidence [N, K, H, W] over its kinds, [N, H, W], `smoothed`."""
    weighted = normalized_evidence * _each_kind(weights, normalized_evidence)
    return smoothed(weighted.sum(dim=1), scoring.smoothing)


def _each_kind(values: Sequence[float], evidence: Tensor) -> Tensor:
    """One value for each kind as [K, 1, 1], of the type and on the device of evidence [N, K, H, W]."""
    return torch.tensor(values, dtype=evidence.dtype, device=evidence.device).view(-1, 1, 1)


def smoothed(maps: Tensor, sigma: float) -> Tensor:
    """Maps [N, H, W] under a Gaussian of `sigma` pixels, cut off at three; borders are reflected. 0 changes nothing.

    Ours: the paper smoothes nothing, other methods do (PatchCore, by 4 pixels).
    """
    if not sigma:
        return maps
    reach = smoothing_reach(sigma)
    offsets = torch.arange(-reach, reach + 1, dtype=maps.dtype, device=maps.device)
    kernel = torch.exp(-0.5 * (offsets / sigma).square())
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
    x = functional.pad(maps[:, None], (reach, reach, reach, reach), mode="reflect")
    return functional.conv2d(functional.conv2d(x, kernel), kernel.transpose(2, 3))[:, 0]


def by_position(maps: Tensor, positions: Positions) -> Tensor:
    """Anomaly maps [N, H, W] in deviations from what good images show at each position, [N, H, W].

    Ours: the paper has one mean and one deviation for all pixels (equation 11). Good parts vary more in some places
    than in others, at the border of a frame above all, and there outshine a defect that lies where nothing varies.
    """
    return (maps - positions.mean.to(maps.device)) / positions.deviation.to(maps.device)


def anomaly_score(scored_map: Tensor, scoring: Scoring) -> Tensor:
    """Score [N] of maps [N, H, W], `by_position` or not: the mean of the highest values in the region of interest.

    The paper scores pixels only; the maximum, one highest value, is the usual step from there to an image.
    """
    inside = within(scored_map, scoring.region_of_interest)
    return inside.topk(scoring.score_pixels, dim=1).values.mean(dim=1)


def within(maps: Tensor, region_of_interest: Interest | None) -> Tensor:
    """The values [..., n] of maps [..., H, W] at the n pixels inside the region of interest, row after row."""
    if isinstance(region_of_interest, RegionsOfInterest):
        found = inspected(region_of_interest, (maps.shape[-2], maps.shape[-1]))
        assert found is not None
        return maps[..., torch.tensor(found.mask, device=maps.device)]
    if region_of_interest is not None:
        top, left, height, width = region_of_interest
        maps = maps[..., top : top + height, left : left + width]
    return maps.flatten(-2)

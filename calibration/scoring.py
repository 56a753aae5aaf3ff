"""Equations 8 to 12 of the paper, written plainly: the one definition of a score, for calibration and the parity gate.

The exported graph computes the same in fewer operations; `export.parity` compares the two.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from train.ensemble import Scale

SMOOTHING_REACH = 3.0  # deviations at which the Gaussian is cut off


@dataclass(frozen=True)
class Moments:
    """Means and deviations of one scale's two terms over all pixels of good images (for equation 11)."""

    error_mean: float
    error_std: float
    variance_mean: float | None  # None with a single student, which has no variance
    variance_std: float | None


@dataclass(frozen=True)
class Positions:
    """Mean and deviation [H, W] of the anomaly map at each position, over good images (see `calibration.positions`)."""

    mean: Tensor
    deviation: Tensor


def regression_error(students: Tensor, teacher: Tensor) -> Tensor:
    """Equations 8 and 9: ‖mean_i S_i − T‖², [N, h, w].

    Of students [M, N, 128, h, w] and the standardized teacher [N, 128, h, w].
    """
    return (students.mean(dim=0) - teacher).square().sum(dim=1)


def predictive_variance(students: Tensor) -> Tensor:
    """Equation 10: 1/M Σ_i ‖S_i − mean‖², [N, h, w], of students [M, N, 128, h, w].

    In two passes, which equals the paper's mean of squares minus square of the mean and loses nothing in cancellation.
    """
    return (students - students.mean(dim=0)).square().sum(dim=2).mean(dim=0)


def relative(term: Tensor, teacher: Tensor) -> Tensor:
    """A term [N, h, w] in relation to how far the standardized teacher [N, 128, h, w] lies from its mean.

    Divided by 1 + ‖T‖² / 128, where ‖T‖² is 128 on average over the training images. Ours: descriptors grow with the
    contrast of an image, and errors with them, so that a good part of high contrast outshines a defect of low contrast.
    """
    return term / (1 + teacher.square().mean(dim=1))


def upsampled(term: Tensor, size_hw: tuple[int, int], stride: int) -> Tensor:
    """A term [N, h, w] of every `stride`-th position as [N, H, W]: bilinear between the centres of the samples.

    Sample k stands for the pixels stride·k … stride·(k + 1) − 1 (see `train.dense.axis`); borders are repeated.
    """
    if stride == 1:
        return term
    x = functional.interpolate(term[:, None], scale_factor=float(stride), mode="bilinear", align_corners=False)
    return x[:, 0, : size_hw[0], : size_hw[1]]


def terms(scale: Scale, pixels: Tensor, stride: int, in_relation: bool = False) -> tuple[Tensor, Tensor | None]:
    """Regression error and predictive variance [N, H, W] of images [N, 3, H, W], RGB in [0, 1].

    The variance is None for a single student. `in_relation` makes both `relative`.
    """
    teacher, students = scale.descriptors(pixels, stride)
    size_hw = (int(pixels.shape[2]), int(pixels.shape[3]))

    def finished(term: Tensor) -> Tensor:
        return upsampled(relative(term, teacher) if in_relation else term, size_hw, stride)

    error = finished(regression_error(students, teacher))
    return error, finished(predictive_variance(students)) if len(students) > 1 else None


def normalized(error: Tensor, variance: Tensor | None, moments: Moments) -> tuple[Tensor, Tensor | None]:
    """The two terms of equation 11: each with zero mean and unit deviation over good images."""
    error = (error - moments.error_mean) / moments.error_std
    if variance is None or moments.variance_mean is None or moments.variance_std is None:
        return error, None
    return error, (variance - moments.variance_mean) / moments.variance_std


def anomaly_map(normalized_terms: Sequence[tuple[Tensor, Tensor | None]], smoothing: float = 0.0) -> Tensor:
    """Equation 12: the mean over the scales of the sum of their normalized terms, [N, H, W], `smoothed`."""
    per_scale = [error if variance is None else error + variance for error, variance in normalized_terms]
    return smoothed(torch.stack(per_scale).mean(dim=0), smoothing)


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


def smoothing_reach(sigma: float) -> int:
    """How many pixels the Gaussian of `smoothed` reaches to each side."""
    return math.ceil(SMOOTHING_REACH * sigma)


def by_position(maps: Tensor, positions: Positions) -> Tensor:
    """Anomaly maps [N, H, W] in deviations from what good images show at each position, [N, H, W].

    Ours: the paper has one mean and one deviation for all pixels (equation 11). Good parts vary more in some places
    than in others, at the border of a frame above all, and there outshine a defect that lies where nothing varies.
    """
    return (maps - positions.mean.to(maps.device)) / positions.deviation.to(maps.device)


def anomaly_score(
    anomaly_map: Tensor, score_pixels: int = 1, region_of_interest: tuple[int, int, int, int] | None = None
) -> Tensor:
    """Score [N] of maps [N, H, W], `by_position` or not.

    The mean of the `score_pixels` highest values in the region of interest.

    The paper scores pixels only; the maximum, `score_pixels` = 1, is the usual step from there to an image.
    """
    inside = within(anomaly_map, region_of_interest).flatten(1)
    return inside.topk(score_pixels, dim=1).values.mean(dim=1)


def within(maps: Tensor, region_of_interest: tuple[int, int, int, int] | None) -> Tensor:
    """The part of maps [N, H, W] inside the region (top, left, height, width), or all of them."""
    if region_of_interest is None:
        return maps
    top, left, height, width = region_of_interest
    return maps[:, top : top + height, left : left + width]

"""What good images show, fitted in NumPy: by training's calibration, and by recalibration on a device without PyTorch.

Three fits, each described by its user: of each kind of evidence (equation 11), of the anomaly map at each position
(`calibration.positions`), and of the whole frame (`calibration.image_evidence`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular

from runtime.scoring import POSITIONS_SMOOTHING, smoothing_reach

Array = NDArray[np.float64]

# a kind that hardly varies over good images would turn rounding into anomalies when it is divided by
DEVIATION_FLOOR = 1e-6  # of the kind's mean

POSITION_PRIOR = (
    1  # so many images more that show everywhere what all show on average: for few images, and still places
)

PRIOR_IMAGES = 20.0  # κ; of 1 to 300, chosen on even images
# the deviation of evidence is taken to be larger by this over √r of r reference images: of few it is hardly known, and
# their frames differ in more ways than they show. Of 30 tiles the image AUROC then stays within 0.006 of the map's, in
# place of 0.025 (even images, three draws), and of all tiles it loses 0.003. Of fewer than FEW images it is not known:
# with 5 transistors for reference it cost the map 0.14 of its image AUROC
DOUBT, FEW = 4.0, 15
# of a feature's deviation, relative to the mean of all: a channel that no reference image excites would else decide
# alone, by less than the graph's float32 can tell. Of ten images or more of four sets no backbone's feature is below it
FLOOR = 1e-2


@dataclass(frozen=True)
class Moments:
    """Mean and deviation of one kind of evidence over all pixels of good images (for equation 11)."""

    mean: float
    deviation: float


@dataclass(frozen=True)
class Leverage:
    """What good images show of pooled features x: h = ‖W x̃‖² with x̃ = (1, (x − centre) / deviation)."""

    centre: Array  # [P], of the reference images
    deviation: Array  # [P]
    whitening: Array  # W, [P + 1, P + 1]
    evidence_mean: float  # of √h over reference images, each left out
    evidence_deviation: float  # likewise, and more of few images (`DOUBT`)

    @property
    def constants(self) -> dict[str, NDArray[np.float32]]:
        """The graph's constants of image evidence by name; see `runtime.recipe.CONSTANTS`."""
        values = {
            "image_centre": self.centre,
            "image_weight": self.whitening[:, 1:] / self.deviation,
            "image_bias": self.whitening[:, 0],
            "image_mean": np.array([self.evidence_mean]),
            "image_factor": np.array([1 / self.evidence_deviation]),
        }
        return {name: np.ascontiguousarray(value, np.float32) for name, value in values.items()}


def fit_moments(evidence: Iterable[NDArray[np.float32]]) -> tuple[Moments, ...]:
    """Mean and deviation of each kind over raw evidence [K, n] at the inspected pixels of good images.

    Summed in float64, image by image.
    """
    sums: Array | float = 0.0  # [kind, power]
    count = 0
    for each in evidence:
        found = np.asarray(each, np.float64)
        sums = sums + np.stack([found.sum(axis=1), np.square(found).sum(axis=1)], axis=1)
        count += found.shape[1]
    return tuple(_moments(first / count, second / count) for first, second in np.asarray(sums).tolist())


def _moments(mean: float, square: float) -> Moments:
    deviation = max(square - mean**2, 0.0) ** 0.5
    return Moments(mean, max(deviation, DEVIATION_FLOOR * abs(mean), 1e-12))


def fit_map(
    sets: Sequence[Iterable[NDArray[np.floating]]], size_hw: tuple[int, int], inspected: NDArray[np.bool_] | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and deviation [H, W] at each position over sets of anomaly maps [H, W].

    Sums are in float64, and each set counts the same. Both are smoothed over neighbouring positions, and drawn a little
    towards their means over what is `inspected` [H, W], None: all.
    """
    powers, count = [], 0
    for maps in sets:
        total, size = np.zeros((2, *size_hw)), 0
        for each in maps:
            found = np.asarray(each, np.float64)
            total += np.stack([found, np.square(found)])
            size += 1
        powers.append(total / size)
        count += size
    first, second = np.mean(powers, axis=0)

    def drawn(values: Array) -> Array:
        values = smoothed(values, POSITIONS_SMOOTHING)
        common = values.mean() if inspected is None else values[inspected].mean()
        return np.asarray((count * values + POSITION_PRIOR * common) / (count + POSITION_PRIOR))

    mean = drawn(first)
    variance = drawn((second - 2 * mean * first + np.square(mean)).clip(min=0))
    return mean.astype(np.float32), np.sqrt(variance).astype(np.float32).clip(min=1e-12)


def smoothed(values: Array, sigma: float) -> Array:
    """Values [H, W] under a Gaussian of `sigma` pixels, as `calibration.maps.smoothed`; borders are reflected."""
    reach = smoothing_reach(sigma)
    kernel = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / sigma))
    kernel /= kernel.sum()
    # OpenCV reflects once, torch too: neither takes a border wider than the picture
    return np.asarray(cv2.sepFilter2D(values, cv2.CV_64F, kernel, kernel, borderType=cv2.BORDER_REFLECT_101))


def unit_of(scores: Array) -> Moments:
    """Mean and deviation of good images' scores [n], n ≥ 2, by which they have zero mean and unit deviation."""
    return Moments(float(scores.mean()), max(float(scores.std(ddof=1)), 1e-9))


def fit_leverage(features: NDArray[np.floating], reference: slice) -> Leverage:
    """Of the pooled features [n, P] of all known images, some of which are the `reference`, two or more."""
    features = np.asarray(features, np.float64)
    chosen = features[reference]
    centre, deviation = chosen.mean(axis=0), chosen.std(axis=0, ddof=1)
    deviation = deviation.clip(min=max(FLOOR * float(deviation.mean()), 1e-12))
    known = np.column_stack([np.ones(len(features)), (features - centre) / deviation])
    matrix = known.T @ known + PRIOR_IMAGES * np.eye(known.shape[1])
    # matrix = L Lᵀ, so that h = ‖L⁻¹ x̃‖²
    whitening = solve_triangular(cholesky(matrix, lower=True), np.eye(len(matrix)), lower=True)
    own = np.square(known @ whitening.T).sum(axis=1)
    evidence = np.sqrt(own / (1 - own))[reference]  # each left out
    count = len(evidence)
    doubt = DOUBT / count**0.5 * max(1.0, FEW / count) ** 2
    spread = max(float(evidence.std(ddof=1)), 1e-9) * (1 + doubt)
    return Leverage(centre, deviation, whitening, float(evidence.mean()), spread)

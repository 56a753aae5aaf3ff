"""How sure an AU-PRO is: a bootstrap over images (Efron, Ann. Statist. 1979; percentile limits).

Good and defective images are drawn with replacement, each kind as often as it is there, since who makes a test set
chooses how many of each it has. What an image adds to the curve is counted once, at `LEVELS` thresholds: good pixels
above, and the detected shares of its regions. A resample is then a weighted sum of these counts. The thresholds follow
the ranks of the good pixels, closer together where few lie above, and those of the defective ones evenly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.evaluation import Inspection
from calibration.metrics import Curve, Mask, PixelRanking, ScoreMap

RESAMPLES, SEED = 1000, 0
LEVELS = 1000  # of good pixels; half as many of defective ones
LEAST_IMAGES = 5  # of either kind; a bootstrap of fewer repeats them and is far too sure


@dataclass(frozen=True)
class Interval:
    """A 95 % interval."""

    low: float
    high: float


@dataclass(frozen=True)
class Counts:
    """What each image adds to the PRO curve: `false` and `found` are [images, thresholds], the others [images]."""

    false: NDArray[np.float64]  # good pixels that score at least the threshold
    found: NDArray[np.float64]  # the detected shares of the image's regions, added up
    good: NDArray[np.float64]  # good pixels
    regions: NDArray[np.float64]

    def curves(self, weights: NDArray[np.float64]) -> list[Curve]:
        """The PRO curve of each resample, in which an image is there `weights` [resamples, images] times."""
        fpr = weights @ self.false / (weights @ self.good)[:, None]
        pro = weights @ self.found / (weights @ self.regions)[:, None]
        return [_curve(*corners) for corners in zip(fpr, pro, strict=True)]


def pro_intervals(
    inspections: Sequence[Inspection], ranking: PixelRanking, limits: Sequence[float], resamples: int = RESAMPLES
) -> list[Interval] | None:
    """The interval of the AU-PRO up to each of `limits`, of the images whose mask is known; `ranking` is theirs.

    None where fewer than `LEAST_IMAGES` of them are good, or defective. Seeded: equal maps give an equal interval.
    """
    known = [(each.anomaly_map, each.mask) for each in inspections if each.mask is not None]
    defective = np.array([bool(mask.any()) for _, mask in known])
    if min(np.count_nonzero(defective), np.count_nonzero(~defective)) < LEAST_IMAGES:
        return None
    counts = count([pixels for pixels, _ in known], [mask for _, mask in known], thresholds_of(ranking))
    curves = counts.curves(draw(defective, resamples))
    quantiles = [np.quantile([curve.area(limit) for curve in curves], (0.025, 0.975)) for limit in limits]
    return [Interval(float(low), float(high)) for low, high in quantiles]


def draw(defective: NDArray[np.bool_], resamples: int) -> NDArray[np.float64]:
    """How often each image is in each resample, [resamples, images]."""
    random, weights = np.random.default_rng(SEED), np.empty((resamples, defective.size))
    for group in (~defective, defective):
        size = int(np.count_nonzero(group))
        weights[:, group] = random.multinomial(size, np.full(size, 1 / size), size=resamples)
    return weights


def thresholds_of(ranking: PixelRanking) -> NDArray[np.float32]:
    """The thresholds that images are counted at, descending; the last has every good pixel above it."""
    ranks = np.unique(np.geomspace(1, ranking.good, LEVELS).round().astype(np.int64)) - 1
    places = np.linspace(0, len(ranking.defective) - 1, LEVELS // 2).astype(np.int64)
    chosen = np.concatenate([ranking.good_scores[ranks], ranking.defective.real[places]])
    return np.asarray(-np.unique(chosen), np.float32)  # both are negated


def count(maps: Sequence[ScoreMap], masks: Sequence[Mask], thresholds: NDArray[np.float32]) -> Counts:
    """The counts of images, maps and masks as `calibration.metrics.rank_pixels` takes them."""
    ascending, shape = thresholds[::-1], (len(maps), len(thresholds))
    false, found, good, regions = np.empty(shape), np.empty(shape), np.empty(len(maps)), np.zeros(len(maps))
    for row, (pixels, mask) in enumerate(zip(maps, masks, strict=True)):
        reached = np.searchsorted(ascending, pixels, side="right")  # how many thresholds a pixel is detected at
        false[row] = _detected(reached[~mask], np.ones(mask.size - np.count_nonzero(mask)), len(ascending))
        good[row] = mask.size - np.count_nonzero(mask)
        number, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        region = labels[mask]
        share = 1 / np.bincount(region, minlength=number)[region]
        found[row], regions[row] = _detected(reached[mask], share, len(ascending)), number - 1
    return Counts(false, found, good, regions)


def _curve(fpr: NDArray[np.float64], pro: NDArray[np.float64]) -> Curve:
    return Curve(lambda: iter([(fpr, pro)]))


def _detected(reached: NDArray[np.int64], weights: NDArray[np.float64], levels: int) -> NDArray[np.float64]:
    """The weight of the pixels that are detected at each threshold, from the highest threshold on."""
    by_number = np.bincount(reached, weights, minlength=levels + 1)
    return np.asarray(np.cumsum(by_number[::-1])[:levels])

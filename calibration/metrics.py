"""Exact accuracy metrics: image AUROC, pixel AUROC and AU-PRO. NumPy and OpenCV alone.

AU-PRO is the area under the per-region overlap (PRO) curve of Bergmann et al., "Uninformed Students" (CVPR 2020). At a
threshold t, every pixel whose score is at least t counts as detected. Then

- PRO(t) is the fraction of a defective region that is detected, averaged over all regions of all images, where a region
  is an 8-connected component of a mask;
- FPR(t) is the fraction of defect-free pixels that is detected, over all images, good and defective.

The area under PRO over FPR is taken from 0 to a limit (0.3 in the paper) and divided by that limit. The paper steps
through many thresholds; here every distinct score is one, and the curve is linear in between.

How it stays exact and small. Between two successive scores of defective pixels only FPR moves, so the curve's corners
lie at the distinct scores of defective pixels, and those are few. `rank_pixels` therefore sorts the scores of the good
pixels in place (4 bytes a pixel), looks the defective scores up in them, and keeps the corners alone; all pixel metrics
are read from that one ranking.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.errors import InputError
from runtime.summary import auroc as rank_auroc

ScoreMap = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Curve:
    """A polyline over the false-positive rate, from (0, 0) to (1, 1); both float64 [n], neither decreasing."""

    fpr: NDArray[np.float64]
    value: NDArray[np.float64]

    def area(self, fpr_limit: float = 1.0) -> float:
        """Area from 0 to `fpr_limit`, in (0, 1], divided by that limit; so 1 is perfect at every limit."""
        if not 0 < fpr_limit <= 1:
            raise InputError(f"the false-positive limit is {fpr_limit}; it must be above 0 and at most 1")
        inside = int(np.searchsorted(self.fpr, fpr_limit, side="right"))
        fpr, value = self.fpr[:inside], self.value[:inside]
        at_limit = np.interp(fpr_limit, self.fpr, self.value)
        twice = np.dot(np.diff(fpr), value[1:] + value[:-1]) + (fpr_limit - fpr[-1]) * (at_limit + value[-1])
        return float(twice / (2 * fpr_limit))  # trapezoids


@dataclass(frozen=True)
class PixelRanking:
    """What the order of all pixel scores says: one entry for each distinct score of a defective pixel, highest first.

    `good_above` and `good_from` (int64 [n]) count the good pixels whose score is above that score, and at least that
    score. `detected` (int64 [n]) counts the defective pixels whose score is at least that score; `overlap`
    (float64 [n]) is their PRO. `good` is the number of good pixels.
    """

    good_above: NDArray[np.int64]
    good_from: NDArray[np.int64]
    detected: NDArray[np.int64]
    overlap: NDArray[np.float64]
    good: int

    def pro_curve(self) -> Curve:
        """PRO over FPR, both over all images."""
        return self._curve(self.overlap)

    def roc_curve(self) -> Curve:
        """True-positive rate of pixels over FPR."""
        return self._curve(self.detected / self.detected[-1])

    def _curve(self, value: NDArray[np.float64]) -> Curve:
        # each distinct score is two corners: before its pixels are detected, and after. Good pixels that share the
        # score move FPR in the same step, so that ties make a sloped segment.
        # Written in place: there may be tens of millions, and each temporary of both corners is 16 bytes a pixel.
        fpr, corners = np.empty(2 * len(value) + 2), np.empty(2 * len(value) + 2)
        np.divide(self.good_above, self.good, out=fpr[1:-1:2])
        np.divide(self.good_from, self.good, out=fpr[2:-1:2])
        corners[2:-1:2] = value
        corners[3:-1:2] = value[:-1]
        fpr[0] = corners[0] = corners[1] = 0.0
        fpr[-1] = corners[-1] = 1.0
        return Curve(fpr, corners)


def auroc(scores: NDArray[np.floating], labels: NDArray[np.bool_]) -> float:
    """Probability that a defective sample scores above a good one, ties counted half (Mann–Whitney U, exact).

    `scores` is float [n], `labels` bool [n], true for defective. Raises `InputError` for lengths that differ, scores
    that are not finite, or a class that is missing.
    """
    scores, labels = np.asarray(scores), np.asarray(labels, dtype=bool)
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise InputError(f"scores of shape {scores.shape} and labels of shape {labels.shape}; expected two equal lists")
    if not np.isfinite(scores).all():
        raise InputError("a score is NaN or infinite; an AUROC needs finite scores")
    good, defective = scores[~labels], scores[labels]
    if not good.size or not defective.size:
        raise InputError(
            f"{good.size} good and {defective.size} defective samples; an AUROC needs at least one of each"
        )
    return rank_auroc(good, defective)


def pixel_auroc(maps: Sequence[ScoreMap], masks: Sequence[Mask]) -> float:
    """AUROC over all pixels of all images, ties counted half. Arguments and errors as for `rank_pixels`."""
    return rank_pixels(maps, masks).roc_curve().area()


def au_pro(maps: Sequence[ScoreMap], masks: Sequence[Mask], fpr_limit: float = 0.3) -> float:
    """Normalized area under the PRO curve up to `fpr_limit`. Arguments and errors as for `rank_pixels`."""
    return pro_curve(maps, masks).area(fpr_limit)


def pro_curve(maps: Sequence[ScoreMap], masks: Sequence[Mask]) -> Curve:
    """PRO over FPR for every threshold. Arguments and errors as for `rank_pixels`."""
    return rank_pixels(maps, masks).pro_curve()


def rank_pixels(maps: Sequence[ScoreMap], masks: Sequence[Mask]) -> PixelRanking:
    """Order the pixels of all images by score.

    `maps[i]` is float32 [H, W], high where anomalous; `masks[i]` is bool [H, W], true where defective, all false for a
    good image. Sizes may differ from image to image. Takes 4 bytes for each good pixel and about 45 for each defective
    one, beside the arguments; a curve that is read from it takes another 64 for each defective pixel. Raises
    `InputError` for numbers, shapes or types that do not fit, for scores that are not finite, and where there is no
    defective or no good pixel.
    """
    _check(maps, masks)
    defective = sum(int(np.count_nonzero(mask)) for mask in masks)
    good = sum(mask.size for mask in masks) - defective
    if not defective or not good:
        raise InputError(f"{defective} defective and {good} good pixels in {len(masks)} masks; both kinds are needed")
    good_scores = _sorted_good_scores(maps, masks, good)
    distinct, detected, overlap = _distinct_scores(maps, masks, defective)
    good_above = np.searchsorted(good_scores, distinct, side="right")
    good_from = np.searchsorted(good_scores, distinct, side="left")
    return PixelRanking(
        good_above=np.subtract(good, good_above, out=good_above),
        good_from=np.subtract(good, good_from, out=good_from),
        detected=detected,
        overlap=np.divide(overlap, overlap[-1], out=overlap),  # the last is the number of regions, but for rounding
        good=good,
    )


def _check(maps: Sequence[ScoreMap], masks: Sequence[Mask]) -> None:
    if len(maps) != len(masks):
        raise InputError(f"{len(maps)} anomaly maps and {len(masks)} masks; expected one mask for each map")
    for index, (scores, mask) in enumerate(zip(maps, masks, strict=True)):
        if scores.ndim != 2 or scores.shape != mask.shape:
            raise InputError(f"map {index} has shape {scores.shape}, its mask {mask.shape}; expected the same [H, W]")
        if scores.dtype != np.float32 or mask.dtype != np.bool_:
            raise InputError(f"map {index} is {scores.dtype}, its mask {mask.dtype}; expected float32 and bool")
        if not np.isfinite(scores).all():
            raise InputError(f"map {index} holds NaN or infinite scores; expected finite ones")


def _sorted_good_scores(maps: Sequence[ScoreMap], masks: Sequence[Mask], count: int) -> NDArray[np.float32]:
    scores = np.empty(count, np.float32)
    filled = 0
    for score_map, mask in zip(maps, masks, strict=True):
        good = score_map[~mask]
        scores[filled : filled + good.size] = good
        filled += good.size
    scores.sort()  # in place: a sorted copy or an argsort of all pixels would be the largest array by far
    return scores


def _distinct_scores(
    maps: Sequence[ScoreMap], masks: Sequence[Mask], count: int
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float64]]:
    """The distinct scores of defective pixels, highest first; the number and the weight of the pixels from there up."""
    scores, weights = _defective_pixels(maps, masks, count)
    order = np.argsort(-scores, kind="stable")
    scores, weights = scores[order], weights[order]
    del order  # 8 bytes a pixel that would stay to the end
    np.cumsum(weights, out=weights)
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))  # last pixel of each run of equal scores
    return scores[last], last + 1, weights[last]


def _defective_pixels(
    maps: Sequence[ScoreMap], masks: Sequence[Mask], count: int
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Score and weight of each defective pixel; a pixel weighs 1 / (pixels of its region), a region 1 in all."""
    scores, weights = np.empty(count, np.float32), np.empty(count, np.float64)
    filled = 0
    for score_map, mask in zip(maps, masks, strict=True):
        if not mask.any():
            continue
        _, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)  # label 0 is the background
        region = labels[mask]
        part = slice(filled, filled + region.size)
        scores[part] = score_map[mask]
        weights[part] = 1 / np.bincount(region)[region]
        filled += region.size
    return scores, weights

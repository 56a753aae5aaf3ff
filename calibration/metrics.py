"""Exact accuracy metrics: image AUROC, pixel AUROC and AU-PRO. NumPy and OpenCV alone.

AU-PRO is the area under the per-region overlap (PRO) curve of Bergmann et al., "Uninformed Students" (CVPR 2020). At a
threshold t, every pixel whose score is at least t counts as detected. Then

- PRO(t) is the fraction of a defective region that is detected, averaged over all regions of all images, where a region
  is an 8-connected component of a mask;
- FPR(t) is the fraction of defect-free pixels that is detected, over all images, good and defective.

The area under PRO over FPR is taken from 0 to a limit (0.3 in the paper) and divided by that limit. The paper steps
through many thresholds; here every distinct score is one, and the curve is linear in between.

How it stays exact and small. Between two successive scores of defective pixels only FPR moves, so the curve's corners
lie at the distinct scores of defective pixels. `rank_pixels` sorts the scores of the good pixels (4 bytes each) and,
with the size of their regions, those of the defective ones (8 bytes each), both in place; all pixel metrics are read
from that one ranking. A curve has two corners for each distinct score of a defective pixel, 32 bytes, so it is never
held: its corners are computed as they are read, a piece at a time.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.errors import InputError
from runtime.summary import auroc as rank_auroc

ScoreMap = NDArray[np.float32]
Mask = NDArray[np.bool_]
PIECE = 1 << 15  # defective pixels whose corners are computed at once, about 100 bytes each
DRAWN = 4096  # a drawn curve keeps what a plot of so many pixels a side can show


@dataclass(frozen=True)
class Curve:
    """A polyline over the false-positive rate, from (0, 0) to (1, 1), neither of which decreases.

    `pieces` begins anew at each call, and yields FPR and value of the corners in order, both float64 [n].
    """

    pieces: Callable[[], Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]]

    @property
    def fpr(self) -> NDArray[np.float64]:
        """FPR of all corners, float64 [n]; of a large set, more than memory may hold."""
        return np.concatenate([fpr for fpr, _ in self.pieces()])

    @property
    def value(self) -> NDArray[np.float64]:
        """The value at all corners, float64 [n]; of a large set, more than memory may hold."""
        return np.concatenate([value for _, value in self.pieces()])

    def area(self, fpr_limit: float = 1.0) -> float:
        """Area from 0 to `fpr_limit`, in (0, 1], divided by that limit; so 1 is perfect at every limit."""
        if not 0 < fpr_limit <= 1:
            raise InputError(f"the false-positive limit is {fpr_limit}; it must be above 0 and at most 1")
        twice = end_fpr = end_value = 0.0
        for fpr, value in self.pieces():
            fpr, value = np.insert(fpr, 0, end_fpr), np.insert(value, 0, end_value)
            inside = int(np.searchsorted(fpr, fpr_limit, side="right"))
            end_fpr, end_value = fpr[inside - 1], value[inside - 1]
            twice += np.dot(np.diff(fpr[:inside]), value[1:inside] + value[: inside - 1])  # trapezoids
            if inside < len(fpr):
                at_limit = np.interp(fpr_limit, fpr[inside - 1 : inside + 1], value[inside - 1 : inside + 1])
                twice += (fpr_limit - end_fpr) * (at_limit + end_value)
                break
        return float(twice / (2 * fpr_limit))

    def outline(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """FPR and value of corners enough to draw it: others lie less than 1 / `DRAWN` from one of them."""
        kept = [(fpr[seen], value[seen]) for fpr, value in self.pieces() for seen in [_seen(fpr, value)]]
        fpr, value = zip(*kept, strict=True)
        return np.concatenate(fpr), np.concatenate(value)


def _seen(fpr: NDArray[np.float64], value: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The first and the last corner in each square of a grid, bool [n]."""
    square = np.floor(fpr * DRAWN) + np.floor(value * DRAWN)  # the curve enters another one when this rises
    entered = np.diff(square) > 0
    return np.asarray(np.append(True, entered) | np.append(entered, True))


@dataclass(frozen=True)
class PixelRanking:
    """The pixels of all images by score, the highest first.

    `good_scores` (float32 [n]) are the negated scores of the good pixels, ascending. `defective` (complex64 [m]) are
    those of the defective ones, ascending, each with the number of pixels in its region as the imaginary part: exact
    up to regions of 4096×4096 pixels. `regions` is the number of regions.
    """

    good_scores: NDArray[np.float32]
    defective: NDArray[np.complex64]
    regions: int

    @property
    def good(self) -> int:
        """The number of good pixels."""
        return len(self.good_scores)

    def pro_curve(self) -> Curve:
        """PRO over FPR, both over all images."""
        return Curve(lambda: self._corners(lambda pixels: 1 / pixels.imag.astype(np.float64), self.regions))

    def roc_curve(self) -> Curve:
        """True-positive rate of pixels over FPR."""
        return Curve(lambda: self._corners(lambda pixels: np.ones(len(pixels)), len(self.defective)))

    def _corners(
        self, weights: Callable[[NDArray[np.complex64]], NDArray[np.float64]], total: int
    ) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        # each distinct score is two corners: before its pixels are detected, and after. Good pixels that share the
        # score move FPR in the same step, so that ties make a sloped segment.
        yield np.zeros(1), np.zeros(1)
        detected = before = 0.0  # weight of the pixels so far; value at the last corner
        for start in range(0, len(self.defective), PIECE):
            pixels = self.defective[start : start + PIECE]
            following = self.defective[start + 1 : start + PIECE + 1]
            weight = detected + np.cumsum(weights(pixels))
            detected = weight[-1]
            last = np.ones(len(pixels), np.bool_)  # of a run of equal scores, which may go on in the next piece
            if len(following) < len(pixels):
                weight[-1] = total  # but for rounding it is
            last[: len(following)] = pixels.real[: len(following)] != following.real
            if not last.any():
                continue
            scores = pixels.real[last]
            fpr, value = np.empty((len(scores), 2)), np.empty((len(scores), 2))
            fpr[:, 0] = np.searchsorted(self.good_scores, scores, side="left")
            fpr[:, 1] = np.searchsorted(self.good_scores, scores, side="right")
            np.minimum(weight[last] / total, 1.0, out=value[:, 1])  # above 1 by rounding
            value[0, 0], value[1:, 0] = before, value[:-1, 1]
            before = value[-1, 1]
            yield (fpr / self.good).ravel(), value.ravel()
        yield np.ones(2), np.array([before, 1.0])


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
    good image. Sizes may differ from image to image. Takes 4 bytes for each good pixel and 8 for each defective one,
    beside the arguments; what is read from it takes a few megabytes more. Raises `InputError` for numbers, shapes or
    types that do not fit, for scores that are not finite, and where there is no defective or no good pixel.
    """
    _check(maps, masks)
    defective = sum(int(np.count_nonzero(mask)) for mask in masks)
    good = sum(mask.size for mask in masks) - defective
    if not defective or not good:
        raise InputError(f"{defective} defective and {good} good pixels in {len(masks)} masks; both kinds are needed")
    return PixelRanking(_sorted_good_scores(maps, masks, good), *_sorted_defective_pixels(maps, masks, defective))


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
        np.negative(good, out=scores[filled : filled + good.size])
        filled += good.size
    scores.sort()  # in place: a sorted copy or an argsort of all pixels would be the largest array by far
    return scores


def _sorted_defective_pixels(
    maps: Sequence[ScoreMap], masks: Sequence[Mask], count: int
) -> tuple[NDArray[np.complex64], int]:
    """The defective pixels, as `PixelRanking` has them, and the number of regions."""
    pixels = np.empty(count, np.complex64)  # NumPy sorts these by their real part, in place and with their partner
    filled = regions = 0
    for score_map, mask in zip(maps, masks, strict=True):
        if not mask.any():
            continue
        found, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)  # label 0 is the background
        region = labels[mask]
        part = pixels[filled : filled + region.size]
        part.real = -score_map[mask]
        part.imag = np.bincount(region)[region]
        filled += region.size
        regions += found - 1
    pixels.sort()
    return pixels, regions

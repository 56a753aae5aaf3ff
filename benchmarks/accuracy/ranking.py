"""How well scores and maps rank a test set: the figures that need no threshold."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.evaluation import auroc_by_defect
from calibration.metrics import auroc, rank_pixels
from train.datasets import TestImage


@dataclass(frozen=True)
class Ranking:
    """AUROCs and AU-PROs over every image; the pixel figures are None for a method without maps, or without masks."""

    image_auroc: float
    image_auroc_by_defect: dict[str, float]  # each kind of defect against all good images
    pixel_auroc: float | None
    au_pro_30: float | None  # up to 30 % false-positive pixels, as in the paper
    au_pro_5: float | None  # up to 5 %
    images: dict[str, int]  # by defect, "good" among them


def rank(
    images: Sequence[TestImage],
    scores: NDArray[np.floating],
    maps: Sequence[NDArray[np.float32]] | None,
    masks: Sequence[NDArray[np.bool_]],
) -> Ranking:
    """The figures of `scores` [n] and of the maps of images whose mask is known, each float32 [H, W] of its size.

    Raises `InputError` unless good and defective images are among them, and as `calibration.metrics` does.
    """
    labels = np.array([image.label for image in images], bool)
    defects = np.array([image.defect for image in images])
    image_auroc = auroc(scores, labels)
    pixels = rank_pixels(maps, masks) if maps is not None and any(mask.any() for mask in masks) else None
    pro = pixels.pro_curve() if pixels else None
    return Ranking(
        image_auroc=image_auroc,
        image_auroc_by_defect=auroc_by_defect(scores, labels, defects),
        pixel_auroc=pixels.roc_curve().area() if pixels else None,
        au_pro_30=pro.area(0.3) if pro else None,
        au_pro_5=pro.area(0.05) if pro else None,
        images={str(kind): int(count) for kind, count in zip(*np.unique(defects, return_counts=True), strict=True)},
    )

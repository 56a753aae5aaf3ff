"""AUROC and AU-PRO by definition, a loop over every distinct score; shares no code with `calibration.metrics`."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Maps = list[NDArray[np.float32]]
Masks = list[NDArray[np.bool_]]


def naive_curve(maps: Maps, masks: Masks) -> tuple[list[float], list[float]]:
    """FPR and PRO by definition: every distinct score a threshold, every region counted by itself."""
    regions = []
    for scores, mask in zip(maps, masks, strict=True):
        labels, found = ndimage.label(mask, structure=np.ones((3, 3)))
        regions += [scores[labels == number] for number in range(1, found + 1)]
    good = np.concatenate([scores[~mask] for scores, mask in zip(maps, masks, strict=True)])
    fpr, pro = [0.0], [0.0]
    for threshold in sorted({float(score) for scores in maps for score in scores.flat}, reverse=True):
        fpr.append(float(np.mean(good >= threshold)))
        pro.append(float(np.mean([np.mean(region >= threshold) for region in regions])))
    return fpr, pro


def naive_area(fpr: list[float], value: list[float], limit: float) -> float:
    """Area under the polyline from 0 to `limit`, divided by `limit`."""
    area = 0.0
    for left, right, low, high in zip(fpr, fpr[1:], value, value[1:], strict=False):
        end = min(right, limit)
        if end > left:
            at_end = low + (high - low) * (end - left) / (right - left)
            area += (end - left) * (low + at_end) / 2
    return area / limit


def naive_auroc(scores: NDArray[np.float32], labels: NDArray[np.bool_]) -> float:
    """Share of pairs in which the defective one scores higher, ties counted half. All [n]."""
    defective, good = scores[labels][:, None], scores[~labels][None]
    return float(np.mean(defective > good) + np.mean(defective == good) / 2)


def random_set(seed: int, levels: int) -> tuple[Maps, Masks]:
    """Six images of differing sizes, two of them good, scores on `levels` values so that ties abound."""
    rng = np.random.default_rng(seed)
    maps, masks = [], []
    for index in range(6):
        size = tuple(rng.integers(8, 20, 2))
        mask = rng.random(size) < (0.0 if index < 2 else 0.15)
        noise = rng.random(size) + 0.3 * mask
        maps.append((np.round(noise * levels) / levels).astype(np.float32))
        masks.append(mask)
    return maps, masks


def distinct_maps(maps: int, side: int, rng: np.random.Generator) -> Maps:
    """Maps of `side`×`side` scores in (0, 1], in random order, no two of them equal; they share one array.

    A draw of so many 32-bit numbers would repeat itself: these are the numbers from 1 down, each the next below.
    """
    bits = np.arange(maps * side * side, dtype=np.int32)
    rng.shuffle(bits)
    np.subtract(np.float32(1).view(np.int32), bits, out=bits)
    return list(bits.view(np.float32).reshape(maps, side, side))

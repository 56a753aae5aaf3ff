"""A detector over a test set: what it said of each image, and the accuracy that follows."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets import TestImage, read_pixels
from calibration.metrics import auroc, rank_pixels
from calibration.threshold import rate_interval
from runtime.detector import Detector
from runtime.preparation import prepare
from runtime.verdict import Decision, Verdict


@dataclass(frozen=True)
class Inspection:
    """A detector's answer to one test image. `score` is that of the engine, also where the verdict is NO_DECISION."""

    image: TestImage
    verdict: Verdict
    score: float
    anomaly_map: NDArray[np.float32]  # [H, W], at the size of the image file
    mask: NDArray[np.bool_] | None  # [H, W], at the size of the image file; None where nobody has marked the defect


@dataclass(frozen=True)
class Rate:
    """A share of images, with its 95 % Clopper–Pearson interval."""

    count: int
    total: int
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Accuracy:
    """The figures of one detector on one test set.

    The AUROCs and AU-PROs rank scores and need no threshold; they cover every image. `false_rejects` (of good images)
    and `detected` (of defective ones) count what the line would reject: NG, and NO_DECISION, which `undecided` counts
    alone. The pixel figures are None where a defective image has no mask, since they cover every image, too.
    """

    image_auroc: float
    image_auroc_by_defect: dict[str, float]  # each kind of defect against all good images
    pixel_auroc: float | None
    au_pro_30: float | None  # up to 30 % false-positive pixels, as in the paper
    au_pro_5: float | None  # up to 5 %
    false_rejects: Rate
    detected: Rate
    undecided: int
    images: dict[str, int]  # by defect, "good" among them


def inspect_all(detector: Detector, images: Iterable[TestImage]) -> Iterator[Inspection]:
    """Inspect test images one by one. Raises what reading an image or running the engine raises."""
    for image in images:
        pixels, mask = read_pixels(image)
        verdict = detector.inspect(pixels)
        anomaly_map, score = _scored(detector, pixels, verdict)
        height, width = pixels.shape[:2]
        resized = cv2.resize(anomaly_map, (width, height), interpolation=cv2.INTER_LINEAR)
        yield Inspection(image, verdict, score, np.asarray(resized, np.float32), mask)


def _scored(detector: Detector, pixels: NDArray[np.uint8], verdict: Verdict) -> tuple[NDArray[np.float32], float]:
    if verdict.anomaly_map is not None and verdict.score is not None:
        return verdict.anomaly_map, verdict.score
    # The frame was refused before it was scored. To leave it out would flatter the ranking, so the engine is asked.
    frames = prepare(pixels, detector.recipe.size_hw)[None]
    output = detector.engine.result(detector.engine.submit(frames))
    return output.anomaly_map[0], float(output.anomaly_score[0])


def summarize(inspections: Sequence[Inspection]) -> Accuracy:
    """The accuracy over `inspections`. Raises `InputError` unless good and defective images are among them."""
    scores = np.array([inspection.score for inspection in inspections])
    labels = np.array([inspection.image.label for inspection in inspections], bool)
    defects = np.array([inspection.image.defect for inspection in inspections])
    rejected = np.array([inspection.verdict.decision is not Decision.OK for inspection in inspections], bool)
    image_auroc = auroc(scores, labels)
    masks = [each.mask for each in inspections if each.mask is not None]
    ranking = rank_pixels([each.anomaly_map for each in inspections], masks) if len(masks) == len(scores) else None
    pro = ranking.pro_curve() if ranking else None
    kinds = [str(kind) for kind in np.unique(defects[labels])]
    return Accuracy(
        image_auroc=image_auroc,
        image_auroc_by_defect={
            kind: auroc(scores[~labels | (defects == kind)], labels[~labels | (defects == kind)]) for kind in kinds
        },
        pixel_auroc=ranking.roc_curve().area() if ranking else None,
        au_pro_30=pro.area(0.3) if pro else None,
        au_pro_5=pro.area(0.05) if pro else None,
        false_rejects=_rate(rejected[~labels]),
        detected=_rate(rejected[labels]),
        undecided=sum(inspection.verdict.decision is Decision.NO_DECISION for inspection in inspections),
        images={str(kind): int(count) for kind, count in zip(*np.unique(defects, return_counts=True), strict=True)},
    )


def _rate(cases: NDArray[np.bool_]) -> Rate:
    count, total = int(cases.sum()), int(cases.size)
    return Rate(count, total, count / total, *rate_interval(count, total))

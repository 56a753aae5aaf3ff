"""A detector over a test set: what it said of each image, and the accuracy that follows."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.decisions import Decisions, Rate, best_decisions, decided, rate_of
from calibration.metrics import PixelRanking, auroc, rank_pixels
from runtime.detector import Detector
from runtime.engines.base import Output
from runtime.health import brightness
from runtime.placement import Placement
from runtime.preparation import prepare
from runtime.verdict import Decision, Verdict
from train.datasets import TestImage, read_pixels
from train.masks import describe_cover


@dataclass(frozen=True)
class Inspection:
    """A detector's answer to one test image. `score` is that of the engine, also where the verdict is NO_DECISION."""

    image: TestImage
    verdict: Verdict
    score: float
    # [H, W], over the picture, at the size of the mask; without one, of the prepared frame
    anomaly_map: NDArray[np.float32]
    scored_map: NDArray[np.float32]  # [H, W], of the prepared frame: what the score is taken from
    mask: NDArray[np.bool_] | None  # [H, W], at the size of the image file; None where it is not known or not needed
    size_hw: tuple[int, int]  # of the image file
    brightness: float  # mean of the image file's pixels, 0 to 255
    evidence_scores: NDArray[np.float32] | None = None  # [1 + J], by kind, where there is more than the map


@dataclass(frozen=True)
class Accuracy:
    """The figures of one detector on one test set.

    The AUROCs and AU-PROs rank scores and need no threshold. Those of images cover every image. Those of pixels leave
    out the defective images whose mask is not known, `without_mask` of them, and are None when none is known.
    `at_threshold`, `false_rejects` (of good images) and `detected` (of defective ones) count what the line would
    reject: NG, and NO_DECISION, which `undecided` counts alone. `too_small` counts those that are OK above the
    threshold, since no region of theirs is large enough to count. `best` ranks scores, as if every region counted, and
    was chosen on these very images, so it is a limit for comparison, not a promise.
    """

    image_auroc: float
    image_auroc_by_defect: dict[str, float]  # each kind of defect against all good images
    pixel_auroc: float | None
    au_pro_30: float | None  # up to 30 % false-positive pixels, as in the paper
    au_pro_5: float | None  # up to 5 %
    at_threshold: Decisions  # at the calibrated threshold
    best: Decisions  # of the highest F1 over all thresholds
    false_rejects: Rate
    detected: Rate
    undecided: int
    too_small: int
    without_mask: int
    images: dict[str, int]  # by defect, "good" among them


def inspect_all(detector: Detector, images: Iterable[TestImage]) -> Iterator[Inspection]:
    """Inspect test images one by one. Raises what reading an image or running the engine raises.

    When no image has a mask there are no pixels to compare, and maps stay as small as the detector made them.
    """
    images = list(images)
    masks_exist = any(image.mask_path is not None for image in images)
    for image in images:
        pixels, marked = read_pixels(image)
        verdict = detector.inspect(pixels)
        anomaly_map, scored_map, score, by_evidence = _scored(detector, pixels, verdict)
        known = masks_exist and (image.mask_path is not None or not image.label)
        if known:
            size_wh = pixels.shape[1], pixels.shape[0]
            resized = cv2.resize(anomaly_map, size_wh, interpolation=cv2.INTER_LINEAR)
            anomaly_map = np.asarray(resized, np.float32)
        mask, size_hw = marked if known else None, (pixels.shape[0], pixels.shape[1])
        yield Inspection(image, verdict, score, anomaly_map, scored_map, mask, size_hw, brightness(pixels), by_evidence)


def name_in(data: Path, image: TestImage) -> str:
    """An image's path as a reader knows it: below the folder of the test set where it lies there."""
    return str(image.path.relative_to(data)) if image.path.is_relative_to(data) else str(image.path)


def ask_engine(detector: Detector, pixels: NDArray[np.uint8]) -> Output:
    """All outputs for one image, [1, ...], whatever its health. Raises what running the engine raises."""
    return ask_engine_and_place(detector, pixels)[0]


def ask_engine_and_place(detector: Detector, pixels: NDArray[np.uint8]) -> tuple[Output, Placement | None]:
    """The same, with how the part lies in the image, where the detector aligns frames."""
    prepared = prepare(pixels, detector.recipe.size_hw, detector.recipe.alignment)
    return detector.engine.result(detector.engine.submit(prepared.frame[None])), prepared.placed


def _scored(
    detector: Detector, pixels: NDArray[np.uint8], verdict: Verdict
) -> tuple[NDArray[np.float32], NDArray[np.float32], float, NDArray[np.float32] | None]:
    """Anomaly map, the map that the score is taken from, the score, and the scores by evidence."""
    if (
        verdict.anomaly_map is not None
        and verdict.scored_map is not None
        and verdict.score is not None
        and detector.recipe.alignment is None  # else they are turned back over the picture, and interpolated
    ):
        by_evidence = np.array([*verdict.evidence_scores.values()], np.float32) if verdict.evidence_scores else None
        return verdict.anomaly_map, verdict.scored_map, verdict.score, by_evidence
    # Or the frame was refused before it was scored. To leave it out would flatter the ranking, so the engine is asked.
    output, placed = ask_engine_and_place(detector, pixels)
    by_evidence = None if output.evidence_scores is None else output.evidence_scores[0]
    anomaly_map = output.anomaly_map[0] if placed is None else placed.in_picture(output.anomaly_map[0])
    return anomaly_map, output.scored_map[0], float(output.anomaly_score[0]), by_evidence


def rank_known_pixels(inspections: Iterable[Inspection]) -> PixelRanking | None:
    """The order of all pixels of images whose mask is known; None when no defective image has one."""
    known = [(each.anomaly_map, each.mask) for each in inspections if each.mask is not None]
    if not any(mask.any() for _, mask in known):
        return None
    return rank_pixels([anomaly_map for anomaly_map, _ in known], [mask for _, mask in known])


def implausible_masks(inspections: Iterable[Inspection]) -> str | None:
    """A sentence on masks of defective images that mark more than a defect may; None where all are plausible."""
    marked = ((each.image.mask_path, each.mask) for each in inspections if each.image.label and each.mask is not None)
    return describe_cover([(path.name, float(mask.mean())) for path, mask in marked if path is not None])


def scores_and_labels(inspections: Iterable[Inspection]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Image scores, float64 [n], and whether the image shows a defect, bool [n]."""
    pairs = [(each.score, each.image.label) for each in inspections]
    return np.array([score for score, _ in pairs], np.float64), np.array([label for _, label in pairs], bool)


def defects_of(inspections: Iterable[Inspection]) -> NDArray[np.str_]:
    """The kind of defect of each image, "good" among them, [n]."""
    return np.array([each.image.defect for each in inspections])


def summarize(inspections: Sequence[Inspection], ranking: PixelRanking | None = None) -> Accuracy:
    """The accuracy over `inspections`. Raises `InputError` unless good and defective images are among them.

    `ranking` is that of `rank_known_pixels`, for whoever has it already.
    """
    scores, labels = scores_and_labels(inspections)
    image_auroc = auroc(scores, labels)
    defects = defects_of(inspections)
    rejected = np.array([inspection.verdict.decision is not Decision.OK for inspection in inspections], bool)
    ranking = ranking or rank_known_pixels(inspections)
    pro = ranking.pro_curve() if ranking else None
    return Accuracy(
        image_auroc=image_auroc,
        image_auroc_by_defect=auroc_by_defect(scores, labels, defects),
        pixel_auroc=ranking.roc_curve().area() if ranking else None,
        au_pro_30=pro.area(0.3) if pro else None,
        au_pro_5=pro.area(0.05) if pro else None,
        at_threshold=decided(rejected, labels, inspections[0].verdict.threshold),
        best=best_decisions(scores, labels),
        false_rejects=rate_of(rejected[~labels]),
        detected=rate_of(rejected[labels]),
        undecided=sum(inspection.verdict.decision is Decision.NO_DECISION for inspection in inspections),
        too_small=sum(inspection.verdict.passed_as_small for inspection in inspections),
        without_mask=sum(inspection.image.label and inspection.mask is None for inspection in inspections),
        images={str(kind): int(count) for kind, count in zip(*np.unique(defects, return_counts=True), strict=True)},
    )


def auroc_by_defect(
    scores: NDArray[np.floating], labels: NDArray[np.bool_], defects: NDArray[np.str_]
) -> dict[str, float]:
    """The image AUROC of each kind of defect against all good images, by kind. All [n]."""
    by_defect = {}
    for kind in np.unique(defects[labels]):
        chosen = ~labels | (defects == kind)
        by_defect[str(kind)] = auroc(scores[chosen], labels[chosen])
    return by_defect

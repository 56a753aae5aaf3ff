"""The figures of detectors with and without alignment on one set of parts that lie as some `Poses` say."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.evaluation import Inspection, inspect_all, summarize
from benchmarks.alignment.turned import Poses, read_moves
from benchmarks.presets.cells import images_sha256
from benchmarks.table.cells import keep, read_kept
from export.detector import ExportOptions
from runtime.detector import Detector
from runtime.images import read_image
from runtime.placement import Matrix, composed, middle_of, moved
from runtime.preparation import prepare
from runtime.verdict import Decision
from train.__main__ import make_detector
from train.data import file_sha256
from train.datasets import TestImage, read_test_set
from train.preset import configuration

BUDGET = 0.01  # of false rejects, for the threshold
TIMED = 20  # images


@dataclass(frozen=True)
class Result:
    """What one detector does on one set."""

    data: str
    poses: str  # of the test images
    trained_on: str  # the poses of the good images
    align: str
    limits: dict[str, float]  # of the recipe; none without alignment
    image_auroc: float
    au_pro_30: float | None  # of what the originals showed
    good_rejected: tuple[int, int]  # NG or NO_DECISION, of all good ones
    defective_rejected: tuple[int, int]
    good_not_found: int  # NO_DECISION
    defective_not_found: int
    errors: "Errors | None"
    times_ms: dict[str, float]  # processor time of a frame, medians


@dataclass(frozen=True)
class Errors:
    """How far the places found in moved images are from those found in the originals, moved alike."""

    images: int
    angle_median: float  # degrees
    angle_90: float  # 90 % are at most this
    shift_median: float  # of the frame's middle, pixels of the image
    shift_90: float
    anywhere_90: float  # of the frame's corners and middle, the largest, pixels of the image


@dataclass(frozen=True)
class Set:
    """A data set in one of the poses: its good images lie in `good`, its test images in `test`."""

    name: str
    poses: Poses
    folder: Path
    originals: Mapping[str, Path]  # test images as they were, by their name in the moved set


def measure(data: Set, good: Set, options: Mapping[str, object], preset: str, out: Path) -> Result:
    """Make a detector of the images to train on in `good` with `options` over a preset, and measure it on `data`.

    A detector that is there is taken as it is, and what was measured of it is kept beside it. Raises what the stages of
    ``python -m train`` raise.
    """
    detector = out / "detector.onnx"
    if not detector.is_file():
        out.mkdir(parents=True, exist_ok=True)
        config = configuration(preset, "memory-bank", {**options, "data": str(good.folder)})
        make_detector(config.METHOD, config, out / "run", detector, BUDGET, ExportOptions())
    kept = out / f"{data.poses.name.replace(' ', '-')}.json"
    test = read_test_set(data.folder)
    settings: dict[str, object] = {"schema": 2, "detector": file_sha256(detector), "images": images_sha256(test)}
    done = read_kept(Result, kept, settings)
    if done is None:
        with Detector.open(detector, threads=1) as opened:
            done = _result(data, good.poses.name, opened, list(inspect_all(opened, test)), _times_ms(opened, test))
        keep(kept, settings, done)
    return done


def _result(
    data: Set, trained_on: str, opened: Detector, inspections: Sequence[Inspection], times: dict[str, float]
) -> Result:
    moves, alignment = read_moves(data.folder), opened.recipe.alignment
    accuracy = summarize([_of_the_original(each, moves[_name(each.image)]) for each in inspections])
    limits = {} if alignment is None else {name: v for name, v in asdict(alignment).items() if isinstance(v, float)}
    lost = [each.image.label for each in inspections if each.verdict.decision is Decision.NO_DECISION]
    return Result(
        data=data.name,
        poses=data.poses.name,
        trained_on=trained_on,
        align="none" if alignment is None else alignment.mode,
        limits=limits,
        image_auroc=accuracy.image_auroc,
        au_pro_30=accuracy.au_pro_30,
        good_rejected=(accuracy.false_rejects.count, accuracy.false_rejects.total),
        defective_rejected=(accuracy.detected.count, accuracy.detected.total),
        good_not_found=lost.count(False),
        defective_not_found=lost.count(True),
        errors=None if alignment is None else _errors(opened, data),
        times_ms=times,
    )


def _name(image: TestImage) -> str:
    return f"test/{image.defect}/{image.path.stem}"


def _of_the_original(inspection: Inspection, move: Matrix) -> Inspection:
    """An inspection whose map and mask are of what the original showed: what a moved image has from outside of it, a
    mirrored piece of the part and of its defect, counts neither for a detector nor against it. Scores stay."""
    if inspection.mask is None:
        return inspection
    height, width = inspection.mask.shape
    shown = cv2.warpAffine(np.ones((height, width), np.uint8), move, (width, height), flags=cv2.INTER_NEAREST) > 0
    lowest = inspection.anomaly_map.min()
    anomaly_map = np.where(shown, inspection.anomaly_map, lowest)
    return replace(inspection, anomaly_map=anomaly_map, mask=inspection.mask & shown)


def _errors(opened: Detector, data: Set) -> Errors:
    """The originals' own places are as the finder sees them: the parts of a data set never lie quite alike."""
    moves = read_moves(data.folder)
    angles, shifts, anywhere = [], [], []
    for name, original in data.originals.items():
        found, _ = _place(opened, data.folder / f"{name}.png")
        as_it_was, size_hw = _place(opened, original)
        expected = composed(moves[name], as_it_was)
        angles.append(abs((_angle(found) - _angle(expected) + 180) % 360 - 180))
        height, width = size_hw
        places = np.array([middle_of(size_hw), (0, 0), (width, 0), (0, height), (width, height)], np.float64)
        apart = np.hypot(*(moved(found, places) - moved(expected, places)).T)
        shifts.append(apart[0])
        anywhere.append(apart.max())
    return Errors(
        images=len(angles),
        angle_median=float(np.median(angles)),
        angle_90=float(np.quantile(angles, 0.9)),
        shift_median=float(np.median(shifts)),
        shift_90=float(np.quantile(shifts, 0.9)),
        anywhere_90=float(np.quantile(anywhere, 0.9)),
    )


def _place(opened: Detector, path: Path) -> tuple[Matrix, tuple[int, int]]:
    """From pixels of the aligned image to those of the image, at the image's size."""
    image = read_image(path)
    size_hw = image.shape[0], image.shape[1]
    placed = prepare(image, opened.recipe.size_hw, opened.recipe.alignment).placed
    assert placed is not None
    return placed.to_picture(size_hw, size_hw), size_hw


def _angle(matrix: NDArray[np.float64]) -> float:
    return math.degrees(math.atan2(matrix[1, 0], matrix[0, 0]))


def _times_ms(opened: Detector, test: Sequence[TestImage]) -> dict[str, float]:
    """Medians of one frame: scaling it, preparing it as the recipe says, and inference.

    Of processor time, in which other work on the machine has no part.
    """
    found: dict[str, list[float]] = {"scaled": [], "prepared": [], "inference": []}
    recipe, engine = opened.recipe, opened.engine
    for image in test[:TIMED]:
        pixels = read_image(image.path)
        started = time.process_time()
        prepare(pixels, recipe.size_hw, None)
        scaled = time.process_time()
        prepared = prepare(pixels, recipe.size_hw, recipe.alignment)
        done = time.process_time()
        engine.result(engine.submit(prepared.frame[None]))
        answered = time.process_time()
        for name, seconds in (
            ("scaled", scaled - started),
            ("prepared", done - scaled),
            ("inference", answered - done),
        ):
            found[name].append(1e3 * seconds)
    return {name: float(np.median(values)) for name, values in found.items()}


def with_text(results: Sequence[Result]) -> str:
    """The table."""
    lines = [
        "| parts | trained on | alignment | image AUROC | AU-PRO | good rejected | defective rejected "
        "| not found: good, defective | angle error, 90 % | shift error, 90 % | ms: preparation, inference |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for each in results:
        errors = each.errors
        lines.append(
            f"| {each.data}, {each.poses} | {each.trained_on} | {each.align} | {each.image_auroc:.3f} | "
            f"{'' if each.au_pro_30 is None else f'{each.au_pro_30:.3f}'} | {each.good_rejected[0]} of "
            f"{each.good_rejected[1]} | {each.defective_rejected[0]} of {each.defective_rejected[1]} | "
            f"{each.good_not_found}, {each.defective_not_found} | "
            f"{'' if errors is None else f'{errors.angle_90:.2f}°'} | "
            f"{'' if errors is None else f'{errors.shift_90:.2f} px'} | "
            f"{each.times_ms['prepared']:.1f}, {each.times_ms['inference']:.0f} |"
        )
    return "\n".join(lines)


def document(results: Sequence[Result]) -> list[dict[str, Any]]:
    """The results as JSON takes them."""
    return [asdict(each) for each in results]

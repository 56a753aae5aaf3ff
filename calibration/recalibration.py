"""A finished detector file fitted to other good images, where it runs: no network changes, and PyTorch is not needed.

After a lens was cleaned, a lamp changed or a supplier, good parts look otherwise than those that the detector was
calibrated on. What good images decide stands apart in the file (`runtime.recipe.CONSTANTS`) and is fitted anew by the
functions that fitted it first (`calibration.statistics`, `health`, `threshold`); weights and memory stay.

The images are all held out: those that the detector was made from are refused (`calibration.known_images`). So the
threshold's proof is the order statistic's, also of a detector whose first threshold came from images that were left out
of its memory in turn. Images whose statistics choose weights of kinds or places give no score to the threshold
(`Split.threshold_images`).
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.destination import check_destination
from calibration.file_scores import frames_npz, frames_sha256, parity_frames, progress, quantiles, scores_of_file
from calibration.health import fit_health
from calibration.known_images import check_unknown, statistics_from
from calibration.statistics import fit_leverage, fit_map, fit_moments, unit_of
from calibration.threshold import fit_threshold
from runtime.atomic import write_atomically
from runtime.detector_file import read_detector
from runtime.engines.onnxruntime_engine import OnnxRuntimeEngine, open_session
from runtime.errors import InputError
from runtime.frames import Frame
from runtime.health import HealthCheck, seen_by_health
from runtime.images import read_image
from runtime.lock import only_one_writes
from runtime.machine import available_cores
from runtime.onnx_file import graph_sha256, operand_beside, with_constants, with_metadata, with_outputs
from runtime.preparation import scaled
from runtime.recipe import CONSTANTS, HealthLimits, Method, Recalibration, Recipe, constants_of
from runtime.threshold import Threshold, check_rates, images_needed
from runtime.versions import commit, now, versions
from train.data import DifferentPictures, PreparedImages, Split, for_statistics, split_held_out
from train.datasets import good_images
from train.inspection import Inspector
from train.inspection.inspector import Report
from train.progress import Progress

# different pictures for statistics by position, where half of all are so many. Of fewer, units of map
# and frame are so rough that defects pass or good parts are rejected (`python -m benchmarks.recalibration`)
ENOUGH_BY_POSITION = 20
FEWEST = 10  # different pictures: five for the statistics and five for the threshold, as training holds out at least


@dataclass(frozen=True)
class Options:
    """How to recalibrate."""

    by: str  # who answers for it
    budget: float | None = None  # share of good parts that may be rejected; None: the file's own
    confidence: float | None = None  # of the budget's bound; None: the file's own
    keep_statistics: bool = False  # whether the graph stays, and the threshold alone is fitted anew
    threads: int | None = None  # CPU threads of an inference; None takes all cores


@dataclass(frozen=True)
class Recalibrated:
    """A detector before and after, and what both make of the images that were given."""

    before: Recipe
    after: Recipe
    images: tuple[Path, ...]  # the first file of each different picture
    old_scores: NDArray[np.float64]  # [n] of these images, by the file as it was
    new_scores: NDArray[np.float64]  # [n], by the file as it is
    counted: NDArray[np.bool_]  # [n], whether the threshold was fitted to the new score
    refused: tuple[str, ...]  # sentences on images that the old file would not have scored
    report: Report  # what an inspection of the images says of them
    copies: str | None  # a sentence on files that count for nothing

    @property
    def counted_images(self) -> list[Path]:
        """The images whose new scores the threshold was fitted to."""
        return [path for path, counts in zip(self.images, self.counted, strict=True) if counts]

    @property
    def counted_scores(self) -> NDArray[np.float64]:
        """Their new scores."""
        return np.asarray(self.new_scores[self.counted])

    @property
    def statistics(self) -> int:
        """How many different pictures gave new statistics; 0 where they were kept."""
        made = self.after.recalibration
        return made.images["statistics"] if made is not None and made.statistics else 0

    @property
    def looks_otherwise(self) -> bool:
        """Whether half of the images score, by the file as it was, above 95 % of those that it was fitted to."""
        return float(np.median(self.old_scores)) > self.before.score_quantiles.get("0.95", np.inf)

    def images_above(self, scores: NDArray[np.float64], recipe: Recipe) -> list[Path]:
        """The images whose scores [n] are above the threshold of a recipe, the highest first."""
        order = np.argsort(-scores, kind="stable")
        return [self.images[index] for index in order if scores[index] > recipe.threshold.value]


def recalibrate(detector: Path, data: Path, out: Path, options: Options) -> Recalibrated:
    """Fit the detector file to the good images in `data`, and write it to `out`, with its parity frames beside it.

    `out` may be the file itself. All is read and scored before anything is written, whole or not at all. Raises
    `DetectorError` for what is no detector, `InputError` for one of schema 1, rates out of range, images that it was
    made from, too few images, an `out` that is something else, and while another process writes it; `ImageError` for
    images that cannot be read or in which the part is not found.
    """
    check_destination(out)
    with only_one_writes(out):  # and reads: `out` may be the file itself, which nobody changes in between
        model, recipe = read_detector(detector)
        if recipe.schema == 1:
            raise InputError(
                f"{detector} is of schema 1, which cannot be recalibrated; export it again from its run folder"
            )
        aim = replace(
            recipe.threshold,
            budget=recipe.threshold.budget if options.budget is None else options.budget,
            confidence=recipe.threshold.confidence if options.confidence is None else options.confidence,
            method="manual",
            supported=False,
        )
        check_rates(aim.budget, aim.confidence)
        report, split = _images(data, recipe, aim, options.keep_statistics)
        return _recalibrated(model, recipe, split, report, aim, out, options)


def _recalibrated(
    model: bytes, recipe: Recipe, split: Split, report: Report, aim: Threshold, out: Path, options: Options
) -> Recalibrated:
    images = _prepared(split.different((*split.statistics, *split.threshold)), recipe)
    health, refused = _health(split, recipe)
    old_scores = new_scores = _scores(model, recipe, images, options.threads, "scores before")
    graph, method = model, recipe.method
    if not options.keep_statistics:
        graph, method = refitted(model, recipe, _prepared(split.different(split.statistics), recipe), options.threads)
        new_scores = _scores(graph, recipe, images, options.threads, "scores after")
    chosen = split.threshold_images(len(method.evidence), recipe.scoring.by_position)
    counted = np.isin([str(path) for path in images.paths], [str(path) for path in chosen])
    frames_file = frames_npz(parity_frames(split, recipe.size_hw, recipe.alignment))
    after = replace(
        recipe,
        method=method,
        threshold=fit_threshold(new_scores[counted], aim.budget, aim.confidence),
        score_quantiles=quantiles(new_scores[counted]),
        health=health,
        parity_sha256=frames_sha256(frames_file),
        graph_sha256=graph_sha256(graph),
        recalibration=_origin(recipe, split, options),
    )
    # the frames first: whoever finds a new detector finds its frames beside it
    write_atomically(out.with_suffix(".parity.npz"), frames_file)
    write_atomically(out, with_metadata(graph, after.metadata))
    copies = f"{split.copies:,} files are copies of others, and prove nothing" if split.copies else None
    return Recalibrated(recipe, after, images.paths, old_scores, new_scores, counted, refused, report, copies)


def refitted(model: bytes, recipe: Recipe, images: PreparedImages, threads: int | None = None) -> tuple[bytes, Method]:
    """The graph with statistics of these good images in its constants, and the method with the same figures.

    The graph itself computes what they are of, step by step as training does: raw evidence, then maps by it, then
    scores by those. Raises `DetectorError` for a graph without the constants of schema 2.
    """
    scoring, size_hw = recipe.scoring, recipe.size_hw
    chosen = scoring.inspected(size_hw)
    inspected = None if chosen is None else chosen.mask
    raw = {"evidence": operand_beside(model, f"{CONSTANTS}scale")}
    if recipe.method.image_evidence:
        raw["pooled"] = operand_beside(model, f"{CONSTANTS}image_centre")
    stride, pooled = int(str(recipe.method.settings["output_stride"])), list[NDArray[np.float32]]()

    def evidence() -> Iterator[NDArray[np.float32]]:
        shown = _outputs(with_outputs(model, raw.values()), list(raw.values()), images, "statistics", threads)
        for found in shown:
            values = dict(zip(raw, found, strict=True))
            pooled.extend(values.get("pooled", ()))
            yield _inspected(values["evidence"][0], size_hw, stride, inspected)

    moments = fit_moments(evidence())
    kinds = tuple(
        replace(kind, mean=each.mean, deviation=each.deviation)
        for kind, each in zip(recipe.method.evidence, moments, strict=True)
    )
    model = _with(model, constants_of(kinds))
    if not scoring.by_position:
        return model, replace(recipe.method, evidence=kinds)
    maps = (found[0][0] for found in _outputs(model, ["anomaly_map"], images, "positions", threads))
    mean, deviation = fit_map([maps], size_hw, inspected)
    model = _with(model, {"position_mean": mean, "position_factor": np.reciprocal(deviation)})
    whole = recipe.method.image_evidence
    if whole:
        scores = [found[0][0, 0] for found in _outputs(model, ["evidence_scores"], images, "units", threads)]
        unit = unit_of(np.array(scores, np.float64))
        mean, deviation = mean + np.float32(unit.mean) * deviation, deviation * np.float32(unit.deviation)
        leverage = fit_leverage(np.stack(pooled), slice(None))
        model = _with(model, {"position_mean": mean, "position_factor": np.reciprocal(deviation), **leverage.constants})
        whole = tuple(
            replace(kind, mean=leverage.evidence_mean, deviation=leverage.evidence_deviation) for kind in whole
        )
    return model, replace(recipe.method, evidence=kinds, image_evidence=whole)


def _images(data: Path, recipe: Recipe, aim: Threshold, keep_statistics: bool) -> tuple[Report, Split]:
    """The good images by use, all of them read, and what an inspection says.

    Raises `InputError` for too few, and for images that the detector was made from.
    """
    paths = good_images(data)
    found = DifferentPictures.of(paths)
    check_unknown(found, recipe, keep_statistics, data)
    needed = to_prove(recipe, aim, keep_statistics)
    found.check_enough(FEWEST, f", and {needed:,} to prove a budget of {100 * aim.budget:.3g} %", f"in {data}")
    inspector = Inspector(recipe.size_hw)
    PreparedImages(paths, recipe.size_hw, None).check(inspector.add)
    return inspector.report(), split_held_out(found, 0 if keep_statistics else statistics_of(recipe, len(found.groups)))


def to_prove(recipe: Recipe, aim: Threshold, keep_statistics: bool) -> int:
    """How many different pictures prove the budget aimed at, beside those whose statistics choose weights."""
    needed = images_needed(aim.budget, aim.confidence)
    if keep_statistics or not recipe.statistics_weigh:
        return needed
    given = range(needed, 2 * needed + 2)  # half of them are for the statistics at most
    return given[bisect_left(given, needed, key=lambda count: count - statistics_of(recipe, count))]


def statistics_of(recipe: Recipe, given: int) -> int:
    """How many of the pictures given are for the statistics.

    Means and deviations of kinds are of all pixels, for which training's share does; what each position shows, and the
    whole frame, takes more.
    """
    return for_statistics(given, ENOUGH_BY_POSITION) if recipe.scoring.by_position else for_statistics(given)


def _health(split: Split, recipe: Recipe) -> tuple[HealthLimits, tuple[str, ...]]:
    """Limits from all images, and sentences on those that the limits so far refuse."""
    seen = seen_by_health(recipe.scoring, recipe.alignment, recipe.size_hw)
    check, refused = HealthCheck(recipe.health, seen), list[str]()
    paths = (*split.statistics, *split.threshold)

    def read() -> Iterator[NDArray[np.uint8]]:
        for number, path in enumerate(Progress(paths, "health", len(paths), unit="image")):
            image = read_image(path)
            problem = check.problem(Frame(image, number), scaled(image, recipe.size_hw))
            if problem is not None:
                refused.append(f"{path}: {problem}")
            yield image

    return fit_health(read(), recipe.size_hw, seen), tuple(refused)


def _origin(recipe: Recipe, split: Split, options: Options) -> Recalibration:
    counts = {name: count for name, count in split.counts.items() if name != "training"}
    return Recalibration(
        source_sha256=recipe.sha256,
        statistics=not options.keep_statistics,
        images=counts,
        images_sha256=split.images_sha256,
        by=options.by,
        versions=versions(),
        commit=commit(),
        created=now(),
        statistics_from=statistics_from(recipe, split, options.keep_statistics),
    )


def _prepared(paths: tuple[Path, ...], recipe: Recipe) -> PreparedImages:
    return PreparedImages(paths, recipe.size_hw, recipe.alignment)


def _scores(
    model: bytes, recipe: Recipe, images: PreparedImages, threads: int | None, name: str
) -> NDArray[np.float64]:
    engine = OnnxRuntimeEngine(model, recipe, threads=threads)
    try:
        return scores_of_file(engine, images, name)
    finally:
        engine.close()


def _outputs(
    model: bytes, names: list[str], images: PreparedImages, shown: str, threads: int | None
) -> Iterator[list[Any]]:
    """These outputs of a graph for each image, one after the other."""
    session = open_session(model, "cpu", available_cores() if threads is None else threads)
    for frame in progress(images, shown):
        yield session.run(names, {"frames": frame})


def _inspected(
    evidence: NDArray[np.float32], size_hw: tuple[int, int], stride: int, inspected: NDArray[np.bool_] | None
) -> NDArray[np.float32]:
    """Raw evidence [K, h, w] at each inspected pixel, [K, n], as `calibration.maps.upsampled` has it."""
    found = []
    for values in evidence:
        if stride > 1:
            height, width = values.shape
            values = cv2.resize(values, (width * stride, height * stride), interpolation=cv2.INTER_LINEAR)
        values = values[: size_hw[0], : size_hw[1]]
        found.append(values.reshape(-1) if inspected is None else values[inspected])
    return np.stack(found)


def _with(model: bytes, values: dict[str, NDArray[np.float32]]) -> bytes:
    return with_constants(model, {f"{CONSTANTS}{name}": value for name, value in values.items()})

"""From a calibrated run to one self-contained ``detector.onnx``: fused, checked, its threshold fitted, then written."""

import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.calibrate import progress
from calibration.calibrated import CalibratedRun
from calibration.concerns import find_concerns
from calibration.threshold import fit_threshold
from export.destination import check_destination, replaced_by
from export.forms import Exported, faster_form
from export.fused import FusedDetector, evidence_of, image_evidence_of
from export.graph import export_graph, with_halved_weights
from export.graphs import different_forms, members, memory_name
from export.left_out import left_out_scores, whitened
from export.parity import compare
from export.provenance import provenance
from runtime.atomic import write_atomically
from runtime.engines import Engine
from runtime.engines.onnxruntime_engine import OnnxRuntimeEngine
from runtime.errors import ParityError
from runtime.onnx_file import graph_sha256, with_metadata
from runtime.parity import TOLERANCE
from runtime.printable import printable
from runtime.recipe import Method, Recipe
from runtime.threshold import Threshold
from train.data import PreparedImages, Split
from train.lock import only_one_writes
from train.run_folder import SCORES

PARITY_FRAMES = 16
MOVED = 3  # pixels; no multiple of a stride
HIGHEST_SHOWN = 3
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
UNFITTED = Threshold(0.0, 1.0, 0.95, 0, "manual", False, 1.0)  # until the graph has scored the held-out images


@dataclass(frozen=True)
class ExportOptions:
    """What export chooses; everything that changes a score is the run's."""

    precision: str = "fp32"  # of the convolutions
    form: str = "bailer"  # of dense extraction: bailer, atrous or auto
    weights: str = "fp32"  # as stored
    explain: bool = False  # whether raw evidence is an output


def export(run: CalibratedRun, out: Path, options: ExportOptions | None = None) -> Exported:
    """Export a run to `out`, and the frames it was checked on to ``<out stem>.parity.npz`` beside it.

    The threshold is fitted once, to the exported file's own scores of the held-out images, which are kept in the run
    folder; the images that scored highest are printed: the threshold leans on them, and one bad part among them ruins
    it. With the form ``auto`` the faster one is kept (see `export.forms`). Raises `ParityError`, and writes nothing,
    when the file disagrees with the formulas; `InputError` while another process writes `out` or works in the run.
    """
    check_destination(out)
    options = options or ExportOptions()
    run = replace(run, trained=run.trained.on("cpu"))  # where a graph is made, and compared
    with only_one_writes(out), run.trained.folder.only_one():
        return _export(run, out, options)


def _export(run: CalibratedRun, out: Path, options: ExportOptions) -> Exported:
    frames = parity_frames(run.trained.split, run.trained.size_hw)
    images = PreparedImages(run.threshold_images, run.trained.size_hw)

    def made(form: str) -> Exported:
        return _made(run, form, options, frames, images)

    if options.form == "auto":
        shape = FusedDetector(run, half=options.precision == "fp16", explain=options.explain)
        done = faster_form(run.trained, f"{options.precision}, {options.weights}", made, shape, frames)
    else:
        done = made(options.form)
    _say(run, done, images, out)
    write_atomically(run.trained.folder.path / SCORES, _npy(done.scores))
    # the frames first: whoever finds a new detector finds its frames beside it
    write_atomically(out.with_suffix(".parity.npz"), frames_npz(frames))
    write_atomically(out, with_metadata(done.graph, done.recipe.metadata))
    run.trained.folder.log(threshold=done.recipe.threshold.value, concerns=done.concerns)
    return done


def _made(
    run: CalibratedRun, form: str, options: ExportOptions, frames: NDArray[np.uint8], images: PreparedImages
) -> Exported:
    """The graph in one form, through the parity gate. Raises `ParityError`."""
    half = options.precision == "fp16"
    fused = FusedDetector(run, form="bailer" if form == "bailer" else "atrous", half=half, explain=options.explain)
    graph = export_graph(fused, run.trained.size_hw)
    if options.weights == "fp16":
        graph = with_halved_weights(graph)
    recipe = recipe_of_run(run, graph, form, options, frames_npz(frames))
    engine = OnnxRuntimeEngine(graph, recipe)
    try:
        left_out = run.trained.leaves_out
        exact = options.precision == options.weights == "fp32"
        scores = _left_out_scores(run, graph, recipe, images, exact) if left_out else _scores(engine, images)
        threshold = fit_threshold(scores, run.budget, run.confidence, left_out=left_out)
        tolerance = TOLERANCE["fp16" if "fp16" in (options.precision, options.weights) else "fp32"]
        parity = compare(run, threshold.value, engine, fused, frames, tolerance)
        concerns = find_concerns(run.trained, partial(_scores_of, engine, run.trained.size_hw), scores, threshold)
    finally:
        engine.close()
    parity.check()
    largest = parity.largest_activation
    recipe = replace(recipe, threshold=threshold, score_quantiles=quantiles(scores), largest_activation=largest)
    return Exported(graph, recipe, parity, scores, concerns)


def parity_frames(split: Split, size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Up to 16 prepared good frames, [n, H, W, 3], that nothing was trained on.

    Where none were held out they are moved by a few pixels: of frames that a memory holds as they are, evidence is 0
    everywhere, which nothing can be compared with.
    """
    held_out = [*split.threshold, *split.statistics]
    images = PreparedImages(held_out[:PARITY_FRAMES], size_hw)
    frames = np.stack([images[index] for index in range(len(images))])
    return frames if split.threshold else np.roll(frames, (MOVED, MOVED), axis=(1, 2))


def frames_npz(frames: NDArray[np.uint8]) -> bytes:
    """The file of parity frames that lies beside a detector."""
    file = io.BytesIO()
    np.savez_compressed(file, frames=frames)
    return file.getvalue()


def recipe_of_run(run: CalibratedRun, graph: bytes, form: str, options: ExportOptions, frames_file: bytes) -> Recipe:
    """What a file of `graph` says of itself, but for what its own scores give: threshold, quantiles and activations."""
    trained = run.trained
    return Recipe(
        size_hw=trained.size_hw,
        interpolation="area",
        aspect="stretch",
        scoring=trained.scoring,
        method=Method(
            trained.method,
            trained.looks_at,
            evidence_of(run),
            {**trained.settings, **({"form": form} if different_forms(trained) else {})},
            image_evidence_of(run),
        ),
        score_quantiles={},
        threshold=UNFITTED,
        health=run.health,
        precision=options.precision,
        explain=options.explain,
        largest_activation=0.0,
        parity_sha256=hashlib.sha256(frames_file).hexdigest(),
        graph_sha256=graph_sha256(graph),
        provenance=provenance(trained.split),
    )


def quantiles(scores: NDArray[np.float64]) -> dict[str, float]:
    """The good images' scores at a few probabilities, so that a line's scores can be compared with them later."""
    return {str(q): float(v) for q, v in zip(QUANTILES, np.quantile(scores, QUANTILES), strict=True)}


def describe_highest(images: Sequence[Path], scores: NDArray[np.float64]) -> str:
    """The images with the highest scores, for people who can tell whether these are good parts."""
    highest = scores.argsort()[::-1][:HIGHEST_SHOWN]
    shown = ", ".join(f"{scores[index]:.2f} {images[index]}" for index in highest)
    return f"highest scores of good images: {shown}. Look at them: one that is no good part belongs out of the folder"


def _scores(engine: Engine, images: PreparedImages) -> NDArray[np.float64]:
    """The file's own scores of held-out images. Raises `ParityError` for one that is not finite."""
    outputs = (engine.result(engine.submit(frame), timeout_s=600) for frame in progress(images, "exported scores"))
    return _finite(np.array([float(output.anomaly_score[0]) for output in outputs]))


def _left_out_scores(
    run: CalibratedRun, graph: bytes, recipe: Recipe, images: PreparedImages, exact: bool
) -> NDArray[np.float64]:
    """The file's own scores of images that it knows, each left out; `exact` of one in FP32. Raises as `_scores`."""
    trained = run.trained
    memory, known = memory_name(trained), None if exact else whitened(run, images)
    return _finite(left_out_scores(graph, recipe, memory, members(trained), trained.split, images, known))


def _finite(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    bad = int(np.count_nonzero(~np.isfinite(scores)))
    if bad:
        raise ParityError(
            f"the exported file scores {bad} of {len(scores)} good images NaN or infinite; nothing was written. "
            "Use --precision fp32, or report it with the run folder"
        )
    return scores


def _scores_of(engine: Engine, size_hw: tuple[int, int], paths: Iterable[Path]) -> NDArray[np.float64]:
    return _scores(engine, PreparedImages(list(paths), size_hw))


def _say(run: CalibratedRun, done: Exported, images: PreparedImages, out: Path) -> None:
    if copies := run.trained.split.copies_left_out(images.paths):
        print(printable(copies))
    print(printable(describe_highest(images.paths, done.scores)))
    for sentence in replaced_by(done.recipe, out):
        print(printable(sentence))


def _npy(scores: NDArray[np.float64]) -> bytes:
    file = io.BytesIO()
    np.save(file, scores, allow_pickle=False)
    return file.getvalue()

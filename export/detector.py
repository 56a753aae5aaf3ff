"""From a calibrated run to one self-contained ``detector.onnx``: fused, checked, its threshold fitted, then written."""

import io
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.calibrated import CalibratedRun
from calibration.concerns import find_concerns
from calibration.destination import check_destination, replaced_by
from calibration.file_scores import (
    describe_highest,
    finite,
    frames_npz,
    frames_sha256,
    parity_frames,
    quantiles,
    scores_of_file,
)
from calibration.threshold import fit_threshold
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
from runtime.lock import only_one_writes
from runtime.onnx_file import graph_sha256, with_metadata
from runtime.parity import TOLERANCE
from runtime.printable import printable
from runtime.recipe import Method, Recipe
from runtime.threshold import Threshold
from train.data import PreparedImages
from train.dense import Form
from train.method import TrainedRun
from train.run_folder import SCORES

UNFITTED = Threshold(0.0, 1.0, 0.95, 0, "manual", False, 1.0)  # until the graph has scored the held-out images


@dataclass(frozen=True)
class ExportOptions:
    """What export chooses; everything that changes a score is the run's."""

    precision: str = "fp32"  # of the convolutions
    form: str = "bailer"  # of dense extraction: bailer, atrous or auto
    weights: str = "fp32"  # as stored
    explain: bool = False  # whether raw evidence is an output
    tiles: tuple[int, int] = (1, 1)  # rows and columns in which the frame is computed; see export.tiles


def export(run: CalibratedRun, out: Path, options: ExportOptions | None = None) -> Exported:
    """Export a run to `out`, and the frames it was checked on to ``<out stem>.parity.npz`` beside it.

    The threshold is fitted once, to the exported file's own scores of the held-out images, which are kept in the run
    folder; the images that scored highest are printed: the threshold leans on them, and one bad part among them ruins
    it. With the form ``auto`` the faster one is kept (see `export.forms`). Raises `ParityError`, and writes nothing,
    when the file disagrees with the formulas; `InputError` while another process writes `out` or works in the run, and
    for tiles that the networks see beyond.
    """
    check_destination(out)
    options = options or ExportOptions()
    run = replace(run, trained=run.trained.on("cpu"))  # where a graph is made, and compared
    with only_one_writes(out), run.trained.folder.only_one():
        return _export(run, out, options)


def _export(run: CalibratedRun, out: Path, options: ExportOptions) -> Exported:
    frames = parity_frames(run.trained.split, run.trained.size_hw, run.trained.alignment)
    images = PreparedImages(run.threshold_images, run.trained.size_hw, run.trained.alignment)

    def made(form: str) -> Exported:
        return _made(run, form, options, frames, images)

    if options.form == "auto":
        shape = FusedDetector(run, half=options.precision == "fp16", explain=options.explain, tiles=options.tiles)
        tiles = "" if shape.tiles is None else f", {shape.tiles.tiling}"
        done = faster_form(run.trained, f"{options.precision}, {options.weights}{tiles}", made, shape, frames)
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
    dense: Form = "bailer" if form == "bailer" else "atrous"
    fused = FusedDetector(run, form=dense, half=half, explain=options.explain, tiles=options.tiles)
    graph = export_graph(fused, run.trained.size_hw)
    if options.weights == "fp16":
        graph = with_halved_weights(graph)
    tiles = None if fused.tiles is None else fused.tiles.tiling
    recipe = replace(recipe_of_run(run, graph, form, options, frames_npz(frames)), tiles=tiles)
    engine = OnnxRuntimeEngine(graph, recipe)
    try:
        left_out = run.trained.leaves_out
        exact = options.precision == options.weights == "fp32"
        scores = _left_out_scores(run, graph, recipe, images, exact) if left_out else scores_of_file(engine, images)
        threshold = fit_threshold(scores, run.budget, run.confidence, left_out=left_out)
        tolerance = TOLERANCE["fp16" if "fp16" in (options.precision, options.weights) else "fp32"]
        parity = compare(run, threshold.value, engine, fused, frames, tolerance)
        concerns = find_concerns(run.trained, partial(_scores_of, engine, run.trained), scores, threshold)
    finally:
        engine.close()
    parity.check()
    largest = parity.largest_activation
    recipe = replace(recipe, threshold=threshold, score_quantiles=quantiles(scores), largest_activation=largest)
    return Exported(graph, recipe, parity, scores, concerns)


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
        parity_sha256=frames_sha256(frames_file),
        graph_sha256=graph_sha256(graph),
        provenance=provenance(trained),
        alignment=trained.alignment,
    )


def _left_out_scores(
    run: CalibratedRun, graph: bytes, recipe: Recipe, images: PreparedImages, exact: bool
) -> NDArray[np.float64]:
    """The file's own scores of images that it knows, each left out; `exact` of one in FP32.

    Raises as `scores_of_file`.
    """
    trained = run.trained
    memory, known = memory_name(trained), None if exact else whitened(run, images)
    return finite(left_out_scores(graph, recipe, memory, members(trained), trained.split, images, known))


def _scores_of(engine: Engine, trained: TrainedRun, paths: Iterable[Path]) -> NDArray[np.float64]:
    return scores_of_file(engine, PreparedImages(list(paths), trained.size_hw, trained.alignment))


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

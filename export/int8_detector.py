"""A detector in INT8: quantized from good images, checked against the FP32 file, then written.

Of students the convolutions are quantized (`export.quantized`), of a memory bank the search (`export.int8_search`).

The good images are the very ones that the detector was made from, in the same use: ranges come from images to train
on, threshold and checks from images held out or, of a detector that knows them all, from images that are left out of
both files in turn. What of its memory is whose, the run folder says.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from calibration.calibrated import with_statistics
from calibration.destination import check_destination
from calibration.file_scores import frames_npz, frames_sha256, parity_frames, progress, quantiles
from calibration.methods import open_run
from calibration.ranges import RangeCollector
from export.defects import Defect, find_defects, read_masks
from export.fused import image_evidence_of
from export.graph import has_halved_weights
from export.graphs import members, memory_name, memory_of
from export.int8_gate import FRAMES, Comparison, Scores, compare, score_in_turns, threshold_of
from export.int8_search import quantized_search
from export.layers import find_layers, load_graph, observe
from export.left_out import left_out_maps, left_out_scores, whitened
from export.quantized import quantized
from runtime.atomic import write_atomically
from runtime.detector_file import read_detector
from runtime.engines import Engine
from runtime.engines.onnxruntime_engine import OnnxRuntimeEngine
from runtime.errors import InputError
from runtime.images import read_image
from runtime.onnx_file import graph_sha256, with_metadata
from runtime.preparation import prepare
from runtime.printable import printable
from runtime.recipe import Quantization, Recipe
from runtime.versions import commit, now, versions
from train.data import PreparedImages, Split, sha256_of_images, split_as_counted, split_by_content
from train.datasets import good_images
from train.method import TrainedRun
from train.run_folder import run_beside

QUANTIZED = ("students", "memory-bank")  # methods
AGREES = 1e-4  # sums of one memory, in another order on another machine, differ by less
IMAGES = 32  # for the ranges; for the rounding they give more patches than a row of 5×5×128 weights has members


@dataclass(frozen=True)
class Options:
    """How to quantize, and what may be lost."""

    ranges: str = "max"  # method of calibration.ranges
    images: int = IMAGES  # at most, for the ranges
    margin: float = 0.01  # largest loss; see export.int8_gate
    threads: int | None = None  # CPU threads of the comparison, and of its speed; None takes all cores
    allow_slower: bool = False


def find_split(detector: Path, data: Path | None, run: Path | None, unseen: bool = False) -> Split:
    """The good images by use: of a run folder, or of `data`, split as training did; of ``<stem>-run`` without either.

    Raises `InputError` where `data` is given for a detector that images are left out of (the run folder says what of
    its memory is whose), and when `data` does not hold the images that the detector was made from: one that was trained
    on would vouch for the threshold. `unseen` says that no stage has seen any of them, and allows them.
    """
    recipe = read_detector(detector)[1]
    if data is not None and recipe.threshold.left_out:
        raise InputError(
            f"the threshold of {detector.name} comes from images that were left out of its memory in turn, and only "
            "the run folder of its training knows what of it is whose; name that with --run in place of --data"
        )
    if data is not None:
        counts = recipe.provenance.images
        share = 1 - counts.get("training", 0) / max(sum(counts.values()), 1)  # that training held out
        images = good_images(data)
        split = split_by_content(images, share) if unseen else split_as_counted(images, counts)
    else:
        run = run or run_beside(detector)
        if not run.is_dir():
            raise InputError(
                f"{run} is no folder; name the good images that {detector.name} was made from with --data, or the run "
                "folder of its training with --run"
            )
        split = Split.load(run / "split.json")
    made_from = recipe.provenance
    # files where the detector is from before copies were known to count once
    same = split.images_sha256 == made_from.images_sha256 and made_from.images in (split.counts, split.files)
    if not same and not unseen:
        raise InputError(
            f"{data or run} has other good images than {detector.name} was made from ({_counted(split.counts)}; it was "
            f"made from {_counted(recipe.provenance.images)}); give those, or --unseen with --data if training has "
            "seen none of these"
        )
    return split


def quantize(
    detector: Path,
    split: Split,
    out: Path,
    options: Options | None = None,
    defects: Path | None = None,
    masks: Path | None = None,
    run: Path | None = None,
) -> Comparison:
    """Quantize a detector file to `out`, and write the frames it was checked on to ``<out stem>.parity.npz`` beside it.

    The threshold is fitted again on the INT8 file's own scores. `defects` is a folder of defective images, `masks` one
    of their masks; see `export.defects`. `run` is the run folder of its training, which a detector needs that images
    are left out of (None: the one beside the detector). Raises `ParityError`, and writes nothing, when more is lost
    than the margin or no speed is gained; `InputError` for what cannot be quantized.
    """
    options = options or Options()
    model, recipe = read_detector(detector)
    _check(detector, recipe, out, options, defects, masks)
    defective = [] if defects is None else find_defects(defects, masks)
    marked = None if masks is None else _aligned(read_masks(defective, recipe.size_hw), defective, recipe)
    trained = _trained(detector, model, recipe, run or run_beside(detector)) if recipe.threshold.left_out else None
    graph, ranged = _quantized(model, recipe, split, options, None if trained is None else memory_name(trained))
    held_out = split.threshold_images(len(recipe.method.evidence), recipe.scoring.by_position)
    shown = held_out if trained is None else held_out[:FRAMES]  # else for the speed alone
    fp32, int8, speed_on = _scored(model, graph, recipe, shown, [each.path for each in defective], options.threads)
    if trained is not None:
        known = _known(model, recipe, trained, held_out)
        fp32, int8 = (
            _left_out(scores, each, recipe, trained, held_out, known) for scores, each in ((fp32, model), (int8, graph))
        )
    found = compare(fp32, int8, recipe.threshold, marked, speed_on, recipe.scoring.inspected(recipe.size_hw))
    found.check(options.margin, options.allow_slower)
    frames_file = frames_npz(parity_frames(split, recipe.size_hw, recipe.alignment))
    threshold = threshold_of(int8, recipe.threshold)
    images_sha256 = sha256_of_images(split.sha256[str(path)] for path in (*ranged, *held_out))
    recipe = _recipe(recipe, graph, frames_file, len(ranged), images_sha256, found, options)
    recipe = replace(recipe, threshold=threshold, score_quantiles=_quantiles(int8))
    # the frames first: whoever finds a new detector finds its frames beside it
    write_atomically(out.with_suffix(".parity.npz"), frames_file)
    write_atomically(out, with_metadata(graph, recipe.metadata))
    return found


def _aligned(masks: list[NDArray[np.bool_]], defective: Sequence[Defect], recipe: Recipe) -> list[NDArray[np.bool_]]:
    """The masks of defective images as they lie in the frames that are compared."""
    if recipe.alignment is None:
        return masks
    placed = (prepare(read_image(each.path), recipe.size_hw, recipe.alignment).placed for each in defective)
    return [mask if each is None else each.aligned_mask(mask) for mask, each in zip(masks, placed, strict=True)]


def _check(
    detector: Path, recipe: Recipe, out: Path, options: Options, defects: Path | None, masks: Path | None
) -> None:
    """Raise `InputError` for what cannot be quantized, before the work."""
    if out.resolve() == detector.resolve():
        raise InputError(f"--out is {out}; expected another name than the detector's, ending in .onnx")
    check_destination(out)
    if recipe.recalibration is not None:
        raise InputError(
            f"{detector} was recalibrated, and INT8 goes by the images of its training; quantize the file as it was "
            "exported, then run python -m calibration.recalibrate on that"
        )
    if recipe.precision != "fp32":
        raise InputError(f"{detector} has its convolutions in {recipe.precision}; quantize the FP32 file")
    if recipe.method.name not in QUANTIZED:
        raise InputError(
            f"{detector} is of the method {recipe.method.name}; INT8 is for {' and '.join(QUANTIZED)}: use it as it is"
        )
    if recipe.tiles is not None:
        raise InputError(
            f"{detector} computes frames in tiles, which INT8 is not for; quantize an export without --tiles"
        )
    if recipe.threshold.method == "manual":
        raise InputError(
            f"the threshold of {detector} was set by hand, and INT8 scores need one of their own; quantize the file as "
            "it was exported, then use runtime.set_threshold"
        )
    if not 0 < options.margin < 1:
        raise InputError(f"the margin is {options.margin:g}; expected a share between 0 and 1, such as 0.01")
    if masks is not None and defects is None:
        raise InputError(f"{masks} are masks of no images; name the defective images with --defects")
    RangeCollector(options.ranges)  # an unknown method is refused


def _trained(detector: Path, model: bytes, recipe: Recipe, run: Path) -> TrainedRun:
    """The run that says what of a detector's memory is whose. Raises `InputError` where it is of another detector."""
    trained = open_run(run, "cpu")
    settings = recipe.method.settings
    differs = trained.method != recipe.method.name or any(settings.get(k) != v for k, v in trained.settings.items())
    if differs or not _is_memory_of(trained, model):
        raise InputError(f"{run} holds another memory than {detector.name}; name the run folder of its training: --run")
    return trained


def _is_memory_of(trained: TrainedRun, model: bytes) -> bool:
    """Whether a file's memory is a run's: another seed, or other images, give another one by the same settings."""
    name, own = memory_name(trained), memory_of(trained)
    graph = onnx.load_model_from_string(model).graph
    stored = [numpy_helper.to_array(each) for each in graph.initializer if each.name == name]
    return all(each.shape == own.shape and np.allclose(each, own, rtol=AGREES) for each in stored)


def _known(model: bytes, recipe: Recipe, trained: TrainedRun, paths: Sequence[Path]) -> NDArray[np.float64] | None:
    """The whitened features of good images as they were fitted to, where the file's own are others: where its weights
    are rounded. Raises `InputError` for a run that was calibrated otherwise.
    """
    if not recipe.method.image_evidence or not has_halved_weights(onnx.load_model_from_string(model).graph):
        return None
    run = with_statistics(trained)
    if image_evidence_of(run) != recipe.method.image_evidence:
        raise InputError(
            f"{trained.folder.path} was calibrated again since the detector was exported; export it anew, then quantize"
        )
    return whitened(run, PreparedImages(paths, recipe.size_hw, recipe.alignment))


def _left_out(
    scores: Scores,
    graph: bytes,
    recipe: Recipe,
    trained: TrainedRun,
    paths: Sequence[Path],
    known: NDArray[np.float64] | None,
) -> Scores:
    """The scores of a file with those of good images that it knows, each left out; `known` is as `left_out_scores` has
    it.

    With an image in its memory a file finds nothing on it; a comparison of such maps would say nothing.
    """
    memory, whose = memory_name(trained), members(trained)
    images = partial(PreparedImages, size_hw=recipe.size_hw, alignment=recipe.alignment)
    scored_map = "deviation_map" if recipe.scoring.by_position else "anomaly_map"
    return replace(
        scores,
        good=left_out_scores(graph, recipe, memory, whose, trained.split, images(paths), known),
        maps=left_out_maps(graph, scored_map, memory, whose, trained.split, images(paths[:FRAMES])),
    )


def _quantized(
    model: bytes, recipe: Recipe, split: Split, options: Options, memory: str | None
) -> tuple[bytes, tuple[Path, ...]]:
    """The INT8 graph, and the images that its ranges are of."""
    step = -(-len(split.training) // options.images)
    chosen = split.training[::step]  # they are in the order of their hashes: any will do
    frames = progress(PreparedImages(chosen, recipe.size_hw, recipe.alignment), "ranges")
    if memory is not None:
        return quantized_search(model, memory, frames, options.ranges), chosen
    proto = load_graph(model)
    layers = find_layers(proto)
    return quantized(proto, layers, observe(proto, layers, frames, options.ranges)), chosen


def _scored(
    model: bytes,
    graph: bytes,
    recipe: Recipe,
    held_out: Sequence[Path],
    defective: Sequence[Path],
    threads: int | None,
) -> tuple[Scores, Scores, str]:
    """Scores of the FP32 and of the INT8 file, and what ran them."""
    good = PreparedImages(held_out, recipe.size_hw, recipe.alignment)
    bad = PreparedImages(defective, recipe.size_hw, recipe.alignment, anyhow=True)  # both files see the same
    engines: list[Engine] = []
    try:
        for each in (model, graph):
            engines.append(OnnxRuntimeEngine(each, recipe, threads=threads))
        fp32, int8 = score_in_turns(engines[0], engines[1], progress(good, "held out"), progress(bad, "defects"))
        return fp32, int8, engines[1].description
    finally:
        for engine in engines:
            engine.close()


def _recipe(
    recipe: Recipe,
    graph: bytes,
    frames_file: bytes,
    range_images: int,
    images_sha256: str,
    found: Comparison,
    options: Options,
) -> Recipe:
    """The recipe of the INT8 file, but for its threshold."""
    quantization = Quantization(
        source_sha256=recipe.graph_sha256,
        ranges=options.ranges,
        range_images=range_images,
        images_sha256=images_sha256,
        margin=options.margin,
        **asdict(found),
    )
    return replace(
        recipe,
        precision="int8",
        quantization=quantization,
        parity_sha256=frames_sha256(frames_file),
        graph_sha256=graph_sha256(graph),
        provenance=replace(recipe.provenance, versions=versions(), commit=commit(), created=now()),
    )


def _quantiles(scores: Scores) -> dict[str, float]:
    return quantiles(scores.good)


def _counted(images: dict[str, int]) -> str:
    return printable(", ".join(f"{count:,} for {use}" for use, count in images.items()))  # names from a file

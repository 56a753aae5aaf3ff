"""``python -m export.int8``: a detector's convolutions in INT8, for ONNX Runtime and TensorRT alike.

From good images alone, the very ones that the detector was made from, in the same use: ranges come from images to train
on, threshold and checks from images held out. ``python -m train`` leaves ``detector-run`` beside ``detector.onnx``, so
that ``python -m export.int8 detector.onnx`` is all it takes.
"""

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from runtime import cli
from runtime.errors import InputError
from runtime.escaped import escaped

if TYPE_CHECKING:
    from export.int8_gate import Comparison, Scores
    from runtime.engines import Engine
    from runtime.recipe import Recipe
    from train.data import Split

IMAGES = 32  # for the ranges; for the rounding they give more patches than a row of 5×5×128 weights has members


@dataclass(frozen=True)
class Options:
    """How to quantize, and what may be lost."""

    ranges: str = "max"  # method of calibration.ranges
    images: int = IMAGES  # at most, for the ranges
    margin: float = 0.01  # largest loss; see export.int8_gate
    threads: int | None = None  # CPU threads of the comparison, and of its speed; None takes all cores
    allow_slower: bool = False


def main() -> None:
    arguments = _parser().parse_args()
    detector: Path = arguments.detector
    out = arguments.out or detector.with_name(f"{detector.stem}.int8.onnx")
    options = Options(arguments.ranges, arguments.images, arguments.margin, arguments.threads, arguments.allow_slower)

    from runtime.detector import read_detector
    from runtime.promise import explain

    split = find_split(detector, arguments.data, arguments.run, arguments.unseen)
    found = quantize(detector, split, out, options, arguments.defects, arguments.masks)
    recipe = read_detector(out)[1]
    print(found.describe())
    if copies := split.copies_left_out(split.threshold_images(len(recipe.scales), recipe.students, recipe.by_position)):
        print(copies)
    print(f"threshold {recipe.threshold.value:.4f}. {explain(recipe.threshold)}")
    print(f"{out} written, {out.stat().st_size / 1e6:.1f} MB ({detector} has {detector.stat().st_size / 1e6:.1f} MB)")


def find_split(detector: Path, data: Path | None, run: Path | None, unseen: bool = False) -> "Split":
    """The good images by use: of a run folder, or of `data`, split as training did; of ``<stem>-run`` without either.

    Raises `InputError` when `data` does not hold the images that the detector was made from: one that was trained on
    would vouch for the threshold. `unseen` says that no stage has seen any of them, and allows them.
    """
    from runtime.detector import read_detector
    from train.data import Split, good_images, split_as_counted, split_by_content

    recipe = read_detector(detector)[1]
    if data is not None:
        counts = recipe.provenance.images
        share = 1 - counts.get("training", 0) / max(sum(counts.values()), 1)  # that training held out
        images = good_images(data)
        split = split_by_content(images, share) if unseen else split_as_counted(images, counts)
    else:
        run = run or detector.with_name(f"{detector.stem}-run")
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
    split: "Split",
    out: Path,
    options: Options | None = None,
    defects: Path | None = None,
    masks: Path | None = None,
) -> "Comparison":
    """Quantize a detector file to `out`, and write the frames it was checked on to ``<out stem>.parity.npz`` beside it.

    The threshold is fitted again on the INT8 file's own scores. `defects` is a folder of defective images, `masks` one
    of their masks; see `export.defects`. Raises `ParityError`, and writes nothing, when more is lost than the margin or
    no speed is gained; `InputError` for what cannot be quantized.
    """
    from export.defects import find_defects, read_masks
    from export.int8_gate import compare, threshold_of
    from export.onnx import frames_npz, parity_frames
    from runtime.atomic import write_atomically
    from runtime.detector import read_detector
    from runtime.onnx_file import with_metadata
    from train.data import sha256_of_images

    options = options or Options()
    model, recipe = read_detector(detector)
    _check(detector, recipe, out, options, defects, masks)
    defective = [] if defects is None else find_defects(defects, masks)
    marked = None if masks is None else read_masks(defective, recipe.size_hw)
    graph, ranged = _quantized(model, recipe, split, options)
    held_out = split.threshold_images(len(recipe.scales), recipe.students, recipe.by_position)
    fp32, int8, speed_on = _scored(model, graph, recipe, held_out, [each.path for each in defective], options.threads)
    found = compare(fp32, int8, recipe.threshold, marked, speed_on)
    found.check(options.margin, options.allow_slower)
    frames_file = frames_npz(parity_frames(split, recipe.size_hw))
    threshold = threshold_of(int8, recipe.threshold)
    images_sha256 = sha256_of_images(split.sha256[str(path)] for path in (*ranged, *held_out))
    recipe = _recipe(recipe, graph, frames_file, len(ranged), images_sha256, found, options)
    recipe = replace(recipe, threshold=threshold, score_quantiles=_quantiles(int8))
    # the frames first: whoever finds a new detector finds its frames beside it
    write_atomically(out.with_suffix(".parity.npz"), frames_file)
    write_atomically(out, with_metadata(graph, recipe.metadata))
    return found


def _check(
    detector: Path, recipe: "Recipe", out: Path, options: Options, defects: Path | None, masks: Path | None
) -> None:
    """Raise `InputError` for what cannot be quantized, before the work."""
    from calibration.ranges import RangeCollector
    from export.destination import check_destination

    if out.resolve() == detector.resolve():
        raise InputError(f"--out is {out}; expected another name than the detector's, ending in .onnx")
    check_destination(out)
    if recipe.precision != "fp32":
        raise InputError(f"{detector} has its convolutions in {recipe.precision}; quantize the FP32 file")
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


def _quantized(model: bytes, recipe: "Recipe", split: "Split", options: Options) -> "tuple[bytes, tuple[Path, ...]]":
    """The INT8 graph, and the images that its ranges are of."""
    from calibration.model import progress
    from export.layers import find_layers, load_graph, observe
    from export.quantized import quantized
    from train.data import PreparedImages

    step = -(-len(split.training) // options.images)
    chosen = split.training[::step]  # they are in the order of their hashes: any will do
    proto = load_graph(model)
    layers = find_layers(proto)
    frames = progress(PreparedImages(chosen, recipe.size_hw), "ranges")
    return quantized(proto, layers, observe(proto, layers, frames, options.ranges)), chosen


def _scored(
    model: bytes,
    graph: bytes,
    recipe: "Recipe",
    held_out: Sequence[Path],
    defective: Sequence[Path],
    threads: int | None,
) -> "tuple[Scores, Scores, str]":
    """Scores of the FP32 and of the INT8 file, and what ran them."""
    from calibration.model import progress
    from export.int8_gate import score_in_turns
    from runtime.engines.onnxruntime_engine import OnnxRuntimeEngine
    from train.data import PreparedImages

    good, bad = (PreparedImages(paths, recipe.size_hw) for paths in (held_out, defective))
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
    recipe: "Recipe",
    graph: bytes,
    frames_file: bytes,
    range_images: int,
    images_sha256: str,
    found: "Comparison",
    options: Options,
) -> "Recipe":
    """The recipe of the INT8 file, but for its threshold."""
    from export.provenance import now
    from runtime.onnx_file import graph_sha256
    from runtime.recipe import Quantization
    from runtime.versions import commit, versions

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
        parity_sha256=hashlib.sha256(frames_file).hexdigest(),
        graph_sha256=graph_sha256(graph),
        provenance=replace(recipe.provenance, versions=versions(), commit=commit(), created=now()),
    )


def _quantiles(scores: "Scores") -> dict[str, float]:
    from calibration.fit import quantiles

    return quantiles(scores.good)


def _counted(images: dict[str, int]) -> str:
    return escaped(", ".join(f"{count:,} for {use}" for use, count in images.items()))  # names from a file


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m export.int8",
        description="Quantize a detector's convolutions to INT8 from good images, check what is lost and gained "
        "against the FP32 file, and write it only when it is worth having.",
    )
    parser.add_argument("detector", type=cli.file, help="detector.onnx, in FP32")
    parser.add_argument("--out", type=Path, help="file to write (default: <detector stem>.int8.onnx beside it)")
    images = parser.add_argument_group("the good images that the detector was made from (default: --run <stem>-run)")
    which = images.add_mutually_exclusive_group()
    which.add_argument("--data", type=Path, metavar="DIR", help="their folder, as python -m train was given it")
    which.add_argument("--run", type=Path, metavar="RUN", help="the run folder of its training")
    images.add_argument("--unseen", action="store_true", help="those in --data are others, which training has not seen")
    images.add_argument("--images", type=cli.positive, default=IMAGES, metavar="N", help=f"for the ranges ({IMAGES})")
    images.add_argument("--ranges", default="max", metavar="HOW", help="max, mse or a percentile such as 99.99 (max)")
    gate = parser.add_argument_group("what may be lost, and what must be gained")
    gate.add_argument("--margin", type=float, default=0.01, help="largest loss of each figure (0.01)")
    gate.add_argument("--defects", type=Path, metavar="DIR", help="defective images, to compare the image AUROC too")
    gate.add_argument("--masks", type=Path, metavar="DIR", help="their masks, of the same names, for the AU-PRO")
    gate.add_argument("--threads", type=cli.positive, metavar="N", help="CPU threads of the comparison (default: all)")
    gate.add_argument("--allow-slower", action="store_true", help="write it though it is no faster here: for elsewhere")
    return parser


if __name__ == "__main__":
    cli.run(main)

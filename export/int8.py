"""``python -m export.int8``: a detector in INT8, for ONNX Runtime and TensorRT alike.

Quantized are the convolutions of students, and of a memory bank the search for the nearest of its members.

From good images alone, the very ones that the detector was made from, in the same use: ranges come from images to train
on, threshold and checks from images held out or left out. ``python -m train`` leaves ``detector-run`` beside
``detector.onnx``, so that ``python -m export.int8 detector.onnx`` is all it takes.
"""

import argparse
from pathlib import Path

from runtime import cli
from runtime.printable import printable
from runtime.priority import give_way

IMAGES = 32  # for the ranges


def main() -> None:
    arguments = _parser().parse_args()
    give_way("quantization")
    detector: Path = arguments.detector
    out = arguments.out or detector.with_name(f"{detector.stem}.int8.onnx")
    from export.int8_detector import Options, find_split, quantize
    from runtime.detector_file import read_detector
    from runtime.threshold import explain

    options = Options(arguments.ranges, arguments.images, arguments.margin, arguments.threads, arguments.allow_slower)
    split = find_split(detector, arguments.data, arguments.run, arguments.unseen)
    found = quantize(detector, split, out, options, arguments.defects, arguments.masks, arguments.run)
    recipe = read_detector(out)[1]
    print(found.describe())
    kinds, by_position = len(recipe.method.evidence), recipe.scoring.by_position
    if copies := split.copies_left_out(split.threshold_images(kinds, by_position)):
        print(printable(copies))
    print(f"threshold {recipe.threshold.value:.4f}. {explain(recipe.threshold)}")
    print(f"{out} written, {out.stat().st_size / 1e6:.1f} MB ({detector} has {detector.stat().st_size / 1e6:.1f} MB)")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=cli.program("export.int8"),
        description="Quantize a detector to INT8 from good images (of students the convolutions, of a memory bank the "
        "search for the nearest of its members), check what is lost and gained "
        "against the FP32 file, and write it only when it is worth having.",
    )
    parser.add_argument("detector", type=cli.file, help="detector.onnx, in FP32")
    parser.add_argument(
        "--out", type=cli.some_path, help="file to write (default: <detector stem>.int8.onnx beside it)"
    )
    images = parser.add_argument_group("the good images that the detector was made from (default: --run <stem>-run)")
    which = images.add_mutually_exclusive_group()
    which.add_argument(
        "--data", type=cli.some_path, metavar="DIR", help="their folder, as python -m train was given it"
    )
    which.add_argument("--run", type=cli.some_path, metavar="RUN", help="the run folder of its training")
    images.add_argument("--unseen", action="store_true", help="those in --data are others, which training has not seen")
    images.add_argument("--images", type=cli.positive, default=IMAGES, metavar="N", help=f"for the ranges ({IMAGES})")
    images.add_argument("--ranges", default="max", metavar="HOW", help="max, mse or a percentile such as 99.99 (max)")
    gate = parser.add_argument_group("what may be lost, and what must be gained")
    gate.add_argument("--margin", type=float, default=0.01, help="largest loss of each figure (0.01)")
    gate.add_argument(
        "--defects", type=cli.some_path, metavar="DIR", help="defective images, to compare the image AUROC too"
    )
    gate.add_argument(
        "--masks", type=cli.some_path, metavar="DIR", help="their masks, of the same names, for the AU-PRO"
    )
    gate.add_argument("--threads", type=cli.positive, metavar="N", help="CPU threads of the comparison (default: all)")
    gate.add_argument("--allow-slower", action="store_true", help="write it though it is no faster here: for elsewhere")
    return parser


if __name__ == "__main__":
    cli.run(main)

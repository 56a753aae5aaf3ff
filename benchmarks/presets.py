"""What each preset detects and what it costs: one curve of AU-PRO against multiply-adds.

::

    python -m benchmarks.presets DATA… --out FOLDER [--presets edge,fast] [--seeds 0,1,2] [--subset odd]
                                       [--set OPTION=VALUE]… [--plot FILE.svg|.png]

DATA are test sets in any layout. For each of them, each preset and each seed a detector is made as ``python -m train
--preset`` makes it, and its file inspects the test images as on the line. Each is a folder below FOLDER, so that the
same command goes on after an interruption. Writes FOLDER/presets.json and presets.md.

The cost is counted from the exported graph, for one frame: multiply-adds of all convolutions, the halo included. Times
are the business of ``python -m benchmarks.throughput``. Tune on ``--subset even``, report on ``odd``.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime import cli
from runtime.errors import InputError

if TYPE_CHECKING:
    from train.students import StudentsConfig

BUDGET = 0.01  # of false rejects, for the threshold


@dataclass(frozen=True)
class Result:
    """One detector on one test set."""

    preset: str
    category: str
    seed: int
    multiply_adds: int  # of one frame
    au_pro_30: float | None  # None where no mask is known
    pixel_auroc: float | None
    image_auroc: float
    image_auroc_by_defect: dict[str, float]
    # at the threshold, and how many there are; None in files written before these were counted
    good_rejected: tuple[int, int] | None = None
    defective_rejected: tuple[int, int] | None = None


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    options = _parser().parse_args(arguments)

    from benchmarks.preset_report import markdown, plot
    from benchmarks.table import integers
    from train.data import good_images

    over = _over(options.set or [])
    names, seeds = options.presets.split(","), integers("--seeds", options.seeds, 0)
    configs = {name: checked_config(name, over) for name in names}
    for data in options.data:
        good_images(data)  # a wrong folder is refused before hours of training
    results = [
        measure(name, replace(configs[name], seed=seed), data, options.subset, options.out)
        for data in options.data
        for name in names
        for seed in seeds
    ]
    text = markdown(results, _note(options.subset))
    print(text)
    _write(results, configs, options.subset, options.out)
    (options.out / "presets.md").write_text(text)
    if options.plot:
        plot(results, options.plot)


def measure(name: str, config: "StudentsConfig", data: Path, subset: str, out: Path) -> Result:
    """Make the detector of a preset for `data`, or go on with it, and measure it; what is measured is kept.

    Raises what the stages of ``python -m train`` and reading the test images raise.
    """
    from train.__main__ import make_detector

    category = data.resolve().name
    folder = out / category / f"{name}-seed{config.seed}"
    detector, kept = folder / "detector.onnx", folder / f"accuracy-{subset}.json"
    if not detector.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        print(f"{category}, {name}, seed {config.seed}")
        make_detector(replace(config, data=str(data)), folder / "run", detector, BUDGET, "fp32", "fp32", False)
    if kept.is_file():
        return Result(**json.loads(kept.read_text()))
    result = _measured(name, config.seed, category, detector, data, subset)
    kept.write_text(json.dumps(asdict(result), indent=1))
    return result


def _measured(name: str, seed: int, category: str, path: Path, data: Path, subset: Any) -> Result:
    from tqdm import tqdm

    from benchmarks.datasets import read_test_set, select
    from benchmarks.evaluation import inspect_all, summarize
    from benchmarks.throughput.arithmetic import count
    from runtime.detector import Detector

    images = select(read_test_set(data), subset)
    with Detector.open(path) as detector:
        bar = tqdm(inspect_all(detector, images), category, len(images), unit="image", leave=False, disable=None)
        accuracy = summarize(list(bar))
        size_hw = detector.recipe.size_hw
    return Result(
        preset=name,
        category=category,
        seed=seed,
        multiply_adds=count(path.read_bytes(), (1, *size_hw, 3)).multiply_adds,
        au_pro_30=accuracy.au_pro_30,
        pixel_auroc=accuracy.pixel_auroc,
        image_auroc=accuracy.image_auroc,
        image_auroc_by_defect=accuracy.image_auroc_by_defect,
        good_rejected=(accuracy.false_rejects.count, accuracy.false_rejects.total),
        defective_rejected=(accuracy.detected.count, accuracy.detected.total),
    )


def checked_config(name: str, over: dict[str, object]) -> "StudentsConfig":
    """A preset with the options `over` it. Raises `InputError` for what no training would begin with."""
    from train.__main__ import preset
    from train.checks import check_students, check_teacher_files

    config = preset(name, over)
    check_students(config)
    check_teacher_files(config)
    return config


def _over(texts: Sequence[str]) -> dict[str, object]:
    """``OPTION=VALUE`` texts as options over every preset. Raises `InputError` for another form."""
    pairs = [text.partition("=") for text in texts]
    for text, (name, equals, _) in zip(texts, pairs, strict=True):
        if not equals or name in ("seed", "data"):
            raise InputError(f"--set is {text!r}; expected OPTION=VALUE of python -m train, other than data and seed")
    return {name.replace("-", "_"): value for name, _, value in pairs}


def _note(subset: str) -> str:
    from benchmarks.environment import describe_environment, one_line

    return (
        f"{subset} test images. {one_line(describe_environment())}. With two seeds or more: mean ± standard deviation."
    )


def _write(results: Sequence[Result], configs: "dict[str, StudentsConfig]", subset: str, out: Path) -> None:
    from benchmarks.environment import describe_environment
    from runtime.atomic import write_atomically
    from train.config import as_mapping

    document = {
        "environment": describe_environment(),
        "subset": subset,
        "presets": {name: as_mapping(config) for name, config in configs.items()},
        "results": [asdict(result) for result in results],
    }
    write_atomically(out / "presets.json", json.dumps(document, indent=1).encode())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.presets", description="What each preset detects and what it costs."
    )
    parser.add_argument("data", type=Path, nargs="+", help="test sets, in any layout")
    parser.add_argument("--out", type=Path, required=True, help="folder of detectors and results")
    parser.add_argument("--presets", default="edge", help="comma-separated (edge)")
    parser.add_argument("--seeds", default="0,1,2", help="comma-separated (0,1,2)")
    parser.add_argument("--subset", choices=("all", "even", "odd"), default="odd", help="test images, by content (odd)")
    parser.add_argument("--set", action="append", metavar="OPTION=VALUE", help="an option over every preset; repeat it")
    parser.add_argument("--plot", type=Path, help="AU-PRO against cost, SVG or PNG")
    return parser


if __name__ == "__main__":
    cli.run(main)

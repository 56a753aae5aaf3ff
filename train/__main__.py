"""``python -m train``: from a folder of good images to a calibrated, verified detector, in one go.

The one module of `train/` that reaches into later rooms: it calls their functions in order.
"""

import argparse
from pathlib import Path

from runtime import cli
from runtime.errors import InputError
from runtime.typed import build
from train.config import add_options, given_options, read_yaml
from train.students import StudentsConfig

PRESETS = Path(__file__).parent / "presets"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m train",
        description="From a folder of good images to a calibrated, verified detector, in one go. "
        "The same command goes on where an interrupted run stopped.",
    )
    parser.add_argument("--out", type=cli.file, default=Path("detector.onnx"), help="file to write (detector.onnx)")
    parser.add_argument("--run", type=Path, help="run folder (default: <out>-run beside the detector)")
    parser.add_argument(
        "--preset", choices=("auto", *preset_names()), default="auto", help="auto: paper on a GPU, else edge"
    )
    parser.add_argument("--budget", type=float, default=0.01, help="share of good parts that may be rejected (0.01)")
    exports = ("fp32", "fp16")
    parser.add_argument("--export-precision", choices=exports, default="fp32", help="of exported convolutions (fp32)")
    parser.add_argument("--export-weights", choices=exports, default="fp32", help="as stored in the file (fp32)")
    parser.add_argument("--explain", action="store_true", help="also output error and variance of each scale")
    add_options(parser.add_argument_group("training, over the preset"), StudentsConfig, show_defaults=False)
    arguments = parser.parse_args()
    config = preset(arguments.preset, given_options(StudentsConfig, arguments))
    run = arguments.run or arguments.out.with_name(f"{arguments.out.stem}-run")
    precision, weights = arguments.export_precision, arguments.export_weights
    make_detector(config, run, arguments.out, arguments.budget, precision, weights, arguments.explain)


def preset_names() -> list[str]:
    """The presets that come with the install."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def preset(name: str, over: dict[str, object]) -> StudentsConfig:
    """A preset with the options `over` it; ``auto`` takes the paper's on a GPU and ``edge`` elsewhere."""
    from train.device import resolve_device

    if name == "auto":
        name = "paper" if resolve_device(str(over.get("device", "auto"))) == "cuda" else "edge"
    if name not in preset_names():
        raise InputError(f"preset {name!r} is none of {', '.join(preset_names())}")
    return build(StudentsConfig, {**read_yaml(PRESETS / f"{name}.yaml"), **over})


def make_detector(
    config: StudentsConfig, run: Path, out: Path, budget: float, precision: str, weights: str, explain: bool
) -> None:
    """Train, calibrate and export. Raises `InputError` or `ParityError` with nothing half written."""
    from calibration.fit import fit, print_concerns
    from export.destination import check_destination
    from export.onnx import export
    from runtime.detector import read_detector
    from runtime.promise import check_rates
    from runtime.promise import explain as explain_threshold
    from train.checks import check_data
    from train.students import train_students

    check_data(config.data)
    check_destination(out)
    check_rates(budget, 0.95)  # a budget out of range is refused before the training, not after
    print(f"1/3 training the students (run folder {run})")
    train_students(config, run)
    print("2/3 calibrating on held-out images")
    statistics = fit(run, budget)
    print("3/3 exporting and checking")
    print(export(run, out, precision, weights=weights, explain=explain).describe())
    threshold = read_detector(out)[1].threshold
    print(f"threshold {threshold.value:.4f}. {explain_threshold(threshold)}")
    print_concerns(statistics)
    print(f"{out} written. Try it: python -m runtime.stream --detector {out} --camera FOLDER_OR_CAMERA")


if __name__ == "__main__":
    cli.run(main)

"""``python -m train``: from a folder of good images to a calibrated, verified detector, in one go.

The one module of `train/` that reaches into later rooms: it calls their functions in order.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from runtime import cli
from runtime.priority import give_way
from train.config import add_options, given_options
from train.method import METHODS, file_of, loaded
from train.preset import AUTO, ON_CPU, ON_GPU, configuration, method_of, preset_names, presets_of, renamed
from train.run_folder import run_beside


def main() -> None:
    preset, method = _preset_and_method(sys.argv[1:])
    options = loaded(METHODS[method].options)
    arguments = _parser(options).parse_args()
    give_way("training")
    from export.detector import ExportOptions
    from export.tiles import parsed

    config = configuration(preset, method, given_options(options, arguments))
    run = arguments.run or run_beside(arguments.out)
    exported = ExportOptions(
        arguments.export_precision,
        weights=arguments.export_weights,
        explain=arguments.explain,
        tiles=parsed(arguments.tiles),
    )
    make_detector(method, config, run, arguments.out, arguments.budget, exported)


def make_detector(method: str, config: Any, run: Path, out: Path, budget: float, exported: Any) -> None:
    """Train, calibrate and export. Raises `InputError` or `ParityError` with nothing half written, and at once while
    another process makes `out` or works in `run`.

    `config` is of the method's options, `exported` are `export.detector.ExportOptions`.
    """
    from calibration.destination import check_destination
    from runtime.lock import only_one_writes
    from runtime.threshold import check_rates
    from train.checks import check_data
    from train.run_folder import RunFolder

    check_data(config.data)
    check_destination(out)
    check_rates(budget, 0.95)  # a budget out of range is refused before the training, not after
    with only_one_writes(out), RunFolder(run).only_one():
        _make_detector(method, config, run, out, budget, exported)


def _make_detector(method: str, config: Any, run: Path, out: Path, budget: float, exported: Any) -> None:
    from calibration.calibrate import calibrate
    from calibration.methods import open_run
    from export.detector import export
    from runtime.detector_file import read_detector
    from runtime.threshold import explain as explain_threshold

    print(f"1/3 training the {method} (run folder {run})")
    loaded(METHODS[method].training)(config, run)
    print("2/3 calibrating")
    calibrated = calibrate(open_run(run), budget)
    print("3/3 exporting and checking")
    done = export(calibrated, out, exported)
    print(done.parity.describe())
    threshold = read_detector(out)[1].threshold
    print(f"threshold {threshold.value:.4f}. {explain_threshold(threshold)}")
    for concern in done.concerns:
        print(f"warning: {concern}")
    print(f"{out} written. Try it: python -m runtime.stream --detector {out} --camera FOLDER_OR_CAMERA")


def _preset_and_method(words: list[str]) -> tuple[str, str]:
    """The preset on the command line, and the method, which decides what other options there are.

    Abbreviated as the whole parser takes them, or one method would be trained where it reads another. Raises
    `InputError` for names that are not known.
    """
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--method", nargs="?")
    parser.add_argument("--preset", nargs="?", default=AUTO, const=AUTO)
    given = parser.parse_known_args(words)[0]
    if given.method is not None:
        file_of(given.method)
    preset = renamed(given.preset)  # once: it is read again
    return preset, method_of(preset, given.method)


def _parser(options: type[Any]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=cli.program("train"),
        description="From a folder of good images to a calibrated, verified detector, in one go. "
        "The same command goes on where an interrupted run stopped.",
    )
    parser.add_argument("--out", type=cli.file, default=Path("detector.onnx"), help="file to write (detector.onnx)")
    parser.add_argument("--run", type=cli.some_path, help="run folder (default: <out>-run beside the detector)")
    method_help = "how a frame is judged; the options below are its own (default: the preset's)"
    parser.add_argument("--method", choices=tuple(METHODS), help=method_help)
    parser.add_argument(
        "--preset",
        metavar="|".join((AUTO, *preset_names())),
        default=AUTO,
        help=f"options for one purpose; auto: {ON_CPU}, on a GPU {ON_GPU} (auto)",
    )
    parser.add_argument("--budget", type=float, default=0.01, help="share of good parts that may be rejected (0.01)")
    exports = ("fp32", "fp16")
    parser.add_argument("--export-precision", choices=exports, default="fp32", help="of exported convolutions (fp32)")
    parser.add_argument("--export-weights", choices=exports, default="fp32", help="as stored in the file (fp32)")
    parser.add_argument("--explain", action="store_true", help="also output the raw evidence of each kind")
    tiles_help = "compute frames in so many overlapping tiles, one after the other: less memory, the same result (1x1)"
    parser.add_argument("--tiles", metavar="ROWSxCOLUMNS", default="1x1", help=tiles_help)
    group = parser.add_argument_group(f"training ({options.METHOD}), over the preset")
    add_options(group, options, {preset.name: preset.options for preset in presets_of(options.METHOD)})
    return parser


if __name__ == "__main__":
    cli.run(main)

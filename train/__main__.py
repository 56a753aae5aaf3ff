"""``python -m train``: from a folder of good images to a calibrated, verified detector, in one go.

The one module of `train/` that reaches into later rooms: it calls their functions in order.
"""

import argparse
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from runtime import cli
from runtime.errors import InputError
from train.config import add_options, configured, given_options, read_yaml
from train.method import METHODS, file_of
from train.run_folder import FIRST_METHOD, run_beside

PRESETS = Path(__file__).parent / "presets"


def main() -> None:
    method = _method_given(sys.argv[1:])
    options = _loaded(METHODS[method].options)
    arguments = _parser(options).parse_args()
    from export.detector import ExportOptions

    config = configuration(method, options, arguments.preset, given_options(options, arguments))
    run = arguments.run or run_beside(arguments.out)
    exported = ExportOptions(arguments.export_precision, weights=arguments.export_weights, explain=arguments.explain)
    make_detector(method, config, run, arguments.out, arguments.budget, exported)


def preset_names() -> list[str]:
    """The presets that come with the install."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def configuration(method: str, options: type[Any], preset: str, over: dict[str, object]) -> Any:
    """The options of a method: a preset's with those `over` it; ``auto`` is ``paper`` on a GPU and ``edge`` elsewhere.

    Other methods than students have no presets, and defaults that are meant to be used. Raises `InputError` for a
    preset of another method.
    """
    if method != FIRST_METHOD:
        if preset != "auto":
            raise InputError(f"preset {preset} is of {FIRST_METHOD}; leave out --preset, or --method {method}")
        return configured(options, over)
    return configured(options, {**preset_options(preset, str(over.get("device", "auto"))), **over})


def preset_options(name: str, device: str = "auto") -> dict[str, object]:
    """A preset's options; ``auto`` is ``paper`` where `device` is or finds a GPU, else ``edge``."""
    from train.device import resolve_device

    if name == "auto":
        name = "paper" if resolve_device(device) == "cuda" else "edge"
    if name not in preset_names():
        raise InputError(f"preset {name!r} is none of {', '.join(preset_names())}")
    return read_preset(name)


def read_preset(name: str) -> dict[str, object]:
    """The options that stand in a preset's file."""
    return read_yaml(PRESETS / f"{name}.yaml")


def make_detector(method: str, config: Any, run: Path, out: Path, budget: float, exported: Any) -> None:
    """Train, calibrate and export. Raises `InputError` or `ParityError` with nothing half written, and at once while
    another process makes `out` or works in `run`.

    `config` is of the method's options, `exported` are `export.detector.ExportOptions`.
    """
    from export.destination import check_destination
    from runtime.threshold import check_rates
    from train.checks import check_data
    from train.lock import only_one_writes
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
    _loaded(METHODS[method].training)(config, run)
    print("2/3 calibrating on held-out images")
    calibrated = calibrate(open_run(run), budget)
    print("3/3 exporting and checking")
    done = export(calibrated, out, exported)
    print(done.parity.describe())
    threshold = read_detector(out)[1].threshold
    print(f"threshold {threshold.value:.4f}. {explain_threshold(threshold)}")
    for concern in done.concerns:
        print(f"warning: {concern}")
    print(f"{out} written. Try it: python -m runtime.stream --detector {out} --camera FOLDER_OR_CAMERA")


def _method_given(words: list[str]) -> str:
    """The method on the command line, which decides what other options there are.

    Abbreviated as the whole parser takes it, or students would be trained where it reads another method. Raises
    `InputError` for one that is not known.
    """
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--method", nargs="?", default=FIRST_METHOD, const=FIRST_METHOD)
    method = str(parser.parse_known_args(words)[0].method)
    file_of(method)
    return method


def _loaded(place: str) -> Any:
    """What ``module:name`` names."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def _parser(options: type[Any]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=cli.program("train"),
        description="From a folder of good images to a calibrated, verified detector, in one go. "
        "The same command goes on where an interrupted run stopped.",
    )
    parser.add_argument("--out", type=cli.file, default=Path("detector.onnx"), help="file to write (detector.onnx)")
    parser.add_argument("--run", type=cli.some_path, help="run folder (default: <out>-run beside the detector)")
    method_help = "students, or a memory bank of good descriptors; the options below are its own (students)"
    parser.add_argument("--method", choices=tuple(METHODS), default=FIRST_METHOD, help=method_help)
    parser.add_argument(
        "--preset",
        choices=("auto", *preset_names()),
        default="auto",
        help=f"auto: paper on a GPU, else edge; of {FIRST_METHOD} alone (auto)",
    )
    parser.add_argument("--budget", type=float, default=0.01, help="share of good parts that may be rejected (0.01)")
    exports = ("fp32", "fp16")
    parser.add_argument("--export-precision", choices=exports, default="fp32", help="of exported convolutions (fp32)")
    parser.add_argument("--export-weights", choices=exports, default="fp32", help="as stored in the file (fp32)")
    parser.add_argument("--explain", action="store_true", help="also output the raw evidence of each kind")
    has_presets = options.METHOD == FIRST_METHOD
    group = parser.add_argument_group("training, over the preset" if has_presets else "training")
    add_options(group, options, {name: read_preset(name) for name in preset_names()} if has_presets else None)
    return parser


if __name__ == "__main__":
    cli.run(main)

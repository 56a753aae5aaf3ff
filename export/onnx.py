"""``python -m export.onnx``: a calibrated run folder becomes one self-contained ``detector.onnx``."""

import argparse
from pathlib import Path

from runtime import cli


def main() -> None:
    parser = argparse.ArgumentParser(prog=cli.program("export.onnx"), description=__doc__)
    parser.add_argument("run", type=cli.some_path, help="run folder, after python -m calibration.fit")
    parser.add_argument(
        "--out", type=cli.some_path, default=Path("detector.onnx"), help="file to write (detector.onnx)"
    )
    parser.add_argument("--precision", choices=("fp32", "fp16"), default="fp32", help="of the convolutions (fp32)")
    forms = ("bailer", "atrous", "auto")
    form_help = "of dense extraction; auto: the faster on this machine's CPU, measured once for a run folder (bailer)"
    parser.add_argument("--form", choices=forms, default="bailer", help=form_help)
    parser.add_argument("--weights", choices=("fp32", "fp16"), default="fp32", help="as stored in the file (fp32)")
    parser.add_argument("--explain", action="store_true", help="also output the raw evidence of each kind")
    tiles_help = "compute frames in so many overlapping tiles, one after the other: less memory, the same result (1x1)"
    parser.add_argument("--tiles", metavar="ROWSxCOLUMNS", default="1x1", help=tiles_help)
    arguments = parser.parse_args()
    from calibration.calibrated import with_statistics
    from calibration.destination import check_destination
    from calibration.methods import open_run
    from export.detector import ExportOptions, export
    from export.tiles import parsed
    from runtime.threshold import explain

    check_destination(arguments.out)
    tiles = parsed(arguments.tiles)
    options = ExportOptions(arguments.precision, arguments.form, arguments.weights, arguments.explain, tiles)
    done = export(with_statistics(open_run(arguments.run, "cpu")), arguments.out, options)
    print(done.parity.describe())
    threshold = done.recipe.threshold
    print(f"threshold {threshold.value:.4f}. {explain(threshold)}")
    print(f"{arguments.out} written, {arguments.out.stat().st_size / 1e6:.1f} MB")
    for concern in done.concerns:
        print(f"warning: {concern}")


if __name__ == "__main__":
    cli.run(main)

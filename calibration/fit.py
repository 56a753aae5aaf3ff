"""``python -m calibration.fit``: statistics of equation 11 and of positions, from good images held out of training."""

import argparse

from runtime import cli


def main() -> None:
    parser = argparse.ArgumentParser(prog=cli.program("calibration.fit"), description=__doc__)
    parser.add_argument("run", type=cli.some_path, help="run folder of python -m train.students")
    parser.add_argument("--budget", type=float, default=0.01, help="share of good parts that may be rejected (0.01)")
    parser.add_argument("--confidence", type=float, default=0.95, help="of the budget's bound (0.95)")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="where to compute (default: as in training)")
    arguments = parser.parse_args()
    from calibration.calibrate import calibrate_folder

    run = calibrate_folder(arguments.run, arguments.budget, arguments.confidence, arguments.device)
    images = run.trained.split.counts["statistics"]
    print(f"statistics of {images:,} images written; python -m export.onnx fits the threshold to the file's own scores")


if __name__ == "__main__":
    cli.run(main)

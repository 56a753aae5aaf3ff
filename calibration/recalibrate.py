"""``python -m calibration.recalibrate``: fit a finished detector file to other good images, without training."""

import argparse
import getpass

from runtime import cli
from runtime.priority import give_way


def main() -> None:
    arguments = _parser().parse_args()
    give_way("recalibration")
    from calibration.recalibration import Options, recalibrate
    from calibration.recalibration_report import draw, lines, warnings
    from runtime.atomic import check_writable, write_atomically
    from runtime.errors import InputError
    from runtime.printable import printable

    if arguments.report:
        if arguments.report.suffix.lower() != ".png":
            raise InputError(f"--report is {arguments.report}; expected a name ending in .png, which is what it writes")
        check_writable(arguments.report)
    options = Options(
        arguments.by or _login(),
        arguments.budget,
        arguments.confidence,
        arguments.keep_statistics,
        arguments.threads,
    )
    done = recalibrate(arguments.detector, arguments.data, arguments.out, options)
    told = [*(f"warning: {line}" for line in warnings(done)), *lines(done), f"{arguments.out} written"]
    print("\n".join(map(printable, told)))
    if arguments.report:
        write_atomically(arguments.report, draw(done))
        print(printable(f"{arguments.report} written"))


def _login() -> str:
    """The name of who runs this, for the recipe; a container's user may have none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=cli.program("calibration.recalibrate"),
        description="Fit a finished detector file to other good images: its statistics, threshold and limits of frame "
        "health. Its networks and its memory stay.",
    )
    parser.add_argument(
        "detector", type=cli.file, metavar="DETECTOR", help="the detector.onnx to be fitted, of schema 2"
    )
    parser.add_argument(
        "data", type=cli.some_path, metavar="GOOD", help="folder of good images, as the line takes them"
    )
    out_help = "file to write; it may be DETECTOR itself, which is then replaced"
    parser.add_argument("--out", type=cli.file, required=True, metavar="FILE", help=out_help)
    parser.add_argument(
        "--budget", type=float, metavar="SHARE", help="of good parts that may be rejected (default: the file's own)"
    )
    parser.add_argument(
        "--confidence",
        type=float,
        metavar="SHARE",
        help="with which the budget is to be proven (default: the file's own)",
    )
    parser.add_argument(
        "--keep-statistics",
        action="store_true",
        help="fit threshold and limits alone: the graph and its plans stay, and all images prove the threshold",
    )
    parser.add_argument("--by", metavar="NAME", help="who does it, for the recipe (default: the login name)")
    parser.add_argument("--report", type=cli.file, metavar="PNG", help="draw the scores before and after")
    parser.add_argument("--threads", type=cli.positive, metavar="N", help="CPU threads (default: all cores)")
    return parser


if __name__ == "__main__":
    cli.run(main)

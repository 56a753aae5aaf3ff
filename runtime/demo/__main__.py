"""``python -m runtime.demo OUT``: write rendered parts as an image set to train and test a detector on."""

import argparse

from runtime.cli import program, run, some_path
from runtime.demo.dataset import write_dataset
from runtime.demo.line import DemoLine


def main() -> None:
    arguments = _parser().parse_args()
    line = DemoLine(arguments.seed, (arguments.size, arguments.size))
    count = write_dataset(arguments.out, line, arguments.good, arguments.bad)
    print(
        f"{count} images in {arguments.out}: {arguments.good} good to train on, "
        f"{arguments.bad} good and {arguments.bad} defective to test on"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program("runtime.demo"), description="Write rendered parts as an image set.")
    parser.add_argument(
        "out", type=some_path, metavar="OUT", help="folder to write, empty or new; the layout is MVTec AD's"
    )
    parser.add_argument("--good", type=int, default=300, help="good images to train on (default: %(default)s)")
    parser.add_argument(
        "--bad", type=int, default=40, help="defective images to test on, and as many good ones (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, help="which stream of parts (default: %(default)s)")
    parser.add_argument("--size", type=int, default=256, help="frame height and width, pixels (default: %(default)s)")
    return parser


if __name__ == "__main__":
    run(main)

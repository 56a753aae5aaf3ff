"""``python -m train.datasets DATA``: which layout a data set's category has, and what is in it.

``python -m train --data DATA`` takes the same images to train on, in any of these layouts.
"""

import argparse
from collections import Counter
from collections.abc import Sequence

from runtime import cli
from train.datasets import LAYOUTS, layout_of


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    options = _parser().parse_args(arguments)
    layout = layout_of(options.data, options.layout)
    training, test = layout.training(options.data), layout.test(options.data)
    kinds = Counter(image.defect for image in test)
    unmarked = sum(image.label and image.mask_path is None for image in test)
    print(f"{options.data} has the layout {layout.name} ({layout.title})")
    print(f"{len(training)} good images to train on")
    print(f"{len(test)} to test on: {', '.join(f'{count} {kind}' for kind, count in kinds.items())}")
    print(f"{unmarked} defective ones without a mask" + ("; image-level figures only" if unmarked else ""))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=cli.program("train.datasets"),
        description="Say which layout a data set's category has, and what is in it.",
    )
    parser.add_argument("data", type=cli.some_path, help="folder of one category")
    parser.add_argument("--layout", choices=tuple(LAYOUTS), help="default: the one that the folder has")
    return parser


if __name__ == "__main__":
    cli.run(main)

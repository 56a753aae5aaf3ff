"""``python -m train.datasets DATA``: which layout a data set's category has, and what is in it.

``python -m train --data DATA`` takes the same images to train on, in any of these layouts; of a folder that nobody has
sorted, and of ``good`` alone, it takes them all, and the command says so.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from runtime import cli
from train.datasets import LAYOUTS, Layout, good_images, layout_of, sorted_layout


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    options = _parser().parse_args(arguments)
    layout = sorted_layout(options.data) if options.layout is None else layout_of(options.data, options.layout)
    if layout is None:
        print(f"{len(good_images(options.data))} good images in {options.data}, all of them to train on")
        print("none to test on: sort them into good/ and bad/, and one in five of good/ is kept for the test")
    else:
        _describe(options.data, layout)


def _describe(data: Path, layout: Layout) -> None:
    training, test = layout.training(data), layout.test(data)
    kinds = Counter(image.defect for image in test)
    unmarked = sum(image.label and image.mask_path is None for image in test)
    print(f"{data} has the layout {layout.name} ({layout.title})")
    print(f"{len(training)} good images to train on")
    print(f"{len(test)} to test on: {', '.join(f'{count} {kind}' for kind, count in kinds.items())}")
    print(f"{unmarked} defective ones without a mask" + ("; image-level figures only" if unmarked else ""))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=cli.program("train.datasets"),
        description="Say which layout a data set's category has, and what is in it.",
    )
    parser.add_argument("data", type=cli.some_path, help="folder of one category, or of good images alone")
    parser.add_argument("--layout", choices=tuple(LAYOUTS), help="default: the one that the folder has")
    return parser


if __name__ == "__main__":
    cli.run(main)

"""``python -m train.datasets DATA``: which layout a data set's category has, and what is in it.

With ``--training OUT`` the good images to train on are copied into a flat folder, which ``python -m train --data OUT``
takes whatever the layout.
"""

import argparse
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from runtime import cli
from runtime.errors import InputError
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
    if options.training:
        copy_flat(training, options.data, options.training)
        print(f"{len(training)} images copied into {options.training}")


def copy_flat(images: Sequence[Path], data: Path, folder: Path) -> None:
    """Copy `images` into `folder`, each under its path below `data` with dashes for slashes.

    Raises `InputError` for a folder that is not empty or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise InputError(f"{folder} is not empty; give a folder that is, or that does not exist yet")
        for image in images:
            shutil.copyfile(image, folder / flat_name(image, data))
    except OSError as error:
        raise InputError(f"{folder} cannot be written ({error.strerror}); choose another folder") from error


def flat_name(image: Path, data: Path) -> str:
    """An image's path below `data` as the name of a file."""
    return "-".join(image.relative_to(data).parts)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m train.datasets",
        description="Say which layout a data set's category has, and what is in it.",
    )
    parser.add_argument("data", type=cli.some_path, help="folder of one category")
    parser.add_argument("--layout", choices=tuple(LAYOUTS), help="default: the one that the folder has")
    parser.add_argument(
        "--training", type=cli.some_path, metavar="OUT", help="copy the good images to train on into this folder"
    )
    return parser


if __name__ == "__main__":
    cli.run(main)

"""The images of a run, by use: split once, when the run begins, and found again when it goes on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from runtime.printable import printable
from train.checks import check_data, check_no_images_added
from train.data import PreparedImages, Split, split_by_content
from train.datasets import good_images
from train.inspection import Inspector
from train.run_folder import RunFolder


def claimed_split(folder: RunFolder, config: Any, check: Callable[[], object]) -> Split:
    """The split of a run of `config`, which has `data`, `size_hw` and `holdout`; a new run's folder is claimed.

    For a new run `check` is called before, and all images are read, so that nothing bad is found after hours of
    training or leaves a run folder behind. Suspect images are printed, and stop nothing. Raises `InputError` for a
    folder that holds another run, and for images that cannot be used, or were added or changed since.
    """
    check_data(config.data)
    folder.check(config)
    if folder.split_path.exists():
        split = Split.load(folder.split_path)
        check_no_images_added(Path(config.data), split, folder.path)
        return split
    check()
    split = _inspected_split(config)
    folder.claim(config)
    split.save(folder.split_path)
    return split


def _inspected_split(config: Any) -> Split:
    paths = good_images(Path(config.data))
    inspector = Inspector()
    PreparedImages(paths, config.size_hw).check(inspector.add)
    split = split_by_content(paths, config.holdout)
    report = inspector.report()
    if warnings := report.warnings():
        print("\n".join(printable(f"warning: {line}") for line in warnings))
    if report.suspects:
        print(f"To see them: python -m train.inspection {config.data} --sheet suspects.png")
    return split

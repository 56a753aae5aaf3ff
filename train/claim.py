"""The images of a run, by use: split once, when the run begins, and found again when it goes on."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from runtime.printable import printable
from train.alignment import fit_alignment, keep_alignment
from train.checks import check_data, check_same_images
from train.data import PreparedImages, Split
from train.datasets import good_images
from train.inspection import Inspector
from train.run_folder import RunFolder


def claimed_split(
    folder: RunFolder, config: Any, split: Callable[[Sequence[Path]], Split], check: Callable[[], object] = lambda: None
) -> Split:
    """The images of a run of `config`, which has `data`, `frame_hw` and `alignment`, by use.

    For a new run they are `split`, its alignment is fitted, and its folder is claimed. `check` is called before, and
    all images are read, so that nothing bad is found after hours of training or leaves a run folder behind. Suspect
    images are printed, and stop nothing. Raises `InputError` for a folder that holds another run, for images that
    cannot be used, were added, changed or are not for training any more, and what `fit_alignment` raises.
    """
    check_data(config.data)
    folder.check(config)
    if folder.split_path.exists():
        known = Split.load(folder.split_path)
        check_same_images(Path(config.data), known, folder.path)
        return known
    check()
    found = split(_inspected(config))
    alignment = fit_alignment(config, found)
    folder.claim(config)
    keep_alignment(folder, alignment)
    found.save(folder.split_path)
    return found


def _inspected(config: Any) -> list[Path]:
    """The good images, all of them read; suspect ones are printed."""
    paths = good_images(Path(config.data))
    inspector = Inspector(config.frame_hw)
    PreparedImages(paths, config.frame_hw, None).check(inspector.add)
    report = inspector.report()
    if warnings := report.warnings():
        print("\n".join(printable(f"warning: {line}") for line in warnings))
    if report.suspects:
        print(f"To see them: python -m train.inspection {config.data} --sheet suspects.png")
    return paths

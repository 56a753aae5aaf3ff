"""The demo line as an image set on disk, laid out as MVTec AD is (Bergmann et al., CVPR 2019)."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.atomic import write_atomically
from runtime.demo.defects import DEFECTS
from runtime.demo.line import DemoLine
from runtime.errors import InputError


def write_dataset(folder: Path, line: DemoLine, good: int, bad: int) -> int:
    """Write `good` training images, `bad` defective test images and as many good ones; return the number of images.

    The kinds of defect take turns. Files: ``train/good/000.png``, ``test/good/000.png``, ``test/<kind>/000.png`` and
    ``ground_truth/<kind>/000_mask.png``, white on the changed pixels. No part of the line is used twice. Raises
    `InputError` when `folder` holds anything already, cannot be written, or a count makes no set.
    """
    if good < 1 or bad < 0:
        raise InputError(f"{good} good and {bad} defective images; give at least 1 good, and 0 or more defective ones")
    _refuse_occupied(folder)
    for index in range(good):
        _write_image(folder / "train" / "good" / f"{index:03}.png", line.good(index).image)
    for index in range(bad):
        _write_image(folder / "test" / "good" / f"{index:03}.png", line.good(good + index).image)
        kind = list(DEFECTS)[index % len(DEFECTS)]
        part = line.defective(good + bad + index, kind)
        name = f"{index // len(DEFECTS):03}"
        _write_image(folder / "test" / kind / f"{name}.png", part.image)
        _write_image(folder / "ground_truth" / kind / f"{name}_mask.png", np.where(part.mask, 255, 0).astype(np.uint8))
    return good + 2 * bad


def _refuse_occupied(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; give a folder that is empty or does not exist yet")
    try:
        occupied = folder.is_dir() and any(folder.iterdir())
    except OSError as error:
        raise InputError(f"{folder} cannot be read ({error.strerror}); choose another folder") from error
    if occupied:
        raise InputError(f"{folder} is not empty; give a folder that is empty or does not exist yet")


def _write_image(path: Path, image: NDArray[np.uint8]) -> None:
    write_atomically(path, cv2.imencode(".png", image)[1].tobytes())

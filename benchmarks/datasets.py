"""Test images with their masks, in the folder layout of MVTec AD (Bergmann et al., CVPR 2019).

::

    DATA/test/good/…                              good parts
    DATA/test/DEFECT/NAME.jpg                     defective ones, a folder for each kind
    DATA/ground_truth/DEFECT/NAME_mask.png        what is defective: every pixel that is not zero

Settings are tuned on one half of the images and reported on the other. The halves are told apart by content, so that
they stay the same under any file name: *even* and *odd* are the parity of a file's SHA-256, read as an integer.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from runtime.errors import ImageError, InputError
from runtime.images import list_images, read_image

GOOD = "good"
Subset = Literal["all", "even", "odd"]


@dataclass(frozen=True)
class TestImage:
    """One image of a test set. `label` is true for a defective part; `defect` is its folder, "good" for a good one."""

    path: Path
    label: bool
    defect: str
    mask_path: Path | None


def read_test_set(folder: Path) -> list[TestImage]:
    """The test images below `folder`, good ones first, then by defect and name; no file is opened.

    Raises `InputError` for another layout: no good images, no defective ones, one without its mask, or a mask without
    its image.
    """
    good = folder / "test" / GOOD
    if not good.is_dir():
        raise InputError(
            f"{folder} has no test/{GOOD}; expected the MVTec AD layout: test/{GOOD}, test/DEFECT,"
            " ground_truth/DEFECT/NAME_mask.png"
        )
    defects = sorted(path for path in good.parent.iterdir() if path.is_dir() and path.name != GOOD)
    if not defects:
        raise InputError(f"{good.parent} holds no defects; expected a folder for each kind beside {GOOD}")
    images = [TestImage(path, False, GOOD, None) for path in list_images(good)]
    for defect in defects:
        images += _defective(defect, folder / "ground_truth" / defect.name)
    return images


def _defective(folder: Path, masks: Path) -> list[TestImage]:
    images = [TestImage(path, True, folder.name, masks / f"{path.stem}_mask.png") for path in list_images(folder)]
    expected = {image.mask_path for image in images}
    found = set(masks.glob("*_mask.png"))
    for image in images:
        if image.mask_path not in found:
            raise InputError(f"{image.path} has no mask; expected {image.mask_path}")
    orphans = sorted(path for path in found if path not in expected)
    if orphans:
        raise InputError(f"{orphans[0]} has no image in {folder}; restore the image or remove the mask")
    return images


def select(images: Sequence[TestImage], subset: Subset) -> list[TestImage]:
    """The images of a subset, in order; reads every file for "even" and "odd".

    Raises `InputError` when it holds no good or no defective image, since nothing can be measured then.
    """
    chosen = [image for image in images if subset == "all" or content_parity(image.path) == subset]
    defective = sum(image.label for image in chosen)
    if not 0 < defective < len(chosen):
        raise InputError(
            f"the subset {subset!r} holds {len(chosen) - defective} good and {defective} defective images;"
            " expected both kinds, so use another subset or more images"
        )
    return chosen


def content_parity(path: Path) -> Literal["even", "odd"]:
    """Which half a file belongs to. Raises `ImageError` for a file that cannot be read."""
    try:
        digest = hashlib.sha256(path.read_bytes()).digest()
    except OSError as error:
        raise ImageError(f"{path} cannot be read ({error.strerror}); check the path and its permissions") from error
    return "odd" if digest[-1] & 1 else "even"


def read_pixels(image: TestImage) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The image, uint8 [H, W, 3], BGR, and its mask, bool [H, W], true where defective, all false for a good part.

    Raises `ImageError` for a file that cannot be read, a mask of another size than its image, and one that marks
    nothing.
    """
    pixels = read_image(image.path)
    if image.mask_path is None:
        return pixels, np.zeros(pixels.shape[:2], np.bool_)
    mask = np.asarray(read_image(image.mask_path).any(axis=2))
    if mask.shape != pixels.shape[:2]:
        (height, width), (mask_height, mask_width) = pixels.shape[:2], mask.shape
        raise ImageError(
            f"{image.mask_path} is {mask_width}×{mask_height} pixels, its image {width}×{height};"
            " expected the same size"
        )
    if not mask.any():
        raise ImageError(f"{image.mask_path} marks no pixel; expected the defect of {image.path} to be non-zero")
    return pixels, mask

"""Test images and their masks, whatever the layout they were found in."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from runtime.errors import ImageError, InputError
from runtime.images import list_images, read_image
from train.data import DifferentPictures
from train.masks import read_mask

GOOD = "good"
Subset = Literal["all", "even", "odd"]


@dataclass(frozen=True)
class TestImage:
    """One image of a test set. `label` is true for a defective part; `defect` is its kind, "good" for a good one.

    `mask_path` is a file, or a folder of files whose union is the mask. None means that nothing is defective in a good
    part, and that nobody has marked where in a defective one.
    """

    path: Path
    label: bool
    defect: str
    mask_path: Path | None


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


def copies_among(images: Sequence[TestImage]) -> str | None:
    """A sentence on test images that show a picture which another of their kind, good or defective, shows, too."""
    said = []
    for label, kind in ((False, "good"), (True, "defective")):
        paths = [image.path for image in images if image.label is label]
        different = len(DifferentPictures.of(paths).groups)
        if different < len(paths):
            said.append(f"{len(paths):,} {kind} files show {different:,} different pictures")
    if not said:
        return None
    return f"{' and '.join(said)}; the figures count every file, and are only as sure as the pictures make them"


def read_pixels(image: TestImage) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
    """The image, uint8 [H, W, 3], BGR, and its mask, bool [H, W], true where defective, all false for a good part.

    The mask is None where nobody has marked the defect; only image-level figures can be measured then. A pixel is
    defective that `train.masks` says is, in any file of a folder. Raises `ImageError` for a file that cannot be
    read, a mask whose levels leave in doubt what is marked, one of another size than its image, and one that marks
    nothing.
    """
    pixels = read_image(image.path)
    if image.mask_path is None:
        return pixels, None if image.label else np.zeros(pixels.shape[:2], np.bool_)
    mask = np.zeros(pixels.shape[:2], np.bool_)
    for file in mask_files(image):
        mask |= _read_mask(file, pixels.shape[:2])
    if not mask.any():
        raise ImageError(f"{image.mask_path} marks no pixel; expected the defect of {image.path} to be non-zero")
    return pixels, mask


def mask_files(image: TestImage) -> list[Path]:
    """The files whose union is the mask; none where there is no mask. Raises `InputError` for a folder without one."""
    if image.mask_path is None:
        return []
    return list_images(image.mask_path) if image.mask_path.is_dir() else [image.mask_path]


def marks_a_defect(mask_path: Path) -> bool:
    """Whether a mask file marks a pixel. Raises `ImageError` when it cannot be read."""
    return bool(read_mask(mask_path).any())


def _read_mask(path: Path, size_hw: tuple[int, ...]) -> NDArray[np.bool_]:
    mask = read_mask(path)
    if mask.shape != size_hw:
        (height, width), (mask_height, mask_width) = size_hw, mask.shape
        raise ImageError(
            f"{path} is {mask_width}×{mask_height} pixels, its image {width}×{height}; expected the same size"
        )
    return mask

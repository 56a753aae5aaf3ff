"""Defective images with their masks, for whoever has some: a folder of images, and one of masks with the same names."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.errors import ImageError, InputError
from runtime.images import SUFFIXES, is_picture
from train import masks

GOOD = "good"  # a folder of this name holds no defects
ENDINGS = ("", "_mask")  # of a mask's stem, behind the image's


@dataclass(frozen=True)
class Defect:
    """A defective image and the file that marks where; None where nobody has."""

    path: Path
    mask_path: Path | None


def find_defects(folder: Path, masks_folder: Path | None) -> list[Defect]:
    """All images below `folder`, sorted, but those in a folder ``good``; of MVTec AD give ``test``.

    A mask lies at the same place below `masks_folder` and has the image's name, or ``NAME_mask``; of MVTec AD give
    ``ground_truth``. Raises `InputError` when there is no image, or one without its mask.
    """
    if not os.path.isdir(folder):  # Path.is_dir raises where a folder may not be entered
        raise InputError(f"{folder} is not a folder, or cannot be reached; give --defects a folder of defective images")
    paths = sorted(
        path for path in folder.rglob("*") if GOOD not in path.relative_to(folder).parts[:-1] and is_picture(path)
    )
    if not paths:
        raise InputError(f"{folder} holds no images of defects; expected files ending in {', '.join(SUFFIXES)}")
    return [
        Defect(path, None if masks_folder is None else _mask_of(path.relative_to(folder), masks_folder))
        for path in paths
    ]


def read_masks(defects: list[Defect], size_hw: tuple[int, int]) -> list[NDArray[np.bool_]]:
    """The masks of defects that have one each; see `read_mask`."""
    return [read_mask(defect.mask_path, size_hw) for defect in defects if defect.mask_path is not None]


def read_mask(path: Path, size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask, bool [H, W], true where defective, at the size of the maps: a pixel counts that is defective in part.

    Raises `ImageError` for a file that `train.masks` cannot read, or that marks nothing.
    """
    marked = masks.read_mask(path)
    if not marked.any():
        raise ImageError(f"{path} marks no pixel; expected the defect to be non-zero")
    height, width = size_hw
    shrinks = marked.shape[0] >= height and marked.shape[1] >= width
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(marked.astype(np.float32), (width, height), interpolation=interpolation)) > 0


def _mask_of(image: Path, masks_folder: Path) -> Path:
    folder = masks_folder / image.parent
    for path in _images_in(folder):
        if path.stem in [image.stem + ending for ending in ENDINGS]:
            return path
    raise InputError(f"{image} has no mask; expected {folder / f'{image.stem}.png'} or {image.stem}_mask.png")


def _images_in(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.glob("*")) if is_picture(path))

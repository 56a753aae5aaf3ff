"""Named regions of interest in training: read from a file, held against the good images, laid on maps of evidence."""

import re
import typing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.errors import ImageError, InputError
from runtime.images import read_image
from runtime.interest import NamedRegion, RegionsOfInterest, as_runs
from runtime.scoring import Scoring
from train.yaml_file import read_yaml

SUFFIXES = (".yaml", ".yml")  # of a file of polygons; any other file is a mask
RECTANGLE = re.compile(r"[\s\d,.+-]*|none")  # what is no file: numbers, and what options say for nothing
SHAPE = (
    "expected 'picture: [width, height]', the pixels of the pictures that it is drawn on, and below 'regions:' a line "
    "for each: its name, and its corners [[x, y], …], several such lists, or the name of a mask's file"
)


def region_of_option(value: object) -> object:
    """What an option says of the region of interest: the regions in the file that it names, else the value as it is.

    Raises `InputError` for a file that cannot be used.
    """
    if not isinstance(value, str) or RECTANGLE.fullmatch(value.strip()):
        return value
    return read_regions(Path(value))


def read_regions(path: Path) -> RegionsOfInterest:
    """The regions in a file: a mask, which is one region of the file's name, or YAML, as `SHAPE` says.

    Raises `InputError` for a file that is missing, of another shape, or whose regions cannot be used.
    """
    if not path.is_file():
        raise InputError(
            f"region_of_interest is {path}, and there is no such file; give a YAML file of polygons, a mask, or "
            "top,left,height,width"
        )
    found = _from_yaml(path) if path.suffix.lower() in SUFFIXES else _from_mask(path)
    try:
        found.check()
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return found


def _from_mask(path: Path) -> RegionsOfInterest:
    region, picture_hw = _mask(path, path.stem)
    return RegionsOfInterest(picture_hw, (region,))


def _mask(path: Path, name: str) -> tuple[NamedRegion, tuple[int, int]]:
    """The region that a mask's file draws, and the picture's size."""
    try:
        image = read_image(path)
    except ImageError as error:
        raise InputError(f"the mask {error}") from error
    white = image[:, :, 0] > 0
    other = int((image != np.where(white, np.uint8(255), np.uint8(0))[:, :, None]).any(axis=2).sum())
    if other:
        raise InputError(
            f"the mask {path} has {other:,} pixels that are neither black nor white; draw it in 0 and 255 alone, "
            "without soft edges, and save it as PNG"
        )
    if not white.any():
        raise InputError(f"region {name} is empty: the mask {path} has no white pixel; white is what is inspected")
    try:
        return NamedRegion(name, runs=as_runs(white)), (white.shape[0], white.shape[1])
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _from_yaml(path: Path) -> RegionsOfInterest:
    document = read_yaml(path)
    picture, regions = document.get("picture"), document.get("regions")
    if set(document) != {"picture", "regions"} or not isinstance(regions, dict) or not _is_pair(picture, int):
        raise InputError(f"{path} has another shape: {SHAPE}")
    width, height = typing.cast(list[int], picture)
    made = []
    for name, value in regions.items():
        if isinstance(value, str):
            region, found_hw = _mask(path.parent / value, str(name))
            if found_hw != (height, width):
                raise InputError(
                    f"the mask {path.parent / value} has {found_hw[1]}×{found_hw[0]} pixels, and {path} is drawn on "
                    f"pictures of {width}×{height}; give both one size"
                )
            made.append(region)
        else:
            made.append(NamedRegion(str(name), _polygons(path, str(name), value)))
    return RegionsOfInterest((height, width), tuple(made))


def _polygons(path: Path, name: str, value: Any) -> tuple[tuple[tuple[float, float], ...], ...]:
    several = value if isinstance(value, list) else []
    if several and all(_is_pair(each) for each in several):
        several = [several]
    if not several or not all(isinstance(corners, list) and all(map(_is_pair, corners)) for corners in several):
        raise InputError(f"{path}: region {name} is no list of corners: {SHAPE}")
    return tuple(tuple((float(x), float(y)) for x, y in corners) for corners in several)


def _is_pair(value: Any, of: type | tuple[type, ...] = (int, float)) -> bool:
    if not isinstance(value, list) or len(value) != 2:
        return False
    return all(isinstance(each, of) and not isinstance(each, bool) for each in value)


class PictureSizes:
    """Holds the good images against the pictures that regions are drawn on."""

    def __init__(self, regions: RegionsOfInterest) -> None:
        self._expected_hw = regions.picture_hw
        self._other: tuple[Path, tuple[int, ...]] | None = None

    def observe(self, path: Path, image: NDArray[np.uint8]) -> None:
        """One of them, as `train.data.PreparedImages.check` gives it."""
        if image.shape[:2] != self._expected_hw:
            self._other = self._other or (path, image.shape)

    def check(self) -> None:
        """Raise `InputError` for the first that has another size: corners would lie elsewhere on it."""
        if self._other is not None:
            path, shape = self._other
            height, width = self._expected_hw
            raise InputError(
                f"the regions of interest are drawn on pictures of {width}×{height} pixels (width × height), and "
                f"{path} has {shape[1]}×{shape[0]}; draw them on the good images as they are, which have one size then"
            )


def shares(mask: NDArray[np.bool_], stride: int) -> NDArray[np.float32]:
    """How much of what is inspected lies in each cell of `stride` pixels, [ceil(H/s), ceil(W/s)], of a mask [H, W].

    The sum over all is 1. These are the weights of a mean over the regions.
    """
    counts = _cells(mask, stride).sum(axis=(1, 3), dtype=np.float64)
    return np.asarray(counts / counts.sum(), np.float32)


def looked_at(scoring: Scoring, size_hw: tuple[int, int], stride: int) -> NDArray[np.bool_] | None:
    """The cells of `stride` pixels [h, w] whose evidence has a part in what is inspected; None where all may have.

    Those in and around the named regions, as far as smoothing and the way from one cell to the next reach.
    """
    chosen = scoring.in_regions(size_hw)
    if chosen is None:
        return None
    side = 2 * (scoring.reach + stride) + 1
    around = cv2.dilate(chosen.mask.astype(np.uint8), np.ones((side, side), np.uint8)) > 0
    return np.asarray(_cells(around, stride).any(axis=(1, 3)))


def _cells(mask: NDArray[np.bool_], stride: int) -> NDArray[np.bool_]:
    """A mask [H, W] as [h, s, w, s]."""
    height, width = (-(-length // stride) for length in mask.shape)
    padded = np.zeros((height * stride, width * stride), np.bool_)
    padded[: mask.shape[0], : mask.shape[1]] = mask
    return padded.reshape(height, stride, width, stride)

"""A data set whose parts lie turned and shifted: every image of another, moved by a seeded random transform."""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.atomic import write_atomically
from runtime.images import read_image
from runtime.placement import Matrix, turned
from train.datasets import GOOD, TestImage, read_pixels

BORDERS = {"mirror": cv2.BORDER_REFLECT_101, "repeat": cv2.BORDER_REPLICATE}
DONE = "moves.json"  # written last


@dataclass(frozen=True)
class Poses:
    """How parts lie: turned by up to `angle` degrees each way and shifted by up to `shift`, each uniformly."""

    name: str
    angle: float  # degrees
    shift: float  # share of the shorter side, in x and y each

    def move(self, name: str, seed: int, size_hw: tuple[int, int]) -> Matrix:
        """The move [2, 3] of the image of that name, in its pixels: another for each, and always the same."""
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        degrees, (x, y) = rng.uniform(-self.angle, self.angle), rng.uniform(-self.shift, self.shift, 2)
        return turned(float(degrees), (float(x) * min(size_hw), float(y) * min(size_hw)), size_hw)


def write_turned(
    folder: Path, training: Sequence[Path], test: Sequence[TestImage], poses: Poses, seed: int, border: str
) -> None:
    """Write the images, all moved, and their masks moved alike, into `folder` in the layout of MVTec AD.

    What a moved image has from outside is the original, mirrored at its border, or its border repeated: no camera shows
    that, but no data set has more to show. A defect is mirrored with its mask. Nothing is written that is there.
    """
    if (folder / DONE).is_file():
        return
    moves: dict[str, list[list[float]]] = {}
    for path in training:
        name, pixels = f"train/{GOOD}/{path.stem}", read_image(path)
        move = poses.move(name, seed, _size(pixels))
        _save(folder / f"{name}.png", _moved(pixels, move, border))
        moves[name] = move.tolist()
    for image in test:
        pixels, mask = read_pixels(image)
        name = f"test/{image.defect}/{image.path.stem}"
        move = poses.move(name, seed, _size(pixels))
        _save(folder / f"{name}.png", _moved(pixels, move, border))
        if image.label and mask is not None:
            marked = _moved(mask.astype(np.uint8) * 255, move, border, exact=True)
            _save(folder / "ground_truth" / image.defect / f"{image.path.stem}_mask.png", marked)
        moves[name] = move.tolist()
    write_atomically(folder / DONE, json.dumps(moves).encode())


def read_moves(folder: Path) -> dict[str, Matrix]:
    """The moves of `write_turned`, by the image's path in the folder without its ending."""
    return {name: np.array(move) for name, move in json.loads((folder / DONE).read_text()).items()}


def _moved(pixels: NDArray[np.uint8], move: Matrix, border: str, exact: bool = False) -> NDArray[np.uint8]:
    flags = cv2.INTER_NEAREST if exact else cv2.INTER_CUBIC
    height, width = _size(pixels)
    return np.asarray(cv2.warpAffine(pixels, move, (width, height), flags=flags, borderMode=BORDERS[border]), np.uint8)


def _size(pixels: NDArray[np.uint8]) -> tuple[int, int]:
    return pixels.shape[0], pixels.shape[1]


def _save(path: Path, pixels: NDArray[np.uint8]) -> None:
    write_atomically(path, cv2.imencode(".png", pixels)[1].tobytes())

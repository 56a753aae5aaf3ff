"""The shape of the prepared frame: that of the parts, with as many pixels as the options ask for.

Frames of another shape than the pictures squeeze what they show. On parts of 500×1240 pixels a detector found more with
as many pixels in their own shape.
"""

import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from train.checks import check_data
from train.data import PreparedImages
from train.datasets import good_images
from train.regions import PictureSizes
from train.run_folder import RunFolder

Config = TypeVar("Config", bound=Any)

STEP = 16  # pixels of a side: the coarsest stage of a backbone, so that none is padded unevenly
SHORTEST = 32
SQUARE = 1.05  # longer by less than this is square: pictures are often cropped by hand


def with_frame_shape(config: Config, folder: RunFolder) -> Config:
    """A configuration with its `size_hw`: as it is given, else that of the run in `folder`, else of its good images.

    Raises `InputError` for images that are not there, and for those of another size than the pictures that named
    regions are drawn on, and what reading them raises.
    """
    if config.scoring.regions is not None:
        check_data(config.data)
        sizes = PictureSizes(config.scoring.regions)
        PreparedImages(good_images(Path(config.data)), (SHORTEST, SHORTEST), None).check(sizes.observe)
        sizes.check()
    if config.size_hw is not None:
        return config
    check_data(config.data)
    if folder.config_path.exists() and folder.method == config.METHOD:
        return replace(config, size_hw=folder.config(type(config)).size_hw)
    size_hw = shape_of_parts(good_images(Path(config.data)), config.side)
    print(f"frames of {size_hw[1]}×{size_hw[0]} pixels (width × height), in the shape of the images")
    return replace(config, size_hw=size_hw)


def shape_of_parts(paths: list[Path], side: int) -> tuple[int, int]:
    """Height and width in the median shape of images, with about `side`² pixels; whole multiples of `STEP`."""
    ratios: list[float] = []
    PreparedImages(paths, (side, side), None).check(lambda path, image: ratios.append(image.shape[1] / image.shape[0]))
    return frame_shape(statistics.median(ratios), side)


def frame_shape(ratio: float, side: int) -> tuple[int, int]:
    """Height and width of about `side`² pixels whose width is `ratio` times the height; see `shape_of_parts`."""
    if 1 / SQUARE < ratio < SQUARE:
        ratio = 1.0
    height, width = (max(SHORTEST, STEP * round(each / STEP)) for each in (side / ratio**0.5, side * ratio**0.5))
    return height, width

"""The shape of the prepared frame: that of most parts, in whole steps, and of a run that has begun the run's own."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from runtime.errors import ImageError, InputError
from runtime.scoring import Scoring
from train.options import MemoryBankConfig, StudentsConfig
from train.run_folder import RunFolder
from train.shape import STEP, frame_shape, shape_of_parts, with_frame_shape


def write(folder: Path, *sizes: tuple[int, int]) -> list[Path]:
    """Images of these heights and widths."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{index}.png" for index in range(len(sizes))]
    for index, (path, size) in enumerate(zip(paths, sizes, strict=True)):
        assert cv2.imwrite(str(path), np.full((*size, 3), 10 * index, np.uint8))
    return paths


@pytest.mark.parametrize(
    ("ratio", "side", "expected"),
    [
        (1.0, 256, (256, 256)),
        (4 / 3, 256, (224, 288)),
        (1240 / 500, 256, (160, 400)),
        (500 / 1240, 256, (400, 160)),
        (100.0, 256, (32, 2560)),  # no side is shorter than any method's least
        (1.0, 250, (256, 256)),
    ],
)
def test_the_frame_has_the_pixels_of_the_square_and_the_shape_of_the_parts(
    ratio: float, side: int, expected: tuple[int, int]
) -> None:
    assert frame_shape(ratio, side) == expected


def test_sides_are_whole_steps_and_the_pixels_about_those_of_the_square() -> None:
    for ratio in np.geomspace(0.25, 4, 60):
        height, width = frame_shape(float(ratio), 256)
        assert (height % STEP, width % STEP) == (0, 0)
        assert height * width == pytest.approx(256**2, rel=0.09)
        assert width / height == pytest.approx(ratio, rel=0.1)


@pytest.mark.parametrize(("ratio", "square"), [(1.049, True), (1 / 1.049, True), (1.051, False), (1 / 1.051, False)])
def test_pictures_that_are_nearly_square_are_square(ratio: float, square: bool) -> None:
    height, width = frame_shape(ratio, 640)  # where a step is a fortieth of a side
    assert (height == width) == square


def test_of_mixed_pictures_the_median_shape_counts(tmp_path: Path) -> None:
    paths = write(tmp_path, (40, 80), (50, 100), (40, 400), (90, 30), (30, 60))
    assert shape_of_parts(paths, 128) == frame_shape(2.0, 128) == (96, 176)


def test_a_picture_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    paths = write(tmp_path, (40, 80), (40, 80))
    paths[1].write_bytes(b"broken")
    with pytest.raises(ImageError, match=r"1\.png is not an image"):
        shape_of_parts(paths, 128)


def test_a_size_that_is_given_stands_and_no_image_is_looked_at(tmp_path: Path) -> None:
    config = MemoryBankConfig(data="nowhere", size_hw=(64, 96))
    assert with_frame_shape(config, RunFolder(tmp_path)) is config


@pytest.mark.parametrize("config", [MemoryBankConfig(side=64), StudentsConfig(side=64)])
def test_a_run_that_has_begun_keeps_its_shape_whatever_lies_in_the_folder_now(
    config: MemoryBankConfig | StudentsConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, folder = tmp_path / "images", RunFolder(tmp_path / "run")
    write(images, *[(20, 80)] * 3)
    config = replace(config, data=str(images))
    begun = with_frame_shape(config, folder)
    assert begun.size_hw == begun.frame_hw == (32, 128)
    assert capsys.readouterr().out == "frames of 128×32 pixels (width × height), in the shape of the images\n"
    folder.claim(begun)
    write(images, *[(80, 20)] * 3)
    assert with_frame_shape(config, folder) == begun
    folder.check(with_frame_shape(config, folder))
    assert capsys.readouterr().out == ""
    assert with_frame_shape(config, RunFolder(tmp_path / "another")).size_hw == (128, 32)


@pytest.mark.parametrize(("data", "message"), [("", "no images were given"), ("nowhere", "nowhere is not a folder")])
def test_images_that_are_not_there_are_one_sentence(data: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        with_frame_shape(MemoryBankConfig(data=data), RunFolder(tmp_path / "run"))


@pytest.mark.parametrize("config", [MemoryBankConfig, StudentsConfig])
def test_a_region_needs_the_frame_that_it_is_in(config: type[MemoryBankConfig] | type[StudentsConfig]) -> None:
    scoring = Scoring((1, 2, 30, 31), by_position=True)
    with pytest.raises(InputError, match="a region_of_interest is in pixels of the prepared frame; give its size_hw"):
        config(scoring=scoring)
    assert config(scoring=scoring, size_hw=(64, 64)).scoring == scoring

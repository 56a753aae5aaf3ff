"""Files of named regions: polygons in YAML and masks, what is refused, and what a run folder keeps of them."""

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.errors import InputError
from runtime.interest import RegionsOfInterest, inspected
from runtime.scoring import Scoring
from train.config import add_options, as_mapping, as_yaml, configured, resolve
from train.options import MemoryBankConfig, StudentsConfig
from train.regions import looked_at, read_regions, shares
from train.run_folder import RunFolder
from train.shape import with_frame_shape
from train.yaml_file import read_yaml

BOX = "[[4, 8], [40, 8], [40, 30], [4, 30]]"


def written(folder: Path, regions: str, picture: str = "[64, 64]", name: str = "regions.yaml") -> Path:
    path = folder / name
    path.write_text(f"picture: {picture}\nregions:\n  {regions}\n")
    return path


def mask_file(folder: Path, mask: NDArray[np.uint8], name: str = "rim.png") -> Path:
    assert cv2.imwrite(str(folder / name), mask)
    return folder / name


def box_mask(size_hw: tuple[int, int] = (64, 64), value: int = 255) -> NDArray[np.uint8]:
    mask = np.zeros(size_hw, np.uint8)
    mask[8:30, 4:40] = value
    return mask


def pixels(regions: RegionsOfInterest, size_hw: tuple[int, int] = (32, 32)) -> NDArray[np.bool_]:
    found = inspected(regions, size_hw)
    assert found is not None
    return found.mask


def parsed(*words: str) -> StudentsConfig:
    parser = argparse.ArgumentParser()
    add_options(parser, StudentsConfig)
    return resolve(StudentsConfig, parser.parse_args([*words]))


@pytest.mark.parametrize("option", ["--roi", "--region-of-interest"])
def test_a_rectangle_is_four_numbers_still(option: str) -> None:
    config = parsed(option, "1,2,30,31", "--size-hw", "64,64")
    assert config.scoring.region_of_interest == (1, 2, 30, 31)
    assert parsed(option, "none").scoring.region_of_interest is None


def test_polygons_and_a_mask_of_the_same_pixels_are_the_same_region(tmp_path: Path) -> None:
    mask_file(tmp_path, box_mask())
    polygon = read_regions(written(tmp_path, f"rim: {BOX}"))
    masks = read_regions(tmp_path / "rim.png"), read_regions(written(tmp_path, "rim: rim.png", name="mask.yml"))
    for each in masks:
        assert each.names == ("rim",)
        assert each == masks[0]
        np.testing.assert_array_equal(pixels(each), pixels(polygon))
    assert pixels(polygon).sum() == 11 * 18


def test_several_polygons_are_one_region_and_several_names_are_several(tmp_path: Path) -> None:
    hole = "[[10, 10], [20, 10], [20, 20], [10, 20]]"
    found = read_regions(written(tmp_path, f"frame: [{BOX}, {hole}]\n  7: {hole}"))
    assert found.names == ("frame", "7")
    assert pixels(found).sum() == 11 * 18  # the other region fills the hole
    assert pixels(replace(found, regions=found.regions[:1])).sum() == 11 * 18 - 25


def test_the_command_line_reads_the_file_and_the_run_folder_holds_what_it_says(tmp_path: Path) -> None:
    path = written(tmp_path, f"rim: {BOX}")
    config = parsed("--roi", str(path), "--size-hw", "32,32", "--data", "parts")
    assert config.scoring.regions == read_regions(path)
    folder = RunFolder(tmp_path / "run")
    folder.claim(config)
    written(tmp_path, "rim: [[0, 0], [9, 0], [9, 9]]")
    assert folder.config(StudentsConfig) == config  # whatever becomes of the file
    folder.check(config)
    with pytest.raises(
        InputError, match=r"holds a run with region_of_interest = \{'picture_hw': \[64, 64\].*use the same"
    ):
        folder.check(parsed("--roi", str(path), "--size-hw", "32,32", "--data", "parts"))


def test_a_mask_in_a_run_folder_is_one_line(tmp_path: Path) -> None:
    config = StudentsConfig(size_hw=(32, 32), scoring=Scoring(read_regions(mask_file(tmp_path, box_mask()))))
    text = as_yaml(as_mapping(config))
    assert max(map(len, text.splitlines())) < 120
    (tmp_path / "config.yaml").write_text(text)
    assert configured(StudentsConfig, read_yaml(tmp_path / "config.yaml")) == config


@pytest.mark.parametrize(
    ("regions", "message"),
    [
        ("rim: 7", r"region rim is no list of corners: expected 'picture: \[width, height\]'"),
        ("rim: []", "region rim is no list of corners"),
        ("rim: [[1, 2], [3, 4, 5], [6, 7]]", "region rim is no list of corners"),
        ("rim: [[1, 2], [3, yes], [6, 7]]", "region rim is no list of corners"),
        ("rim: {x: 1}", "region rim is no list of corners"),
        (f"rim: {BOX}\n  rim: {BOX}", "has rim twice, in lines 3 and 4; keep one of them"),
        ("rim: [[1, 2], [3, 4]]", "region rim has a polygon of 2 corners; expected 3 or more"),
        ("rim: [[1, 2], [65, 4], [6, 7]]", "region rim has a corner at x 65, y 4, outside the picture of 64×64 pixels"),
        ("rim: [[1, 2], [.nan, 4], [6, 7]]", "region rim has a corner at x nan, y 4, outside"),
        ("rim: none.png", r"the mask .*none\.png cannot be read"),
        ("rim: [", "is not YAML"),
        ("- [1, 2]", r"has another shape: expected 'picture: \[width, height\]'"),
    ],
)
def test_a_file_of_polygons_that_cannot_be_used_is_refused_in_one_sentence(
    tmp_path: Path, regions: str, message: str
) -> None:
    with pytest.raises(InputError, match=message) as refused:
        read_regions(written(tmp_path, regions))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["regions: {}\n", "picture: [64, 64]\n", "picture: 64\nregions: {}\n", "a: 1\n"])
def test_yaml_of_another_shape_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "regions.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match="has another shape: expected 'picture:"):
        read_regions(path)
    path.write_text("picture: [64, 64]\nregions: {}\n")
    with pytest.raises(InputError, match="there are 0 regions; expected 1 to 64"):
        read_regions(path)


def test_masks_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the mask .*grey.png has 792 pixels that are neither black nor white"):
        read_regions(mask_file(tmp_path, box_mask(value=254), "grey.png"))
    blue = np.zeros((64, 64, 3), np.uint8)
    blue[:4, :, 0] = 255
    with pytest.raises(InputError, match=r"the mask .*blue.png has 256 pixels that are neither"):
        read_regions(mask_file(tmp_path, blue, "blue.png"))
    with pytest.raises(InputError, match=r"region black is empty: the mask .*black.png has no white pixel"):
        read_regions(mask_file(tmp_path, box_mask(value=0), "black.png"))
    mask_file(tmp_path, box_mask((64, 80)), "wide.png")
    with pytest.raises(InputError, match=r"the mask .*wide.png has 80×64 pixels, and .* is drawn on pictures of 64×64"):
        read_regions(written(tmp_path, "rim: wide.png"))


def test_a_file_that_is_not_there_is_said_to_be_none() -> None:
    with pytest.raises(
        InputError, match=r"region_of_interest is roi\.ymal, and there is no such file; give a YAML file"
    ):
        parsed("--roi", "roi.ymal")


@pytest.mark.parametrize("size_hw", [None, (32, 32)])
def test_regions_of_pictures_of_another_size_than_the_good_images_are_refused(
    tmp_path: Path, part_images: Path, size_hw: tuple[int, int] | None
) -> None:
    for picture, fits in ((64, True), (65, False)):
        regions = read_regions(written(tmp_path, f"rim: {BOX}", f"[{picture}, 64]"))
        config = MemoryBankConfig(data=str(part_images), size_hw=size_hw, side=32, scoring=Scoring(regions, 1.0, True))
        if fits:
            assert with_frame_shape(config, RunFolder(tmp_path / "run")).size_hw == (32, 32)
            continue
        message = (
            r"drawn on pictures of 65×64 pixels \(width × height\), and .* has 64×64; draw them on the good images"
        )
        with pytest.raises(InputError, match=message):
            with_frame_shape(config, RunFolder(tmp_path / "run"))


def test_regions_that_the_frame_cannot_show_are_refused_when_its_shape_is_known(
    tmp_path: Path, part_images: Path
) -> None:
    regions = read_regions(written(tmp_path, "dot: [[0, 0], [0.9, 0], [0, 0.9]]"))
    config = MemoryBankConfig(data=str(part_images), side=32, scoring=Scoring(regions, 1.0, True))
    with pytest.raises(InputError, match="region dot is empty: it holds no pixel of the prepared frame of 32×32"):
        with_frame_shape(config, RunFolder(tmp_path / "run"))


def test_shares_are_the_inspected_part_of_each_cell() -> None:
    mask = np.zeros((9, 10), bool)
    mask[2:9, 3:5] = True
    expected = np.array([[2 * 1, 2 * 1, 0], [4 * 1, 4 * 1, 0], [1 * 1, 1 * 1, 0]], np.float64)
    np.testing.assert_allclose(shares(mask, 4), expected / 14, rtol=1e-6)


def test_what_is_looked_at_reaches_as_far_as_the_score_does(tmp_path: Path) -> None:
    regions = read_regions(written(tmp_path, "rim: [[20, 20], [24, 20], [24, 24], [20, 24]]"))
    far = 3 * 1 + 4  # the Gaussian, and to the next cell
    for by_position, reach in ((False, far), (True, far + 12)):  # statistics by position are smoothed, too
        found = looked_at(Scoring(regions, 1.0, by_position), (64, 64), 4)
        expected = np.zeros((64, 64), bool)
        expected[max(20 - reach, 0) : 24 + reach, max(20 - reach, 0) : 24 + reach] = True
        assert found is not None
        np.testing.assert_array_equal(found, expected.reshape(16, 4, 16, 4).any(axis=(1, 3)))
    assert looked_at(Scoring((0, 0, 4, 4)), (64, 64), 4) is None  # a rectangle is of the score alone

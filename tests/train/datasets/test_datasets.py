"""The reader of test sets: what it reads, and how it refuses what it cannot."""

import hashlib
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from runtime.errors import ImageError, InputError
from train import datasets


def write(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two good images, two with a dent, one with a scratch; 6×8 pixels, each grey value its own content."""
    for index, name in enumerate(["good/000.png", "good/001.png", "dent/000.png", "dent/001.png", "scratch/000.png"]):
        write(tmp_path / "test" / name, np.full((6, 8), 40 * index, np.uint8))
    for name in ["dent/000_mask.png", "dent/001_mask.png", "scratch/000_mask.png"]:
        mask = np.zeros((6, 8), np.uint8)
        mask[1, 2:4] = 255
        write(tmp_path / "ground_truth" / name, mask)
    return tmp_path


def test_every_image_comes_with_its_defect_and_mask(folder: Path) -> None:
    images = datasets.read_test_set(folder)
    assert [(image.defect, image.label, image.path.name) for image in images] == [
        ("good", False, "000.png"),
        ("good", False, "001.png"),
        ("dent", True, "000.png"),
        ("dent", True, "001.png"),
        ("scratch", True, "000.png"),
    ]
    assert images[0].mask_path is None
    assert images[3].mask_path == folder / "ground_truth" / "dent" / "001_mask.png"


def test_pixels_and_mask_are_read_at_the_same_size(folder: Path) -> None:
    good, *_, scratch = datasets.read_test_set(folder)
    pixels, mask = datasets.read_pixels(scratch)
    assert pixels.shape == (6, 8, 3)
    assert pixels.dtype == np.uint8
    assert mask.dtype == np.bool_
    assert np.argwhere(mask).tolist() == [[1, 2], [1, 3]]
    assert not datasets.read_pixels(good)[1].any()


def test_any_colour_but_black_is_defective(folder: Path) -> None:
    mask = np.zeros((6, 8, 3), np.uint8)
    mask[0, 0, 2], mask[5, 7, 0] = 128, 128
    write(folder / "ground_truth" / "scratch" / "000_mask.png", mask)
    assert datasets.read_pixels(datasets.read_test_set(folder)[-1])[1].sum() == 2


def test_the_halves_are_told_apart_by_content(folder: Path) -> None:
    images = datasets.read_test_set(folder)
    even, odd = datasets.select(images, "even"), datasets.select(images, "odd")
    assert datasets.select(images, "all") == images
    assert even
    assert odd
    assert sorted([*even, *odd], key=images.index) == images
    assert all(int(hashlib.sha256(image.path.read_bytes()).hexdigest(), 16) % 2 == 0 for image in even)
    renamed = images[0].path.rename(images[0].path.with_name("zzz.png"))
    assert datasets.content_parity(renamed) == ("even" if images[0] in even else "odd")


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


@pytest.mark.parametrize(
    ("removed", "message"),
    [
        (["test/good"], "has no test/good; expected the MVTec AD layout"),
        (["test"], "has none of the known layouts .* it holds ground_truth/"),
        (["test/dent", "test/scratch"], "holds no defects"),
        (["test/good/000.png", "test/good/001.png"], "good holds no images"),
        (["ground_truth/dent/001_mask.png"], "dent/001.png has no mask; expected .*dent/001_mask.png"),
        (["ground_truth/dent"], "dent/000.png has no mask"),
        (["test/dent/000.png"], "dent/000_mask.png has no image"),
    ],
)
def test_another_layout_is_refused(folder: Path, removed: list[str], message: str) -> None:
    for name in removed:
        remove(folder / name)
    with pytest.raises(InputError, match=message):
        datasets.read_test_set(folder)


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere is not a folder; give one that holds a data set's category"):
        datasets.read_test_set(tmp_path / "nowhere")


def test_a_file_that_vanished_belongs_to_no_half(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.png cannot be read"):
        datasets.content_parity(tmp_path / "gone.png")


def test_a_mask_of_another_size_is_refused(folder: Path) -> None:
    write(folder / "ground_truth" / "scratch" / "000_mask.png", np.full((8, 6), 255, np.uint8))
    with pytest.raises(ImageError, match=r"000_mask.png is 6×8 pixels, its image 8×6"):
        datasets.read_pixels(datasets.read_test_set(folder)[-1])


def test_a_mask_that_marks_nothing_is_refused(folder: Path) -> None:
    write(folder / "ground_truth" / "scratch" / "000_mask.png", np.zeros((6, 8), np.uint8))
    with pytest.raises(ImageError, match="marks no pixel"):
        datasets.read_pixels(datasets.read_test_set(folder)[-1])


@pytest.mark.parametrize("name", ["test/scratch/000.png", "ground_truth/scratch/000_mask.png"])
def test_a_damaged_file_is_named(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ImageError, match=path.name):
        datasets.read_pixels(datasets.read_test_set(folder)[-1])


def test_a_subset_without_good_images_is_refused(folder: Path) -> None:
    images = datasets.read_test_set(folder)
    with pytest.raises(InputError, match="'all' holds 0 good and 3 defective images"):
        datasets.select(images[2:], "all")
    with pytest.raises(InputError, match="'all' holds 2 good and 0 defective images"):
        datasets.select(images[:2], "all")

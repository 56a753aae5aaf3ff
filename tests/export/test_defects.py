"""Defective images and their masks, in the layouts that people have."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from export.defects import find_defects, read_mask, read_masks
from runtime.errors import ImageError, InputError


def write(path: Path, marked: bool = True, size_hw: tuple[int, int] = (40, 60)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros(size_hw, np.uint8)
    if marked:
        pixels[10, 20] = 255
    assert cv2.imwrite(str(path), pixels)
    return path


def test_mvtecs_test_folder_is_taken_without_its_good_parts(tmp_path: Path) -> None:
    write(tmp_path / "test" / "good" / "000.png")
    for kind in ("crack", "scratch"):
        write(tmp_path / "test" / kind / "000.png")
        write(tmp_path / "ground_truth" / kind / "000_mask.png")
    found = find_defects(tmp_path / "test", tmp_path / "ground_truth")
    assert [str(each.path.relative_to(tmp_path)) for each in found] == ["test/crack/000.png", "test/scratch/000.png"]
    assert [each.mask_path for each in found] == [
        tmp_path / "ground_truth" / kind / "000_mask.png" for kind in ("crack", "scratch")
    ]


def test_a_flat_folder_has_masks_of_the_same_names_or_none(tmp_path: Path) -> None:
    image, mask = write(tmp_path / "good" / "bad" / "a.jpg"), write(tmp_path / "masks" / "a.png")
    write(tmp_path / "masks" / "a_b.png")  # another image's
    assert [each.mask_path for each in find_defects(image.parent, mask.parent)] == [mask]
    (without,) = find_defects(image.parent, None)
    assert (without.path, without.mask_path) == (image, None)
    assert read_masks([without], (20, 30)) == []


def test_a_mask_is_brought_to_the_size_of_the_maps_and_loses_no_spot(tmp_path: Path) -> None:
    mask = read_mask(write(tmp_path / "mask.png"), (20, 30))
    assert mask.dtype == bool
    assert np.argwhere(mask).tolist() == [[5, 10]]
    assert read_mask(tmp_path / "mask.png", (80, 120)).any()


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    for name in ("none", "n" * 300):
        with pytest.raises(InputError, match="is not a folder, or cannot be reached; give --defects a folder"):
            find_defects(tmp_path / name, None)
    write(tmp_path / "test" / "good" / "0.png")
    with pytest.raises(InputError, match="holds no images of defects"):
        find_defects(tmp_path / "test", None)
    write(tmp_path / "test" / "crack" / "1.png")
    with pytest.raises(InputError, match=r"crack/1\.png has no mask; expected .*crack/1\.png or 1_mask\.png"):
        find_defects(tmp_path / "test", tmp_path / "ground_truth")
    with pytest.raises(ImageError, match="marks no pixel"):
        read_mask(write(tmp_path / "empty.png", marked=False), (20, 30))

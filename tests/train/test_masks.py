"""Masks: two levels in any file are read to the pixel, blurred ones to the area, and all else is refused."""

import itertools
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.errors import ImageError
from train.masks import describe_cover, read_mask

SEED = 10
SIZE_HW = (150, 200)
AREA = 0.12  # relative: how far the area of a mask that is accepted may be off

Mask = NDArray[np.uint8]


def disc(radius: float) -> Callable[[], Mask]:
    y, x = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]]
    return lambda: ((np.hypot(y - 70.3, x - 90.7) < radius) * 255).astype(np.uint8)


def box(height: int, width: int) -> Callable[[], Mask]:
    def drawn() -> Mask:
        mask = np.zeros(SIZE_HW, np.uint8)
        mask[31 : 31 + height, 45 : 45 + width] = 255
        return mask

    return drawn


def blobs() -> Mask:
    noise = np.random.default_rng(SEED).normal(size=SIZE_HW)
    return ((cv2.GaussianBlur(noise, (0, 0), 9) > 0.05) * 255).astype(np.uint8)


SHAPES: dict[str, Callable[[], Mask]] = {
    "small disc": disc(11.56), "speck": box(3, 3), "box": box(16, 30), "large": disc(50), "line": box(1, 120),
    "scratch": box(3, 90), "blobs": blobs,
}  # fmt: skip
EXACT: dict[str, tuple[str, list[int], Callable[[Mask], NDArray[np.generic]]]] = {
    "png": (".png", [], lambda m: m),
    "0 and 1": (".png", [], lambda m: m // 255),
    "0 and 7": (".png", [], lambda m: m // 255 * 7),
    "0 and 100": (".png", [], lambda m: m // 255 * 100),
    "bmp": (".bmp", [], lambda m: m),
    "tiff": (".tif", [], lambda m: m),
    "16 bits": (".png", [], lambda m: m.astype(np.uint16) * 257),
    "red": (".png", [], lambda m: np.dstack([m * 0, m * 0, m])),
    "RGBA": (".png", [], lambda m: np.dstack([m, m, m, m * 0 + 255])),
    "lossless WebP": (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101], lambda m: m),
}
BLURRED: dict[str, tuple[str, list[int], Callable[[Mask], NDArray[np.generic]]]] = {
    **{f"JPEG {q}": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, q], lambda m: m) for q in (98, 90, 75, 50, 30)},
    **{f"WebP {q}": (".webp", [cv2.IMWRITE_WEBP_QUALITY, q], lambda m: m) for q in (90, 60)},
    "smooth edge": (".png", [], lambda m: cv2.GaussianBlur(m, (3, 3), 0.6)),
    "softer edge": (".png", [], lambda m: cv2.GaussianBlur(m, (0, 0), 1.5)),
    "soft edge, JPEG": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 80], lambda m: cv2.GaussianBlur(m, (3, 3), 0.8)),
}


def saved(path: Path, mask: NDArray[np.generic], options: list[int]) -> Path:
    assert cv2.imwrite(str(path), np.asarray(mask), options)
    return path


@pytest.mark.parametrize("shape", SHAPES)
def test_two_levels_are_read_to_the_pixel(tmp_path: Path, shape: str) -> None:
    mask = SHAPES[shape]()
    for name, (suffix, options, change) in EXACT.items():
        found = read_mask(saved(tmp_path / f"mask{suffix}", change(mask), options))
        assert np.array_equal(found, mask > 0), name


def test_a_blurred_mask_has_the_right_area_or_is_refused(tmp_path: Path) -> None:
    read, refusals = 0, list[str]()
    for (shape, draw), (name, (suffix, options, change)) in itertools.product(SHAPES.items(), BLURRED.items()):
        mask = draw()
        path = saved(tmp_path / f"mask{suffix}", change(mask), options)
        try:
            found = int(read_mask(path).sum())
        except ImageError as error:
            refusals.append(str(error))
            continue
        read += 1
        area = int((mask > 0).sum())
        assert abs(found - area) <= AREA * area, f"{shape} as {name}: {found} of {area} pixels"
    assert read >= 30
    assert len(refusals) >= 10
    assert all("is no mask of two levels" in each and "save it as PNG" in each for each in refusals)


def test_a_small_defect_saved_as_jpeg_does_not_grow(tmp_path: Path) -> None:
    mask = SHAPES["small disc"]()
    area = int((mask > 0).sum())
    assert 410 < area < 430
    path = saved(tmp_path / "mask.jpg", mask, [cv2.IMWRITE_JPEG_QUALITY, 95])
    assert (cv2.imread(str(path)).any(axis=2)).sum() > 1.2 * area, "which any value above 0 would mark"
    assert abs(int(read_mask(path).sum()) - area) <= 10


def test_labels_are_kinds_of_defect(tmp_path: Path) -> None:
    mask = np.zeros(SIZE_HW, np.uint8)
    for label in range(1, 6):
        mask[10 * label : 10 * label + 4, 5:9] = label
    assert np.array_equal(read_mask(saved(tmp_path / "mask.png", mask, [])), mask > 0)


def test_a_map_of_probabilities_is_refused(tmp_path: Path) -> None:
    heat = cv2.GaussianBlur(SHAPES["box"](), (0, 0), 8)
    heat = (heat / heat.max() * 255).astype(np.uint8)
    with pytest.raises(ImageError, match=r"mask\.png is no mask of two levels: [\d,]+ pixels lie between 0 and 255"):
        read_mask(saved(tmp_path / "mask.png", heat, []))


def test_a_black_mask_marks_nothing(tmp_path: Path) -> None:
    assert not read_mask(saved(tmp_path / "mask.png", np.zeros(SIZE_HW, np.uint8), [])).any()


def test_masks_that_mark_most_of_a_picture_are_named() -> None:
    assert describe_cover([("a.png", 0.03), ("b.png", 0.5)]) is None
    assert describe_cover([("a.png", 0.03), ("b.png", 0.97), ("c.png", 1.0)]) == (
        "2 of 3 masks mark more than half of their picture (b.png 97 %, c.png 100 %); are they inverted? "
        "What is not black must be the defect"
    )
    assert "and 2 more" in str(describe_cover([(f"{i}.png", 0.9) for i in range(5)]))

"""Badly taken pictures stand out against their own folder, and against it alone."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.demo import DemoLine
from train.inspection.measure import measure
from train.inspection.quality import describe_shapes, describe_sizes, find_bad_pictures
from train.inspection.robust import deviations_above

Image = NDArray[np.uint8]


@pytest.fixture(scope="module")
def parts() -> list[Image]:
    line = DemoLine(8, (128, 128), defect_rate=0)
    return [line.good(index).image for index in range(20)]


def kinds(images: list[Image]) -> list[tuple[int, str]]:
    return [(index, kind) for index, kind, _, _ in find_bad_pictures([measure(image) for image in images])]


def scaled(image: Image, factor: float) -> Image:
    return np.clip(image * float(factor), 0, 255).astype(np.uint8)


def test_good_pictures_are_left_alone(parts: list[Image]) -> None:
    assert kinds(parts) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda image: cv2.GaussianBlur(image, (0, 0), 1.5), ["blurred"]),
        (lambda image: scaled(image, 0.4), ["dark"]),
        (lambda image: scaled(image, 1.35), ["bright"]),
        (lambda image: scaled(image, 5), ["bright", "over-exposed"]),
        (lambda image: image[:, :96], ["shape"]),
    ],
)
def test_a_badly_taken_picture_is_named(parts: list[Image], change: object, expected: list[str]) -> None:
    assert callable(change)
    assert kinds([*parts, change(parts[3])]) == [(20, kind) for kind in expected]
    assert kinds([change(part) for part in parts]) == [], "a fault of all images is the folder's own"


def test_a_picture_in_which_half_is_black_is_under_exposed(parts: list[Image]) -> None:
    shaded = parts[0].copy()
    shaded[:70] = 0
    assert (20, "under-exposed") in kinds([*parts, shaded])


def test_an_empty_picture_shows_nothing(parts: list[Image]) -> None:
    assert (20, "flat") in kinds([*parts, np.full((128, 128, 3), 70, np.uint8)])


def test_light_does_not_change_sharpness(parts: list[Image]) -> None:
    assert measure(scaled(parts[0], 0.5)).sharpness == pytest.approx(measure(parts[0]).sharpness, rel=0.1)


def test_large_pictures_are_measured_at_a_bounded_size() -> None:
    large = np.random.default_rng(1).integers(0, 256, (3000, 1500, 3), np.uint8)
    measured = measure(large)
    assert measured.size_hw == (3000, 1500)
    assert measured.grey.shape == (64, 64)
    assert measured.colour.shape == (32, 32, 3)


def test_a_folder_of_many_shapes_is_described_and_no_image_of_it_blamed(parts: list[Image]) -> None:
    assert describe_shapes([measure(part) for part in parts]) is None
    mixed = [part[:, : 60 + 3 * index] for index, part in enumerate(parts)]
    assert not any(kind == "shape" for _, kind in kinds(mixed))
    described = describe_shapes([measure(part) for part in mixed])
    assert described is not None
    assert described.startswith("20 sizes, width over height from 0.47 to 0.91; all are stretched to one")


def test_a_picture_of_another_size_is_named_and_mixed_sizes_are_described(parts: list[Image]) -> None:
    assert describe_sizes([measure(part) for part in parts]) is None
    small = [cv2.resize(part, (64, 64), interpolation=cv2.INTER_AREA) for part in parts]
    assert (20, "size") in kinds([*parts, small[3]])
    assert not any(kind == "size" for _, kind in kinds([*parts[:10], *small[10:]]))
    described = describe_sizes([measure(part) for part in [*parts[:10], *small[10:]]])
    assert described is not None
    assert described.startswith("mixed sizes, from 64×64 to 128×128 pixels")


def test_deviations_are_those_of_the_upper_half() -> None:
    values = np.array([-100.0, -50, -3, 0, 1, 2, 3])
    assert deviations_above(values, 0.1).tolist() == pytest.approx([*(values / (2 * 1.4826))])
    assert deviations_above(np.array([5.0, 5, 5, 6]), 2.0).tolist() == [0, 0, 0, 0.5]

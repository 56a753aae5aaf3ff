"""Copies among parts that all look alike: the same file, the same picture saved again, the same part shot twice."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.demo import DemoLine
from train.inspection.copies import find_copies, group_copies
from train.inspection.measure import measure


@pytest.fixture(scope="module")
def parts() -> list[NDArray[np.uint8]]:
    line = DemoLine(8, (128, 128), defect_rate=0)
    return [line.good(index).image for index in range(24)]


def again(image: NDArray[np.uint8], change: str) -> NDArray[np.uint8]:
    rng = np.random.default_rng(3)
    changes = {
        "equal": lambda: image,
        "jpeg": lambda: cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 80])[1], cv2.IMREAD_COLOR),
        "smaller": lambda: cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA),
        "lighter": lambda: cv2.add(image, (12, 12, 12, 0)),
        "noisier": lambda: np.clip(image + rng.normal(0, 3, image.shape), 0, 255).astype(np.uint8),
    }
    return np.asarray(changes[change](), np.uint8)


def greys(images: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    return np.stack([measure(image).grey for image in images])


def test_parts_that_look_alike_are_no_copies(parts: list[NDArray[np.uint8]]) -> None:
    assert list(find_copies(greys(parts))) == []


@pytest.mark.parametrize("change", ["equal", "jpeg", "smaller", "lighter", "noisier"])
def test_the_same_picture_is_a_copy(parts: list[NDArray[np.uint8]], change: str) -> None:
    ((copy, other, difference),) = find_copies(greys([*parts, again(parts[5], change)]))
    assert (copy, other) == (24, 5)
    assert difference < 1.5
    assert (difference == 0) == (change in ("equal", "smaller"))  # prepared, they are the same pixels


def test_a_mirrored_or_moved_part_is_none(parts: list[NDArray[np.uint8]]) -> None:
    moved = np.roll(parts[5], 6, axis=1)
    assert list(find_copies(greys([*parts, parts[5][:, ::-1], moved]))) == []


def test_each_copy_is_named_once_with_the_first_of_its_kind(
    parts: list[NDArray[np.uint8]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.inspection.copies.ROWS", 5)  # so that copies lie in other blocks
    images = [*parts, parts[2], parts[20], parts[2]]
    assert [(copy, other) for copy, other, _ in find_copies(greys(images))] == [(24, 2), (25, 20), (26, 2)]


def test_pictures_that_differ_in_fine_detail_alone_are_no_copies(parts: list[NDArray[np.uint8]]) -> None:
    pictures = greys(parts)
    checks = np.indices((64, 64)).sum(axis=0) % 2 * 20
    detailed = np.clip(pictures[5].astype(int) + checks, 0, 255).astype(np.uint8)
    assert list(find_copies(np.concatenate([pictures, detailed[None]]))) == []


def test_where_all_differ_by_little_a_copy_must_differ_by_less() -> None:
    fields = np.random.default_rng(5).normal(0, 25, (30, 64, 64))
    pictures = np.stack([120 + cv2.GaussianBlur(field, (0, 0), 6) for field in fields]).round().astype(np.uint8)
    assert 1 < np.median([(one - pictures[0].astype(float)).std() for one in pictures[1:]]) < 2
    assert list(find_copies(pictures)) == []


@pytest.mark.parametrize("share", [0.8, 1.0])
def test_a_part_shot_again_and_again_is_found_where_most_are_of_it(
    parts: list[NDArray[np.uint8]], share: float
) -> None:
    rng, count = np.random.default_rng(4), round(share * 20)
    shots = [np.clip(parts[0] + rng.normal(0, 1, parts[0].shape), 0, 255).astype(np.uint8) for _ in range(count)]
    copies = [copy for copy, _, _ in find_copies(greys([*shots, *parts[1 : 21 - count]]))]
    assert copies == list(range(1, count))


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_a_folder_of_one_picture_holds_nothing_but_copies(count: int) -> None:
    pictures = np.full((count, 64, 64), 90, np.uint8)
    assert [(copy, other) for copy, other, _ in find_copies(pictures)] == [(index, 0) for index in range(1, count)]


def test_a_row_of_parts_each_a_little_unlike_the_one_before_is_not_one_picture() -> None:
    fields = np.random.default_rng(6).normal(0, 200, (2, 64, 64))
    base, slope = (cv2.GaussianBlur(field, (0, 0), 5) for field in fields)
    row = np.stack([128 + base + 1.0 * step * slope / slope.std() for step in range(30)]).round().astype(np.uint8)
    groups = group_copies(row)
    assert 9 <= len(groups) <= 20
    assert max(max(group) - min(group) for group in groups) <= 5


def test_files_of_one_picture_lie_in_one_group_though_some_differ_by_more_than_the_limit() -> None:
    fields = np.random.default_rng(7).normal(0, 200, (2, 64, 64))
    base, change = (cv2.GaussianBlur(field, (0, 0), 5) for field in fields)
    ends = [128 + base + sign * 0.7 * change / change.std() for sign in (-1, 1, 0)]
    assert group_copies(np.stack(ends).round().astype(np.uint8)) == [[0, 1, 2]]


def test_blank_plates_that_differ_by_little_are_different_pictures() -> None:
    fields = np.random.default_rng(8).normal(0, 14, (20, 64, 64))
    plates = np.stack([120 + cv2.GaussianBlur(field, (0, 0), 3) for field in fields]).round().astype(np.uint8)
    assert plates[0].std() < 2
    assert len(group_copies(plates)) == 20


def test_of_flat_pictures_equal_ones_alone_are_copies() -> None:
    flat = np.stack([np.full((64, 64), grey, np.uint8) for grey in (90, 91, 90, 200)])
    assert group_copies(flat) == [[0, 2], [1], [3]]


def test_thousands_of_parts_that_look_alike_are_compared_at_once() -> None:
    fields = np.random.default_rng(9).integers(0, 256, (3000, 8, 8), np.uint8)
    pictures = np.stack([cv2.resize(field, (64, 64), interpolation=cv2.INTER_CUBIC) for field in fields])
    again = np.stack([cv2.GaussianBlur(picture, (3, 3), 0.4) for picture in pictures[:100]])
    groups = group_copies(np.concatenate([pictures, again]))
    assert sorted(map(len, groups)) == [1] * 2900 + [2] * 100

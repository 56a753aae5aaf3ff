"""Images that a detector of the others would refuse are named before anything is trained on them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.demo import DemoLine
from train.inspection import Inspector
from train.inspection.measure import measure
from train.inspection.refused import find_refused

LINE = DemoLine(8, (96, 96), 0.0)


@pytest.fixture(scope="module")
def parts() -> list[NDArray[np.uint8]]:
    return [LINE.good(number).image for number in range(40)]


def found(images: list[NDArray[np.uint8]]) -> dict[int, str]:
    return {index: kind for index, kind, _, _ in find_refused([measure(image, (96, 96)) for image in images])}


def test_good_parts_are_not_named(parts: list[NDArray[np.uint8]]) -> None:
    assert found(parts) == {}


def test_several_of_a_kind_do_not_vouch_for_each_other(parts: list[NDArray[np.uint8]]) -> None:
    blurred = [np.asarray(cv2.blur(LINE.good(number).image, (5, 1)), np.uint8) for number in range(50, 53)]
    empty = [LINE.empty(number) for number in range(60, 63)]
    expected = {**dict.fromkeys(range(40, 43), "blurred"), **dict.fromkeys(range(43, 46), "empty")}
    assert found([*parts, *blurred, *empty]) == expected


def test_blur_in_one_direction_is_said_with_its_figures(parts: list[NDArray[np.uint8]]) -> None:
    moved = np.asarray(cv2.blur(LINE.good(50).image, (1, 5)), np.uint8)
    ((index, kind, reason, strength),) = find_refused([measure(image, (96, 96)) for image in [*parts, moved]])
    assert (index, kind) == (40, "blurred")
    assert reason.startswith("blurred: sharpness from top to bottom is 0.")
    assert strength > 0


def test_too_few_images_name_nobody(parts: list[NDArray[np.uint8]]) -> None:
    assert found([*parts[:6], LINE.empty(0)]) == {}


def test_an_empty_belt_among_good_parts_is_warned_of(parts: list[NDArray[np.uint8]]) -> None:
    inspector = Inspector((96, 96))
    for number, image in enumerate([*parts, LINE.empty(0)]):
        inspector.add(Path(f"{number:02}.png"), image)
    kinds = [suspect.kind for suspect in inspector.report().suspects if suspect.path.name == "40.png"]
    assert len({"empty", "outlier"} & set(kinds)) == 1  # said once

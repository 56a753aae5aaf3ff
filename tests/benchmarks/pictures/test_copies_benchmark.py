"""What is measured of the rule of copies, on parts of the demo line."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.pictures import copies
from runtime.demo import DemoLine
from runtime.errors import InputError
from train.datasets import content_parity


def test_all_files_of_a_picture_are_found_and_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = DemoLine(1, (96, 128), defect_rate=0)
    for index in range(6):
        assert cv2.imwrite(str(tmp_path / f"{index}.png"), line.good(index).image)
    file = tmp_path / "copies.json"
    copies.main([str(tmp_path), "--demo", "8", "--pictures", "4", "--json", str(file)])
    printed, document = capsys.readouterr().out, json.loads(file.read_text())
    assert f"{tmp_path.name}, as they are: 0 of 15 pairs match; the nearest (" in printed
    demo = document["found"][1]
    assert [pairs["matched"] for pairs in demo["different"]] == [0, 0, 0]
    assert demo["again"]["found"] == dict.fromkeys(copies.VARIANTS, 4)
    assert (demo["again"]["pairs_together"], demo["again"]["mixed"]) == (demo["again"]["pairs"], 0)
    assert document["rule"]["largest_difference"] == 0.8
    assert document["environment"]["cpu"]


def test_a_pair_that_is_one_picture_is_a_match() -> None:
    image = DemoLine(1, (96, 128), defect_rate=0).good(0).image
    lighter = np.asarray(cv2.add(image, (1, 1, 1, 0)), np.uint8)
    found = copies.different([image, np.flip(image, axis=1), lighter], ["a", "b", "c"], None)
    assert (found.pairs, found.matched, found.nearest_names) == (3, 1, ("a", "c"))


def test_a_folder_without_two_even_pictures_is_refused_before_any_is_measured(tmp_path: Path) -> None:
    line = DemoLine(1, (96, 128), defect_rate=0)
    parts = [line.good(index).image for index in range(8)]
    for folder, wanted in (("enough", 2), ("none", 0), ("one", 1)):
        (tmp_path / folder).mkdir()
        left = {"even": wanted, "odd": 2}
        for index, part in enumerate(parts):
            path = tmp_path / folder / f"{index}.png"
            assert cv2.imwrite(str(path), part)
            parity = content_parity(path)
            if left[parity]:
                left[parity] -= 1
            else:
                path.unlink()
        assert not any(left.values())
    for folder, found in (("none", "0 pictures whose content hash is even, of 2"), ("one", "1 pictures .*, of 3")):
        with pytest.raises(InputError, match=f"{folder} gives {found}; limits are compared on 2 or more"):
            copies.main([str(tmp_path / "enough"), str(tmp_path / folder), "--json", str(tmp_path / "copies.json")])
    with pytest.raises(InputError, match="--demo gives 1 pictures"):
        copies.main(["--demo", "1"])
    assert not (tmp_path / "copies.json").exists()


def test_without_images_it_says_what_to_give() -> None:
    with pytest.raises(InputError, match="no folder was given; name folders of good images, or --demo N"):
        copies.main([])

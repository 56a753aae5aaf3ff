"""``python -m runtime.demo``: the image set it writes, and what it refuses."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from runtime.demo import DemoLine
from runtime.demo.dataset import write_dataset
from runtime.demo.defects import DEFECTS
from runtime.errors import InputError
from runtime.images import read_image

SMALL = (64, 64)


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "runtime.demo", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=60)


def test_the_layout_is_complete(tmp_path: Path) -> None:
    assert write_dataset(tmp_path, DemoLine(1, SMALL), good=3, bad=7) == 3 + 2 * 7
    expected = {f"train/good/{index:03}.png" for index in range(3)} | {f"test/good/{i:03}.png" for i in range(7)}
    for kind, count in {"scratch": 2, "dent": 2, "chip": 1, "stain": 1, "missing_hole": 1}.items():
        expected |= {f"test/{kind}/{index:03}.png" for index in range(count)}
        expected |= {f"ground_truth/{kind}/{index:03}_mask.png" for index in range(count)}
    assert files(tmp_path) == expected


def test_images_and_masks_are_those_of_the_line(tmp_path: Path) -> None:
    line = DemoLine(1, SMALL)
    write_dataset(tmp_path, line, good=2, bad=len(DEFECTS))
    assert np.array_equal(read_image(tmp_path / "train/good/001.png"), line.good(1).image)
    for offset, kind in enumerate(DEFECTS):
        part = line.defective(2 + len(DEFECTS) + offset, kind)
        assert np.array_equal(read_image(tmp_path / "test" / kind / "000.png"), part.image)
        mask = read_image(tmp_path / "ground_truth" / kind / "000_mask.png")
        assert np.array_equal(mask, np.repeat(np.where(part.mask, 255, 0)[..., None], 3, axis=2))


def test_no_part_is_written_twice(tmp_path: Path) -> None:
    numbers: list[int] = []

    class Recorder(DemoLine):
        def _generators(self, index: int) -> list[np.random.Generator]:
            numbers.append(index)
            return super()._generators(index)

    count = write_dataset(tmp_path, Recorder(1, SMALL), good=4, bad=6)
    assert len(numbers) == len(set(numbers)) == count


def test_an_occupied_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match=r"is not empty; give a folder that is empty or does not exist yet"):
        write_dataset(tmp_path, DemoLine(1, SMALL), 1, 0)
    assert files(tmp_path) == {"mine.txt"}


@pytest.mark.parametrize(("good", "bad"), [(0, 5), (3, -1)])
def test_counts_that_make_no_set_are_refused(tmp_path: Path, good: int, bad: int) -> None:
    with pytest.raises(InputError, match=f"{good} good and {bad} defective images; give at least 1 good"):
        write_dataset(tmp_path / "set", DemoLine(1, SMALL), good, bad)
    assert not (tmp_path / "set").exists()


def test_the_command_writes_a_set_and_says_what_it_wrote(tmp_path: Path) -> None:
    done = command(tmp_path / "set", "--good", "2", "--bad", "1", "--seed", "5", "--size", "64")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"4 images in {tmp_path / 'set'}: 2 good to train on, 1 good and 1 defective to test on\n"
    assert np.array_equal(read_image(tmp_path / "set/train/good/000.png"), DemoLine(5, SMALL).good(0).image)
    again = command(tmp_path / "set", "--good", "2")
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr.startswith(f"error: {tmp_path / 'set'} is not empty; give")
    assert again.stderr.count("\n") == 1


def test_the_command_refuses_a_file_in_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "set").write_text("")
    done = command(tmp_path / "set")
    assert done.returncode == 2
    assert done.stderr == f"error: {tmp_path / 'set'} is a file; give a folder that is empty or does not exist yet\n"

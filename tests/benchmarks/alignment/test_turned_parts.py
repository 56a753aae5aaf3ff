"""The benchmark's moved sets: masks move with their parts, and the same seed moves them alike."""

from pathlib import Path

import numpy as np

from benchmarks.alignment.turned import Poses, read_moves, write_turned
from runtime.demo.dataset import write_dataset
from runtime.demo.line import DemoLine
from runtime.images import read_image
from runtime.placement import moved
from train.datasets import read_pixels, read_test_set, training_images

SIZE_HW = (64, 64)


def test_images_and_masks_move_together_and_alike_each_time(tmp_path: Path) -> None:
    write_dataset(tmp_path / "data", DemoLine(5, SIZE_HW), good=2, bad=3)
    training, test = training_images(tmp_path / "data"), read_test_set(tmp_path / "data")
    poses = Poses("near", 15.0, 0.05)
    for name in ("one", "two"):
        write_turned(tmp_path / name, training, test, poses, seed=1, border="mirror")
    moves = read_moves(tmp_path / "one")
    assert len(moves) == len(training) + len(test)
    assert all(np.array_equal(move, read_moves(tmp_path / "two")[name]) for name, move in moves.items())
    originals = {(each.defect, each.path.stem): each for each in test}
    for image in read_test_set(tmp_path / "one"):
        pixels, mask = read_pixels(image)
        np.testing.assert_array_equal(pixels, read_image(tmp_path / "two" / image.path.relative_to(tmp_path / "one")))
        if not image.label:
            continue
        _, before = read_pixels(originals[image.defect, image.path.stem])
        assert before is not None
        assert mask is not None
        move = moves[f"test/{image.defect}/{image.path.stem}"]
        expected = moved(move, np.argwhere(before)[:, ::-1].astype(float)).mean(axis=0)
        assert np.abs(np.argwhere(mask)[:, ::-1].mean(axis=0) - expected).max() < 1

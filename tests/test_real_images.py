"""Real images, where PROCTOR_DATA points at some: every file is read, and one command makes a detector of them."""

import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from runtime import cli
from runtime.images import list_images, read_image

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif("PROCTOR_DATA" not in os.environ, reason="PROCTOR_DATA points at no images"),
]


@pytest.fixture
def data() -> Path:
    return Path(os.environ["PROCTOR_DATA"])


@pytest.mark.parametrize("folder", ["cookie/train/good", "cookie/test/broken", "magnetic_tile/train/good", "natural"])
def test_every_real_image_is_read(data: Path, folder: str) -> None:
    if not (data / folder).is_dir():
        pytest.skip(f"PROCTOR_DATA holds no {folder}")
    for path in list_images(data / folder)[:100]:
        image = read_image(path)
        assert image.dtype == np.uint8
        assert image.ndim == 3
        assert image.std() > 1, f"{path} came out flat"


@pytest.mark.parametrize("folder", ["bottle/train/good", "cookie/train/good", "magnetic_tile/train/good"])
def test_real_parts_that_are_all_different_are_split_by_the_order_of_their_hashes(data: Path, folder: str) -> None:
    from train.data import file_sha256, split_by_content, split_in_turn

    if not (data / folder).is_dir():
        pytest.skip(f"PROCTOR_DATA holds no {folder}")
    paths = list_images(data / folder)
    split = split_by_content(paths, 0.2)
    assert (*split.statistics, *split.threshold, *split.training) == tuple(sorted(paths, key=file_sha256))
    assert (split.near, split.copies) == ({}, 0)
    in_turn = split_in_turn(paths, 0.5)
    assert (*in_turn.statistics, *in_turn.training) == tuple(sorted(paths, key=file_sha256))
    assert in_turn.threshold_images(1, True) == in_turn.training


def test_two_commands_lead_from_real_images_to_their_accuracy(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both in this process, which has imported what they take."""
    from benchmarks.accuracy import __main__ as accuracy
    from train import __main__ as training

    cookie = data / "cookie"
    if not cookie.is_dir():
        pytest.skip("PROCTOR_DATA holds no cookie")
    detector = tmp_path / "detector.onnx"
    small = ["--size-hw", "64,64", "--window", "none", "--device", "cpu"]
    quick = ["--preset", "students", "--students", "1", *small, "--steps", "60"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train", "--data", str(cookie), "--out", str(detector), *quick])
    cli.run(training.main)
    cli.run(lambda: accuracy.main([str(detector), str(cookie), "--subset", "even", "--threads", "1"]))
    printed = capsys.readouterr().out
    found = re.search(r"pixel AUROC +(\d\.\d+)", printed)
    assert found is not None, printed
    # sixty steps on twenty images show that the parts fit together, not how good the method is
    assert float(found.group(1)) > 0.6

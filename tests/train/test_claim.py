"""A run goes on with the images that it was begun with, and with no others."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from runtime.errors import InputError
from runtime.images import list_images
from train.datasets import read_test_set
from train.memory_bank import train_memory_bank
from train.options import MemoryBankConfig


def test_a_run_of_all_of_good_is_refused_once_bad_lies_beside_it(
    bank_config: MemoryBankConfig, part_images: Path, tmp_path: Path
) -> None:
    parts, run = tmp_path / "parts", tmp_path / "run"
    shutil.copytree(part_images, parts / "good")
    config = replace(bank_config, data=str(parts))
    train_memory_bank(config, run)
    train_memory_bank(config, run)  # nothing has changed
    (parts / "bad").mkdir()
    shutil.copy(list_images(part_images)[0], parts / "bad" / "000.png")
    apart = [image for image in read_test_set(parts) if not image.label]
    assert apart
    message = (
        rf"the run \S+run has {len(apart)} images that \S+parts does not give to train on any more, such as "
        rf"{apart[0].path.name}: they are for the test, or lie elsewhere; name another --out or --run, or delete \S+run"
    )
    with pytest.raises(InputError, match=message):
        train_memory_bank(config, run)

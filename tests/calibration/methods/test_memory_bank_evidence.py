"""A memory bank's evidence against NumPy in float64: each descriptor's distance to each vector of the bank."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from runs import opened

from calibration.calibrated import threshold_images
from calibration.methods import open_run
from train.data import PreparedImages
from train.dense import dense_descriptors
from train.memory_bank import MemoryBankConfig, load_memory_bank, train_memory_bank


def test_evidence_is_the_distance_to_the_nearest_descriptor_of_the_bank(bank_run: Path) -> None:
    trained, memory = opened(bank_run).trained, load_memory_bank(bank_run)
    frames = np.random.default_rng(0).integers(0, 256, (2, 32, 36, 3), np.uint8)
    pixels = torch.from_numpy(np.ascontiguousarray(frames[..., ::-1].transpose(0, 3, 1, 2))).float() / 255
    descriptors = dense_descriptors(memory.network, pixels, 4, "bailer").double().numpy()
    bank = memory.bank.double().numpy()
    expected = np.zeros((2, 1, 8, 9))
    for image, row, column in np.ndindex(2, 8, 9):
        gaps = bank - descriptors[image, :, row, column]
        expected[image, 0, row, column] = np.sqrt((gaps**2).sum(axis=1)).min()
    found = trained.evidence(frames).numpy()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_images_that_are_in_the_bank_are_at_no_distance_from_it(bank_config: MemoryBankConfig, tmp_path: Path) -> None:
    train_memory_bank(replace(bank_config, coreset=720), tmp_path / "run")
    trained = open_run(tmp_path / "run")
    assert trained.knows_training_images
    seen, new = (
        trained.evidence(np.stack([PreparedImages(paths, trained.size_hw)[index] for index in range(3)]))
        for paths in (trained.split.training, trained.split.threshold)
    )
    assert float(seen.max()) < 1e-3 * float(new.median())
    assert float(new.min()) > 0


def test_a_lone_kind_leaves_every_image_held_out_to_the_threshold(bank_run: Path) -> None:
    trained = opened(bank_run).trained
    split = trained.split
    assert [kind.weight for kind in trained.kinds] == [1.0]
    assert threshold_images(trained) == (*split.threshold, *split.statistics)


def test_it_says_what_it_looks_at_and_how_much_it_remembers(bank_run: Path) -> None:
    trained = opened(bank_run).trained
    assert trained.looks_at == "patches of 33×33 pixels, one every 4 pixels, beside a memory of 60 good ones"
    assert trained.settings == {
        "patch_size": 33,
        "teacher_sha256": load_memory_bank(bank_run).teacher_sha256,
        "bank": 60,
        "output_stride": 4,
    }

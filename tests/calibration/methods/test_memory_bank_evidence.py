"""A memory bank's evidence against NumPy in float64: each descriptor's distance to each vector of the bank."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from runs import opened

from calibration.calibrated import threshold_images
from calibration.methods import open_run
from calibration.methods.memory_bank import MemoryBankRun
from train.backbones import backbone_path
from train.data import PreparedImages, file_sha256
from train.ensemble import pixels_from_frames
from train.memory_bank import load_memory_bank, train_memory_bank
from train.options import MemoryBankConfig


@pytest.fixture(scope="module")
def trained(bank_run: Path) -> MemoryBankRun:
    found = opened(bank_run).trained
    assert isinstance(found, MemoryBankRun)
    return found


def test_evidence_is_the_distance_to_the_nearest_descriptor_of_the_bank(
    trained: MemoryBankRun, bank_config: MemoryBankConfig
) -> None:
    features, memory = load_memory_bank(trained.folder.path, bank_config)
    frames = np.random.default_rng(0).integers(0, 256, (2, 32, 36, 3), np.uint8)
    descriptors = features(pixels_from_frames(torch.from_numpy(frames)))[0].double().numpy()
    bank = memory.bank.double().numpy()
    expected = np.zeros((2, 1, 4, 5))
    for image, row, column in np.ndindex(2, 4, 5):
        gaps = bank - descriptors[image, :, row, column]
        expected[image, 0, row, column] = np.sqrt((gaps**2).sum(axis=1)).min()
    found = trained.evidence(frames).numpy()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_images_that_are_in_the_bank_are_at_no_distance_from_it_but_for_one_that_is_left_out(
    bank_config: MemoryBankConfig, tmp_path: Path
) -> None:
    train_memory_bank(replace(bank_config, coreset=640), tmp_path / "run")
    trained = open_run(tmp_path / "run")
    assert trained.leaves_out
    for use in (trained.split.statistics, trained.split.training):
        frame, path = PreparedImages(use, trained.size_hw, None)[2][None], use[2]
        seen, new = trained.evidence(frame), trained.without(path).evidence(frame)
        assert float(seen.max()) < 1e-3 * float(new.median())
        assert float(new.min()) > 0


def test_evidence_is_nowhere_above_that_without_any_one_image(trained: MemoryBankRun) -> None:
    known = (*trained.split.statistics, *trained.split.training)
    parts = PreparedImages(known, trained.size_hw, None)
    noise = np.random.default_rng(0).integers(0, 256, (2, 32, 36, 3), np.uint8)
    frames = np.concatenate([np.stack([parts[index] for index in range(len(parts))]), noise])
    whole, changed = trained.evidence(frames), 0
    for path in known:
        without = trained.without(path).evidence(frames)
        assert bool((whole <= without + 1e-5 * without.max()).all())
        changed += bool((whole < 0.99 * without).any())
    assert changed > 8, "an image that adds nothing would show nothing"


def test_an_image_that_it_does_not_know_leaves_it_as_it_is(trained: MemoryBankRun, tmp_path: Path) -> None:
    (tmp_path / "another.png").touch()
    split = replace(trained.split, sha256={**trained.split.sha256, str(tmp_path / "another.png"): "0" * 64})
    run = replace(trained, split=split)
    assert run.without(tmp_path / "another.png").memory is trained.memory


def test_all_images_but_those_of_reference_are_the_thresholds(trained: MemoryBankRun) -> None:
    assert [kind.weight for kind in trained.kinds] == [1.0]
    assert threshold_images(trained) == trained.split.training


def test_pooled_features_are_the_backbones_of_the_whole_frame(trained: MemoryBankRun) -> None:
    frames = np.random.default_rng(1).integers(0, 256, (3, 32, 36, 3), np.uint8)
    pixels = pixels_from_frames(torch.from_numpy(frames))
    found = trained.pooled_features(frames)
    maps = trained.features.network.maps(
        (pixels - trained.features.pixel_mean) / trained.features.pixel_std, ("group4", "group5")
    )
    parts = [part for name in ("group4", "group5") for part in (maps[name].mean((2, 3)), maps[name].std((2, 3), False))]
    torch.testing.assert_close(found, torch.cat(parts, dim=1), rtol=1e-3, atol=1e-4)
    assert trained.pooled == "efficientnet-lite0 (group4, group5)"


def test_it_says_what_it_looks_at_and_how_much_it_remembers(trained: MemoryBankRun) -> None:
    assert trained.looks_at == (
        "features of a pretrained network (efficientnet-lite0), every 8 pixels, beside a memory of 60 good ones"
    )
    assert trained.settings == {
        "backbone": "efficientnet-lite0",
        "backbone_sha256": file_sha256(backbone_path("efficientnet-lite0")),
        "stages": ["group3", "group5"],
        "bank": 60,
        "output_stride": 8,
    }

"""Filling a memory bank: the same each time, once, from images and a backbone that can be used; and leaving one out."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from runtime.errors import InputError
from runtime.scoring import Scoring
from train import memory_bank
from train.backbones import backbone_path, load_backbone
from train.backbones.features import Features, features_of
from train.data import PreparedImages, Split, file_sha256
from train.memory_bank import BACKBONE, BANK, MemoryBank, load_memory_bank, shared_out, train_memory_bank
from train.options import MemoryBankConfig

exact_distances = partial(torch.cdist, compute_mode="donot_use_mm_for_euclid_dist")


@pytest.fixture
def run(bank_run: Path, tmp_path: Path) -> Path:
    """A copy of the run folder, to be changed."""
    return Path(shutil.copytree(bank_run, tmp_path / "run"))


@pytest.fixture(scope="module")
def bank(bank_run: Path, bank_config: MemoryBankConfig) -> MemoryBank:
    return load_memory_bank(bank_run, bank_config)[1]


@pytest.fixture(scope="module")
def split(bank_run: Path) -> Split:
    return Split.load(bank_run / "split.json")


def described(paths: tuple[Path, ...], config: MemoryBankConfig) -> torch.Tensor:
    """All descriptors of images, [images, positions, D]."""
    images = PreparedImages(paths, config.frame_hw, None)
    frames = np.stack([images[index] for index in range(len(images))])
    pixels = torch.from_numpy(frames[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32) / 255)
    return features_of(config)(pixels)[0].flatten(2).transpose(1, 2)


def made(split: Split, config: MemoryBankConfig) -> MemoryBank:
    return memory_bank._made(features_of(config), split, config, None)


def test_half_of_the_bank_is_of_the_reference_and_the_other_images_fill_it(bank: MemoryBank, split: Split) -> None:
    assert (len(split.statistics), len(split.training), split.threshold) == (8, 8, ())
    assert bank.pictures == tuple(split.picture(path) for path in (*split.statistics, *split.training))
    counts = Counter(bank.owners.tolist())
    assert sum(counts[number] for number in range(8)) == 30
    assert [counts[number] for number in range(8, 16)] == [4] * 6 + [3] * 2  # 30 of 8, in the order of their hashes


@pytest.mark.parametrize(("room", "images"), [(30, 8), (4000, 105), (2000, 107), (200, 300), (3, 3), (0, 4)])
def test_images_share_out_all_of_the_room(room: int, images: int) -> None:
    found = shared_out(room, images)
    assert (len(found), sum(found)) == (images, room)
    assert found == sorted(found, reverse=True)
    assert max(found) - min(found) <= 1


def test_where_there_are_more_images_than_room_those_of_the_lowest_hashes_add_one_each(
    bank_config: MemoryBankConfig, split: Split
) -> None:
    found = made(split, replace(bank_config, coreset=10))
    assert len(found.bank) == 10
    counts = Counter(found.owners.tolist())
    assert [counts[number] for number in range(8, 16)] == [1] * 5 + [0] * 3
    assert found.pictures[13:] == tuple(split.picture(path) for path in split.training[5:])
    assert torch.equal(found.without(found.pictures[15]).bank, found.bank)


def test_each_row_is_a_descriptor_of_its_owner(bank: MemoryBank, split: Split, bank_config: MemoryBankConfig) -> None:
    found = described((*split.statistics, *split.training), bank_config)
    for row, owner in zip(bank.bank, bank.owners.tolist(), strict=True):
        distances = exact_distances(found.flatten(0, 1), row[None]).view(16, -1).amin(dim=1)
        assert int(distances.argmin()) == owner
        assert distances[owner] < 1e-4 * found.std()


def test_what_an_image_adds_is_the_farthest_from_the_reference_and_from_each_other(
    bank: MemoryBank, split: Split, bank_config: MemoryBankConfig
) -> None:
    reference, own = bank.bank[bank.owners < 8], bank.bank[bank.owners == 8]
    (found,) = described(split.training[:1], bank_config)
    known = reference
    for row in own:
        distances = exact_distances(found, known).amin(dim=1)
        assert torch.equal(row, found[int(distances.argmax())])
        known = torch.cat([known, row[None]])


def test_the_bank_without_an_image_is_the_bank_made_without_it(
    bank: MemoryBank, split: Split, bank_config: MemoryBankConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_out = split.training[3]
    fewer = replace(split, training=tuple(path for path in split.training if path != left_out))
    monkeypatch.setattr(memory_bank, "shared_out", lambda room, images: [4] * 5 + [3] * 2)  # each other as it was
    expected, found = made(fewer, bank_config), bank.without(split.picture(left_out))
    assert torch.equal(found.bank, expected.bank)
    owners = [[each.pictures[owner] for owner in each.owners.tolist()] for each in (found, expected)]
    assert owners[0] == owners[1]
    assert len(found.bank) == len(bank.bank) - 4


def test_a_picture_that_the_bank_does_not_know_takes_nothing_from_it(bank: MemoryBank) -> None:
    assert bank.without("another") is bank


def test_of_copies_of_a_picture_one_alone_is_in_the_bank(
    bank: MemoryBank, bank_config: MemoryBankConfig, tmp_path: Path
) -> None:
    shutil.copytree(bank_config.data, tmp_path / "images")
    for path in sorted((tmp_path / "images").iterdir()):
        shutil.copy(path, path.with_name(f"copy-{path.name}"))
    train_memory_bank(replace(bank_config, data=str(tmp_path / "images")), tmp_path / "run")
    found = load_memory_bank(tmp_path / "run", bank_config)[1]
    assert (found.pictures, found.owners.tolist()) == (bank.pictures, bank.owners.tolist())


def test_no_more_descriptors_of_an_image_are_candidates_than_the_limit_for_each(
    split: Split, bank_config: MemoryBankConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = PreparedImages(split.training, bank_config.frame_hw, None)
    candidates = partial(memory_bank._candidates, features_of(bank_config), images, bank_config)
    assert [len(each) for each in candidates()] == [4 * 5] * 8  # all
    monkeypatch.setattr(memory_bank, "MOST_CANDIDATES", 9)
    assert [len(each) for each in candidates()] == [9] * 8
    monkeypatch.setattr(memory_bank, "FEWEST_CANDIDATES", 3)
    monkeypatch.setattr(memory_bank, "CANDIDATES", 8 * 5)
    assert [len(each) for each in candidates()] == [5] * 8
    monkeypatch.setattr(memory_bank, "CANDIDATES", 8)
    assert [len(each) for each in candidates()] == [3] * 8


def test_the_seed_decides_and_nothing_else(bank_config: MemoryBankConfig, bank_run: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        train_memory_bank(replace(bank_config, seed=seed), tmp_path / str(seed))
    kept = [(each / BANK).read_bytes() for each in (bank_run, tmp_path / "0", tmp_path / "1")]
    assert kept[0] == kept[1] != kept[2]


def test_a_bank_with_room_for_all_descriptors_holds_them_all(
    bank_config: MemoryBankConfig, split: Split, tmp_path: Path
) -> None:
    train_memory_bank(replace(bank_config, coreset=640), tmp_path)
    found = load_memory_bank(tmp_path, bank_config)[1].bank
    assert len(found) == 16 * 20
    everything = described((*split.statistics, *split.training), bank_config).flatten(0, 1)
    assert exact_distances(everything, found).amin(dim=1).max() < 1e-4 * everything.std()


def test_a_finished_run_has_nothing_to_do_and_one_that_was_killed_goes_on(
    bank_config: MemoryBankConfig, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    train_memory_bank(bank_config, run)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    assert capsys.readouterr().out == ""
    (run / BANK).unlink()
    with pytest.raises(InputError, match="run is not trained to the end; go on with python -m train --method memory-b"):
        load_memory_bank(run, bank_config)
    train_memory_bank(bank_config, run)
    assert (run / BANK).read_bytes() == before[BANK]
    assert "memory bank of 60 descriptors, of 16 images" in capsys.readouterr().out
    assert json.loads((run / "log.jsonl").read_text().splitlines()[-1]) == {"images": 16, "bank": 60}


def test_a_run_needs_the_file_of_its_backbone_no_more_once_it_has_begun(
    bank_config: MemoryBankConfig, tmp_path: Path
) -> None:
    own, run = tmp_path / "mine.safetensors", tmp_path / "run"
    shutil.copy(backbone_path("efficientnet-lite0"), own)
    config = replace(bank_config, backbone=str(own))
    train_memory_bank(config, run)
    bank = (run / BANK).read_bytes()
    own.unlink()
    train_memory_bank(config, run)
    (run / BANK).unlink()
    train_memory_bank(config, run)
    assert (run / BANK).read_bytes() == bank


def test_a_run_whose_shape_was_left_to_the_parts_goes_on_in_that_shape(
    bank_config: MemoryBankConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = replace(bank_config, size_hw=None, side=48, scoring=Scoring(smoothing=4.0, by_position=True))
    train_memory_bank(config, tmp_path / "run")
    assert "frames of 48×48 pixels (width × height), in the shape of the images" in capsys.readouterr().out
    before = (tmp_path / "run" / BANK).read_bytes()
    (tmp_path / "run" / BANK).unlink()
    train_memory_bank(config, tmp_path / "run")
    assert "frames of" not in capsys.readouterr().out
    assert (tmp_path / "run" / BANK).read_bytes() == before
    with pytest.raises(InputError, match="holds a run with side = 48, this one has 64; use the same options to go on"):
        train_memory_bank(replace(config, side=64), tmp_path / "run")


def test_the_run_keeps_the_backbone_and_knows_its_file(bank_run: Path, bank_config: MemoryBankConfig) -> None:
    shipped = backbone_path("efficientnet-lite0")
    assert (bank_run / BACKBONE).read_bytes() == shipped.read_bytes()
    features = load_memory_bank(bank_run, replace(bank_config, backbone="no longer there"))[0]
    assert (features.name, features.sha256) == ("efficientnet-lite0", file_sha256(shipped))


def test_stages_are_those_of_the_options_and_else_the_backbones_usual_ones(bank_config: MemoryBankConfig) -> None:
    def names(config: MemoryBankConfig) -> tuple[list[str], list[str]]:
        found = features_of(config)
        return [stage.name for stage in found.compared], [stage.name for stage in found.pooled]

    usual = load_backbone("efficientnet-lite0").architecture
    assert names(bank_config) == ([*usual.compared], [*usual.pooled])
    assert names(replace(bank_config, stages=("group5",), image_evidence=False)) == (["group5"], [])


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        (("layer2",), "stage 'layer2' is none of efficientnet-lite0's: "),
        (("group5", "group9"), "stage 'group9' is none of efficientnet-lite0's: "),
        (("",), "stage '' is none of efficientnet-lite0's: "),
    ],
)
def test_a_stage_that_the_backbone_does_not_have_is_refused_before_a_folder_is_made(
    bank_config: MemoryBankConfig, tmp_path: Path, stages: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        train_memory_bank(replace(bank_config, stages=stages), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_features_that_compare_nothing_are_refused() -> None:
    with pytest.raises(InputError, match="no stage is compared; name one or more"):
        Features(load_backbone("efficientnet-lite0"), (), ("group5",))


def cut(run: Path) -> None:
    (run / BANK).write_bytes((run / BANK).read_bytes()[:-100])


def rewritten(
    bank: Callable[[torch.Tensor], torch.Tensor] = lambda bank: bank,
    owners: Callable[[torch.Tensor], torch.Tensor] = lambda owners: owners,
    name: str = "bank",
    pictures: Callable[[str], str] = lambda pictures: pictures,
) -> Callable[[Path], None]:
    def damage(run: Path) -> None:
        with safe_open(run / BANK, "pt") as file:
            known = file.metadata()["pictures"]
        found = load_file(run / BANK)
        tensors = {name: bank(found["bank"]).contiguous(), "owners": owners(found["owners"])}
        save_file(tensors, run / BANK, {"pictures": pictures(known)})

    return damage


def whole(run: Path) -> None:
    rewritten()(run)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut, r"memory-bank\.safetensors is damaged, or of another backbone; delete it, and train again"),
        (rewritten(bank=lambda bank: bank * torch.nan), r"memory-bank\.safetensors is damaged"),
        (rewritten(bank=lambda bank: bank[:0], owners=lambda owners: owners[:0]), r"bank\.safetensors is damaged"),
        (rewritten(bank=lambda bank: bank[:, :64]), r"memory-bank\.safetensors is damaged"),
        (rewritten(bank=lambda bank: bank[0]), r"memory-bank\.safetensors is damaged"),
        (rewritten(owners=lambda owners: owners[:-1]), r"memory-bank\.safetensors is damaged"),
        (rewritten(owners=lambda owners: owners + 1), r"memory-bank\.safetensors is damaged"),
        (rewritten(owners=lambda owners: -owners - 1), r"memory-bank\.safetensors is damaged"),
        (rewritten(name="other"), r"memory-bank\.safetensors is damaged"),
        (rewritten(pictures=lambda _: "{"), r"memory-bank\.safetensors is damaged"),
        (rewritten(pictures=lambda _: "3"), r"memory-bank\.safetensors is damaged"),
        (rewritten(pictures=lambda _: "[]"), r"memory-bank\.safetensors is damaged"),
        (lambda run: (run / BACKBONE).unlink(), r"backbone '\S*backbone\.safetensors' is neither a shipped one"),
        (lambda run: (run / BACKBONE).write_bytes(b"junk"), r"backbone\.safetensors is not a safetensors file or is"),
        (lambda run: shutil.copy(backbone_path("efficientnet-lite2"), run / BACKBONE), "damaged, or of another back"),
    ],
)
def test_a_run_that_is_damaged_is_refused(
    run: Path, bank_config: MemoryBankConfig, damage: Callable[[Path], None], message: str
) -> None:
    whole(run)
    load_memory_bank(run, bank_config)
    damage(run)
    with pytest.raises(InputError, match=message):
        load_memory_bank(run, bank_config)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"coreset": 1}, "coreset is 1; expected 2 or more"),
        ({"projected": 0}, "projected is 0; expected 1 or more"),
        ({"seed": -1}, "seed is -1; expected 0 or more"),
        ({"size_hw": (31, 64)}, "size_hw is 31,64; expected 32 pixels or more each way"),
        ({"size_hw": (-1, 64)}, "size_hw is -1,64; expected 32 pixels or more each way"),
        ({"side": 31}, "side is 31; expected 32 to 8,192 pixels"),
        ({"side": 8193}, "side is 8193; expected 32 to 8,192 pixels"),
        ({"scoring": Scoring(smoothing=11.0, by_position=True)}, "smoothing is 11; expected 0 to 10 for frames of 32×"),
        ({"scoring": Scoring(score_pixels=0, by_position=True)}, "score_pixels is 0; expected 1 to 1152"),
        ({"scoring": Scoring()}, "image_evidence is of scores by position; give by_position yes, or image_evidence no"),
        (
            {"size_hw": None, "scoring": Scoring((1, 1, 9, 9), by_position=True)},
            "a region_of_interest is in pixels of the prepared frame; give its size_hw, too",
        ),
    ],
)
def test_an_option_that_cannot_be_used_is_refused(
    bank_config: MemoryBankConfig, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        replace(bank_config, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": ""}, "no images were given; name their folder with --data"),
        ({"data": "", "size_hw": None}, "no images were given; name their folder with --data"),
        ({"data": "nowhere"}, "nowhere is not a folder"),
        ({"data": "nowhere", "size_hw": None}, "nowhere is not a folder"),
        ({"backbone": "p99"}, "backbone 'p99' is neither a shipped one"),
        ({"reference": 1.5}, "reference is 1.5; expected a share between 0 and 1, such as 0.5"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_before_a_folder_is_made(
    bank_config: MemoryBankConfig, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        train_memory_bank(replace(bank_config, **options), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_with_its_own_options_and_images_only(
    bank_config: MemoryBankConfig, calibrated_run: Path, run: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="holds a run with coreset = 60, this one has 61; use the same options"):
        train_memory_bank(replace(bank_config, coreset=61), run)
    with pytest.raises(InputError, match=r"holds a run with smoothing = 4\.0, this one has 0\.0"):
        train_memory_bank(replace(bank_config, scoring=Scoring(by_position=True)), run)
    before = sorted(path.name for path in calibrated_run.iterdir())
    for size_hw in ((32, 36), None):
        with pytest.raises(InputError, match="run holds a run with method = students, this one has memory-bank; use"):
            train_memory_bank(replace(bank_config, size_hw=size_hw), calibrated_run)
    assert sorted(path.name for path in calibrated_run.iterdir()) == before
    images = Path(shutil.copytree(bank_config.data, tmp_path / "images"))
    with pytest.raises(InputError, match="holds a run with data = "):
        train_memory_bank(replace(bank_config, data=str(images)), run)

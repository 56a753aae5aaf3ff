"""Filling a memory bank: the same each time, once, from images and a teacher that can be used."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from runtime.errors import InputError
from runtime.scoring import Scoring
from train.data import PreparedImages, Split, file_sha256
from train.dense import dense_descriptors
from train.ensemble import teacher_path
from train.files import load_network
from train.memory_bank import BANK, TEACHER, MemoryBankConfig, load_memory_bank, train_memory_bank


@pytest.fixture
def run(bank_run: Path, tmp_path: Path) -> Path:
    """A copy of the run folder, to be changed."""
    return Path(shutil.copytree(bank_run, tmp_path / "run"))


def all_descriptors(run: Path, teacher: Path) -> torch.Tensor:
    """Those of every fourth position of the images trained on, [n, 128], in the order of images, rows and columns."""
    images = PreparedImages(Split.load(run / "split.json").training, (32, 36))
    frames = np.stack([images[index] for index in range(len(images))])
    pixels = torch.from_numpy(frames[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32) / 255)
    with torch.no_grad():
        found = dense_descriptors(load_network(teacher)[0], pixels, 4, "atrous")
    return found.permute(0, 2, 3, 1).flatten(0, 2)


def test_the_bank_holds_descriptors_of_the_training_images_far_from_each_other(
    bank_run: Path, teacher_files: dict[int, Path]
) -> None:
    described, bank = all_descriptors(bank_run, teacher_files[33]), load_memory_bank(bank_run).bank
    assert (len(described), bank.shape) == (10 * 8 * 9, (60, 128))
    distances = torch.cdist(bank, described, compute_mode="donot_use_mm_for_euclid_dist")
    assert distances.amin(dim=1).max() < 1e-4 * described.std()  # each is one of them
    among = torch.cdist(bank, bank, compute_mode="donot_use_mm_for_euclid_dist").fill_diagonal_(torch.inf)
    some = described[torch.randperm(len(described), generator=torch.Generator().manual_seed(0))[:60]]
    random = torch.cdist(some, some, compute_mode="donot_use_mm_for_euclid_dist").fill_diagonal_(torch.inf)
    assert among.amin() > random.amin(dim=1).median()  # greedy: the nearest two are as far as two of a sample


def test_the_seed_decides_and_nothing_else(bank_config: MemoryBankConfig, bank_run: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        train_memory_bank(replace(bank_config, seed=seed), tmp_path / str(seed))
    kept = [(each / BANK).read_bytes() for each in (bank_run, tmp_path / "0", tmp_path / "1")]
    assert kept[0] == kept[1] != kept[2]


def test_a_bank_with_room_for_all_descriptors_holds_them_all(
    bank_config: MemoryBankConfig, teacher_files: dict[int, Path], tmp_path: Path
) -> None:
    train_memory_bank(replace(bank_config, coreset=720), tmp_path)
    torch.testing.assert_close(load_memory_bank(tmp_path).bank, all_descriptors(tmp_path, teacher_files[33]))


def test_a_finished_run_has_nothing_to_do_and_one_that_was_killed_goes_on(
    bank_config: MemoryBankConfig, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    train_memory_bank(bank_config, run)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    assert capsys.readouterr().out == ""
    (run / BANK).unlink()
    with pytest.raises(InputError, match="run is not trained to the end; go on with python -m train --method memory-b"):
        load_memory_bank(run)
    train_memory_bank(bank_config, run)
    assert (run / BANK).read_bytes() == before[BANK]
    assert "memory bank of 60 of 720 descriptors, of 10 images" in capsys.readouterr().out
    assert json.loads((run / "log.jsonl").read_text().splitlines()[-1]) == {
        "images": 10,
        "descriptors": 720,
        "bank": 60,
    }


def test_the_run_knows_the_file_of_its_teacher(bank_run: Path, teacher_files: dict[int, Path]) -> None:
    memory = load_memory_bank(bank_run)
    assert memory.teacher_sha256 == file_sha256(teacher_files[33])
    expected = load_network(teacher_files[33])[0].state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in memory.network.state_dict().items())


def shipped_teacher(run: Path) -> None:
    shutil.copy(teacher_path("p33-quarter"), run / TEACHER)


def cut(run: Path) -> None:
    (run / BANK).write_bytes((run / BANK).read_bytes()[:-100])


def rewritten(change: Callable[[torch.Tensor], torch.Tensor], name: str = "bank") -> Callable[[Path], None]:
    return lambda run: save_file({name: change(load_file(run / BANK)["bank"])}, run / BANK)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut, r"memory-bank\.safetensors is damaged, or of another teacher; delete it, and train again"),
        (rewritten(lambda bank: bank * torch.nan), r"memory-bank\.safetensors is damaged"),
        (rewritten(lambda bank: bank[:0]), r"memory-bank\.safetensors is damaged"),
        (
            rewritten(lambda bank: bank[:, :64].contiguous()),
            r"memory-bank\.safetensors is damaged, or of another",
        ),
        (rewritten(lambda bank: bank.flatten()), r"memory-bank\.safetensors is damaged"),
        (rewritten(lambda bank: bank, "other"), r"memory-bank\.safetensors is damaged"),
        (lambda run: (run / TEACHER).unlink(), r"teacher\.safetensors is not a file; check the path"),
        (lambda run: (run / TEACHER).write_bytes(b"junk"), r"teacher\.safetensors is not a safetensors file or is dam"),
        (shipped_teacher, r"teacher\.safetensors is not the one that this run wrote; train again in a new run folder"),
    ],
    ids=["cut", "nan", "empty", "narrow", "flat", "renamed", "no teacher", "junk", "shipped teacher"],
)
def test_a_damaged_run_is_refused_with_the_way_out(run: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(run)
    with pytest.raises(InputError, match=message):
        load_memory_bank(run)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"coreset": 1}, "coreset is 1; expected 2 or more"),
        ({"projected": 0}, "projected is 0; expected 1 or more"),
        ({"seed": -1}, "seed is -1; expected 0 or more"),
        ({"size_hw": (31, 64)}, "size_hw is 31,64; expected 32 pixels or more each way"),
        ({"size_hw": (-1, 64)}, "size_hw is -1,64; expected 32 pixels or more each way"),
        ({"scoring": Scoring(smoothing=11.0)}, "smoothing is 11; expected 0 to 10 for frames of 32×36"),
        ({"scoring": Scoring(score_pixels=0)}, "score_pixels is 0; expected 1 to 1152"),
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
        ({"data": "nowhere"}, "nowhere is not a folder"),
        ({"teacher": "p99"}, "teacher 'p99' is neither a shipped one"),
        ({"holdout": 1.5}, "holdout is 1.5; expected a share between 0 and 1"),
        (
            {"size_hw": (33, 40), "teacher": "p65-half", "output_stride": 8},
            "an image of 33×40 pixels is too small to reflect; use 34 or more",
        ),
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
        train_memory_bank(replace(bank_config, scoring=Scoring()), run)
    before = sorted(path.name for path in calibrated_run.iterdir())
    with pytest.raises(InputError, match="run holds a run with method = students, this one has memory-bank; use the"):
        train_memory_bank(bank_config, calibrated_run)
    assert sorted(path.name for path in calibrated_run.iterdir()) == before
    images = Path(shutil.copytree(bank_config.data, tmp_path / "images"))
    with pytest.raises(InputError, match="holds a run with data = "):
        train_memory_bank(replace(bank_config, data=str(images)), run)

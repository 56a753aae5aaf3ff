"""Model cards: the file's own words, a command that trains the same again, and refusals."""

import argparse
import shlex
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from runtime.errors import InputError
from train.card import command, facts, model_card
from train.config import add_options, resolve
from train.files import save_network
from train.networks import PatchNetwork
from train.options import TeacherConfig

DISTILLED = TeacherConfig(patch_size=65, descriptor="resnet18-layer23", iterations=1500, zoom_cap=2.0, device="cuda")
DENSE = TeacherConfig(dense=128, start="p33", descriptor="efficientnet-lite2", iterations=2000, batch_size=9)
TRIPLETS = TeacherConfig(
    descriptor="none", distillation=0.0, triplet=1.0, schedule="cosine", data_note="600 CC0 'photographs'", half=False
)


def teacher_file(folder: Path, config: TeacherConfig, **measured: object) -> Path:
    options = {k: v for k, v in asdict(config).items() if k not in ("data", "descriptor_weights")}
    path = folder / f"teacher-p{config.patch_size}.safetensors"
    said = {"options": options, "photographs": 600, "photographs_sha256": "ab" * 32, **measured}
    save_network(path, PatchNetwork(config.patch_size, config.width), said)
    return path


@pytest.mark.parametrize("config", [DISTILLED, DENSE, TRIPLETS], ids=["distilled", "dense", "self-supervised"])
def test_the_command_trains_with_the_options_of_the_file(config: TeacherConfig, tmp_path: Path) -> None:
    words = shlex.split(command(teacher_file(tmp_path, config)).replace("\\\n", ""))
    assert words[:3] == ["python", "-m", "train.teacher"]
    parser = argparse.ArgumentParser()
    add_options(parser, TeacherConfig)
    parser.add_argument("--out")
    found = resolve(TeacherConfig, parser.parse_args(words[3:]))
    weights = "RESNET18" if config.distillation and config.dense is None else None
    assert found == replace(config, data="PHOTOGRAPHS", descriptor_weights=weights)


def test_a_distilled_teachers_table_says_what_it_was_distilled_from(tmp_path: Path) -> None:
    table = facts(teacher_file(tmp_path, DISTILLED, held_out_error=0.25))
    assert "| receptive field | 60×60 pixels (p = 65) |" in table
    assert "| channels | 128, 128, 256, 256, 128 (1 of the paper's in the hidden layers) |" in table
    assert "| photographs | 600, of them 30 held out; hash of their hashes `abababababababab…` |" in table
    assert "layer2 and layer3 pooled to 384-d, patches enlarged to 96 pixels, standardized |" in table
    assert "| losses | λk = 1, λm = 0, λc = 1 (squared compactness) |" in table
    assert "| held-out error | 0.2500 of the variance" in table
    assert "triplets" not in table


def test_a_teachers_table_says_that_it_learnt_maps_and_what_it_began_with(tmp_path: Path) -> None:
    table = facts(teacher_file(tmp_path, DENSE, start_sha256="cd" * 32))
    assert f"| begun with | `p33`, SHA-256 `{'cd' * 32}` |" in table
    network = "EfficientNet-Lite2, maps of group3 and group5 (168-d) of views of 128×128 pixels, standardized"
    assert f"| descriptor network P | {network} |" in table
    assert "| training | 2,000 steps of 9 views, Adam" in table


def test_a_self_supervised_teachers_table_has_its_triplets_and_its_note(tmp_path: Path) -> None:
    measured = {"held_out_error": None, "held_out_triplet_loss": 12.5, "held_out_triplets_confused": 0.0625}
    table = facts(teacher_file(tmp_path, TRIPLETS, **measured))
    assert "| photographs | 600 CC0 'photographs': 600, of them" in table
    assert "| descriptor network P | none: self-supervised |" in table
    assert "λk = 0, λm = 1, λc = 1, δ = 128 (squared compactness)" in table
    assert "falling to 0 along half a cosine" in table
    assert "| held-out triplets | 0.0625 of them confused, loss 12.5 (unweighted) |" in table
    assert "held-out error" not in table


def test_a_teacher_trained_before_triplets_were_held_out_has_a_card_too(tmp_path: Path) -> None:
    assert "held-out" not in facts(teacher_file(tmp_path, TRIPLETS, held_out_error=None))


def test_the_whole_card_says_whether_the_data_clear_commercial_use(tmp_path: Path) -> None:
    path = teacher_file(tmp_path, TRIPLETS)
    card = model_card(path, "clothing", "CC0", True)
    assert card.startswith("# Teacher p33\n")
    assert facts(path) in card
    assert "**Photographs.** clothing\n\n**Licence of the data.** CC0\n\n**Cleared for commercial use: yes.**" in card
    assert "**Cleared for commercial use: no.**" in model_card(path, "", "", False)


def test_a_file_that_does_not_say_how_it_was_trained_is_refused(teacher_files: dict[int, Path]) -> None:
    with pytest.raises(InputError, match=r"does not say how it was trained; a card needs a file that train\.teacher"):
        facts(teacher_files[17])

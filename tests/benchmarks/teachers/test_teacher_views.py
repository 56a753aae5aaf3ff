"""Maps measured where the answer is known: a teacher that is P, and the views that a training measures its error on."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.teachers.views import SIDES, ZOOM_CAP, Views, gather_views
from train.dense_distillation import DenseTeacher
from train.networks import PatchNetwork
from train.options import TeacherConfig
from train.photographs import PhotographSplit, read_photographs
from train.run_folder import RunFolder
from train.teacher_training import _Training

CONFIG = TeacherConfig(patch_size=17, device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def split(photographs: Path) -> PhotographSplit:
    return read_photographs(replace(CONFIG, data=str(photographs)), torch.device("cpu"))


def test_a_map_that_is_a_linear_function_of_the_teachers_is_explained(split: PhotographSplit) -> None:
    views = gather_views(split, CONFIG, "resnet18-layer23", 6, 4)
    torch.manual_seed(0)
    teacher = PatchNetwork(17, 0.25)
    measured = views.measure(teacher)
    mixing = torch.randn(128, 7, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        seen, unseen = (
            DenseTeacher(teacher, views.grid)(each) @ mixing + 1 for each in (views.training, views.held_out)
        )
    of_itself = Views(views.grid, views.training, seen, views.held_out, unseen).measure(teacher)
    assert of_itself.explained_variance == pytest.approx(1, abs=1e-3)
    assert measured.explained_variance < 0.99
    assert of_itself.effective_rank == measured.effective_rank


def test_the_held_out_views_are_those_of_a_training(
    split: PhotographSplit, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.teacher_training.HELD_OUT_VIEWS", 3)
    monkeypatch.setattr("train.teacher_training.STANDARDIZATION_VIEWS", 3)
    config = replace(CONFIG, data=str(photographs), width=0.25, descriptor="resnet18-layer23")
    config = replace(config, dense=SIDES[17], zoom_cap=ZOOM_CAP)
    training = _Training(config, RunFolder(tmp_path / "run"))
    views = gather_views(split, CONFIG, "resnet18-layer23", 3, 3)
    assert torch.equal(views.held_out, training.held_out_patches)
    torch.testing.assert_close(views.held_out_target, training.held_out_target)

"""Students of a backbone: what they learn from, how their training goes on, and what is refused."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from calibration.calibrated import threshold_images
from calibration.methods import open_run
from calibration.methods.students import predictive_variance, regression_error
from runtime.errors import InputError
from runtime.images import list_images
from train import teachers_maps
from train.backbone_ensemble import STUDENTS, Trained, load_trained
from train.backbone_students import hardest, train_backbone_students
from train.files import read_with_card, write_with_card
from train.options import BackboneStudentsConfig
from train.run_folder import RunFolder
from train.whitening import mapped

Options = dict[str, object]


def trained(config: BackboneStudentsConfig, run: Path) -> Trained:
    assert train_backbone_students(config, run)
    return load_trained(run, RunFolder(run).config(BackboneStudentsConfig))[1]


def weights(found: Trained) -> list[torch.Tensor]:
    return [tensor for student in found.students for tensor in student.state_dict().values()]


def same(one: Trained, other: Trained) -> bool:
    pairs = zip(weights(one), weights(other), strict=True)
    return all(torch.equal(a, b) for a, b in pairs) and torch.equal(one.whitening, other.whitening)


def test_hardest_is_the_mean_of_the_largest_share() -> None:
    errors = torch.tensor([[4.0, 1.0], [2.0, 9.0]])
    assert float(hardest(errors, 0.5)) == 6.5
    assert float(hardest(errors, 1.0)) == 4.0
    assert float(hardest(errors, 0.01)) == 9.0


def test_the_teacher_is_standardized_over_the_images_trained_on(backbone_students_run: Path) -> None:
    run: Any = open_run(backbone_students_run, "cpu")
    maps = [run.features(run.pixels_of(prepared(run, path), run.device))[0] for path in run.split.training]
    values = torch.cat([run.trained.standard(found) for found in maps]).permute(1, 0, 2, 3).flatten(1)
    torch.testing.assert_close(values.mean(dim=1), torch.zeros(len(values)), atol=1e-4, rtol=0)
    torch.testing.assert_close(values.std(dim=1, correction=0), torch.ones(len(values)), atol=1e-3, rtol=0)


def prepared(run: Any, path: Path) -> np.ndarray[Any, Any]:
    from runtime.images import read_image
    from runtime.preparation import scaled

    return scaled(read_image(path), run.size_hw)[None]


def test_evidence_is_equations_8_to_10_of_whitened_descriptors(backbone_students_run: Path) -> None:
    run: Any = open_run(backbone_students_run, "cpu")
    frames = prepared(run, run.split.statistics[0])
    pixels = run.pixels_of(frames, run.device)
    target = run.trained.standard(run.features(pixels)[0])
    students = torch.stack([student(run.features.normalized(pixels)) for student in run.trained.students])
    white = torch.stack([mapped(each, run.trained.whitening) for each in students])
    found = run.evidence(frames)
    torch.testing.assert_close(found[:, 0], regression_error(white, mapped(target, run.trained.whitening)))
    torch.testing.assert_close(found[:, 1], predictive_variance(white))


def test_without_whitening_errors_are_the_papers(
    backbone_students_config: BackboneStudentsConfig, tmp_path: Path
) -> None:
    found = trained(replace(backbone_students_config, whitened=False, steps=1), tmp_path / "run")
    assert torch.equal(found.whitening, torch.eye(len(found.whitening)))


@pytest.mark.parametrize("whitened", [True, False])
def test_images_that_errors_were_whitened_on_have_no_part_in_the_threshold(
    backbone_students_config: BackboneStudentsConfig, tmp_path: Path, whitened: bool
) -> None:
    """Even where one kind of evidence is not by position, so that its mean and deviation move no part over it."""
    config = replace(backbone_students_config, students=1, steps=1, whitened=whitened, image_evidence=False)
    train_backbone_students(replace(config, scoring=replace(config.scoring, by_position=False)), tmp_path / "run")
    run = open_run(tmp_path / "run", "cpu")
    shown = run.split.threshold if whitened else (*run.split.threshold, *run.split.statistics)
    assert threshold_images(run) == shown


@pytest.mark.parametrize("form", ["pixels", "autoencoder"])
def test_students_learn(backbone_students_config: BackboneStudentsConfig, tmp_path: Path, form: str) -> None:
    config = replace(backbone_students_config, student=form, students=1, steps=60, learning_rate=5e-3)
    loss = trained(config, tmp_path / "run").loss
    assert loss is not None
    assert loss < 0.8  # 1 is the mean's


def test_a_run_that_was_stopped_goes_on_to_the_same_students(
    backbone_students_config: BackboneStudentsConfig, tmp_path: Path, one_thread: None
) -> None:
    config = replace(backbone_students_config, hardest=0.3)
    whole = trained(config, tmp_path / "whole")
    assert not train_backbone_students(config, tmp_path / "run", stop_after=3)
    with pytest.raises(InputError, match="run is not trained to the end; go on with the command that began it"):
        load_trained(tmp_path / "run", config)
    assert same(trained(config, tmp_path / "run"), whole)
    assert not (tmp_path / "run" / "checkpoint.safetensors").exists()


def test_a_run_that_was_killed_while_errors_were_whitened_knows_its_last_loss(
    backbone_students_config: BackboneStudentsConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    whole, run = trained(backbone_students_config, tmp_path / "whole"), tmp_path / "run"
    assert whole.loss is not None

    def killed(sets: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("train.backbone_students.fit_whitening", killed)
        with pytest.raises(KeyboardInterrupt):
            train_backbone_students(backbone_students_config, run)
    checkpoint = run / "checkpoint.safetensors"
    tensors, progress = read_with_card(checkpoint)
    assert trained(backbone_students_config, run).loss == whole.loss
    (run / STUDENTS).unlink()
    write_with_card(checkpoint, tensors, {"step": progress["step"]})  # of a run from before losses were kept
    assert trained(backbone_students_config, run).loss is None


def test_maps_beyond_memory_are_computed_again_to_the_same_students(
    backbone_students_config: BackboneStudentsConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    kept = trained(backbone_students_config, tmp_path / "kept")
    monkeypatch.setattr(teachers_maps, "CACHE_BYTES", 0)
    assert same(trained(backbone_students_config, tmp_path / "again"), kept)


def test_students_are_quiet_about_photographs_that_they_were_punished_for(
    backbone_students_config: BackboneStudentsConfig, part_images: Path, tmp_path: Path
) -> None:
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    for number, path in enumerate(list_images(part_images)[:3]):
        shutil.copy(path, photographs / f"{number}{path.suffix}")
    config = replace(backbone_students_config, students=1, steps=40, learning_rate=5e-3, whitened=False)
    loud = trained(config, tmp_path / "without")
    punished = replace(config, photographs=str(photographs), penalty=20.0)
    quiet = trained(punished, tmp_path / "with")
    run: Any = open_run(tmp_path / "with", "cpu")
    pixels = run.features.normalized(run.pixels_of(prepared(run, next(photographs.iterdir())), run.device))
    says = [float(found.students[0](pixels).square().mean()) for found in (loud, quiet)]
    assert says[1] < 0.5 * says[0]


@pytest.fixture
def with_photographs(
    backbone_students_config: BackboneStudentsConfig, part_images: Path, tmp_path: Path
) -> BackboneStudentsConfig:
    """Two photographs, in the folder ``photographs``."""
    (tmp_path / "photographs").mkdir()
    for path in list_images(part_images)[:2]:
        shutil.copy(path, tmp_path / "photographs")
    return replace(backbone_students_config, photographs=str(tmp_path / "photographs"))


def test_a_photograph_that_cannot_be_read_is_named_before_anything_is_written(
    with_photographs: BackboneStudentsConfig, tmp_path: Path
) -> None:
    (tmp_path / "photographs" / "zz.jpg").write_bytes(b"\xff\xd8\xff\xe0broken")
    with pytest.raises(InputError, match=r"zz\.jpg is "):
        train_backbone_students(with_photographs, tmp_path / "run")
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_a_run_goes_on_with_its_own_photographs_only_and_once_finished_needs_none(
    with_photographs: BackboneStudentsConfig, part_images: Path, tmp_path: Path
) -> None:
    run, other = tmp_path / "run", tmp_path / "photographs" / "other.png"
    assert not train_backbone_students(with_photographs, run, stop_after=1)
    shutil.copy(list_images(part_images)[5], other)
    with pytest.raises(InputError, match=r"run was begun on other photographs than \S+photographs holds; restore them"):
        train_backbone_students(with_photographs, run)
    other.unlink()
    assert train_backbone_students(with_photographs, run)
    shutil.rmtree(tmp_path / "photographs")
    assert train_backbone_students(with_photographs, run)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stages": ("group1",)}, "a descriptor every 2 pixels; students that read pixels follow 4, 8, 16"),
        ({"stages": ("group9",)}, "stage 'group9' is none of efficientnet-lite0's: group1"),
        ({"backbone": "nonsense"}, "nonsense"),
        ({"photographs": "nowhere"}, "nowhere"),
        ({"photographs": "nowhere", "student": "autoencoder"}, "photographs are for students that read pixels; leave"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(
    backbone_students_config: BackboneStudentsConfig, tmp_path: Path, options: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        train_backbone_students(replace(backbone_students_config, **options), tmp_path / "run")
    assert not (tmp_path / "run" / "config.yaml").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"students": 0}, "students is 0; expected 1 or more"),
        ({"width": 0}, "width is 0; expected 1 or more"),
        ({"hardest": 0.0}, r"hardest is 0\.0; expected a number above 0"),
        ({"hardest": 1.5}, r"hardest is 1\.5; expected 1 or less"),
        ({"penalty": -1.0}, r"penalty is -1\.0; expected 0 or more"),
    ],
)
def test_options_out_of_range_are_refused(options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        BackboneStudentsConfig(**options)


def rewritten(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        tensors, card = read_with_card(path)
        change(tensors)
        write_with_card(path, tensors, card)

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        rewritten(lambda tensors: tensors.pop("whitening")),
        rewritten(lambda tensors: tensors["mean"].fill_(torch.nan)),
        rewritten(lambda tensors: tensors.pop("student1.head.bias")),
        rewritten(lambda tensors: tensors.update(whitening=torch.eye(3))),
        lambda path: path.write_bytes(path.read_bytes()[:500]),
    ],
)
def test_a_damaged_file_of_students_is_refused(
    backbone_students_run: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    run = Path(shutil.copytree(backbone_students_run, tmp_path / "run"))
    damage(run / STUDENTS)
    with pytest.raises(InputError, match=r"students\.safetensors is .*damaged"):
        open_run(run, "cpu")


def test_students_that_predict_the_mean_are_a_concern(backbone_students_run: Path) -> None:
    run: Any = open_run(backbone_students_run, "cpu")
    assert "hardly better than the mean" in " ".join(replace(run, trained=replace(run.trained, loss=0.99)).concerns)
    assert replace(run, trained=replace(run.trained, loss=0.5)).concerns == ()

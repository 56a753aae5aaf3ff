"""Training students: the same result in one go, in pieces and after a kill; fair draws; equation 7's statistics."""

import json
import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from calibration.calibrate import calibrate
from calibration.methods import open_run
from export.detector import ExportOptions, export
from runtime.errors import InputError
from runtime.images import read_image
from runtime.preparation import scaled
from runtime.scoring import Scoring
from runtime.typed import as_text
from train.config import as_mapping, as_yaml, configured, read_yaml
from train.data import Split
from train.dense import dense_descriptors
from train.ensemble import load_scales, shipped_teachers, student_path, teacher_path
from train.files import load_network, save_network
from train.networks import PatchNetwork
from train.options import StudentsConfig
from train.student_training import _ScaleTraining, train_students
from train.trainings import DEVIATION_FLOOR, images_of_step


def weights(run: Path) -> dict[str, torch.Tensor]:
    """All tensors of a run's networks, by file and name."""
    return {
        f"{path.name}: {name}": tensor
        for path in sorted(run.glob("[st]*-p*.safetensors"))
        for name, tensor in load_network(path)[0].state_dict().items()
    }


def assert_equal_runs(a: Path, b: Path) -> None:
    first, second = weights(a), weights(b)
    assert list(first) == list(second)
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def narrow_teacher(folder: Path, patch_size: int, width: float) -> str:
    """The path of one with random weights, a share of the paper's channels wide."""
    path = folder / f"teacher-{patch_size}.safetensors"
    save_network(path, PatchNetwork(patch_size, width), {})
    return str(path)


@pytest.fixture
def narrow_config(tiny_config: StudentsConfig, tmp_path_factory: pytest.TempPathFactory) -> StudentsConfig:
    """`tiny_config` with narrow networks."""
    return replace(tiny_config, teachers=(narrow_teacher(tmp_path_factory.mktemp("teacher"), 33, 0.25),))


def test_pieces_give_what_one_go_gives_bit_for_bit(narrow_config: StudentsConfig, tmp_path: Path) -> None:
    teachers = (narrow_teacher(tmp_path, 65, 0.25), narrow_teacher(tmp_path, 33, 0.25))
    both = replace(narrow_config, teachers=teachers, checkpoint_every=2)
    assert train_students(both, tmp_path / "whole")
    calls = [train_students(both, tmp_path / "pieces", stop_after=steps) for steps in (1, 2, 1)]  # across the scales
    assert calls == [False, False, True]
    assert_equal_runs(tmp_path / "whole", tmp_path / "pieces")
    assert not list((tmp_path / "whole").glob("checkpoint*"))
    cards = {p: load_network(tmp_path / "whole" / f"teacher-p{p}.safetensors")[1]["scale"] for p in (33, 65)}
    assert cards == {33: 1, 65: 0}  # in the order given
    assert train_students(both, tmp_path / "whole")  # a finished run has nothing to do


@pytest.mark.parametrize(("teacher", "asked", "found"), [(0.25, None, 0.25), (0.5, 0.25, 0.25), (0.25, 0.5, 0.5)])
def test_students_are_as_wide_as_asked_or_as_their_teacher(
    narrow_config: StudentsConfig, tmp_path: Path, teacher: float, asked: float | None, found: float
) -> None:
    path = narrow_teacher(tmp_path, 33, teacher)
    assert train_students(replace(narrow_config, teachers=(path,), students=1, width=asked, steps=1), tmp_path / "run")
    (scale,) = load_scales(tmp_path / "run", 1, 1)
    assert [network.width for network in (scale.teacher.network, *scale.students)] == [teacher, found]
    if teacher != found:  # a graph has them side by side
        export(calibrate(open_run(tmp_path / "run"), 0.5), tmp_path / "detector.onnx").parity.check()


def test_separable_students_train_and_are_exported_as_they_score(narrow_config: StudentsConfig, tmp_path: Path) -> None:
    assert train_students(replace(narrow_config, students=1, separable=True), tmp_path / "run")
    (scale,) = load_scales(tmp_path / "run", 1, 1)
    assert [network.separable for network in (scale.teacher.network, *scale.students)] == [False, True]
    calibrated = calibrate(open_run(tmp_path / "run"), 0.5)
    for precision in ("fp32", "fp16"):
        export(calibrated, tmp_path / f"{precision}.onnx", ExportOptions(precision)).parity.check()


def test_students_change_and_differ_from_each_other(calibrated_run: Path) -> None:
    first, second = load_scales(calibrated_run, 1, 2)[0].students
    assert not torch.equal(first.conv(0).weight, second.conv(0).weight)
    torch.manual_seed(0)
    assert not torch.equal(first.conv(0).weight, PatchNetwork(33).conv(0).weight)


def test_a_run_goes_on_with_its_own_options_only(narrow_config: StudentsConfig, tmp_path: Path) -> None:
    assert not train_students(narrow_config, tmp_path / "run", stop_after=1)
    message = "holds a run with score_pixels = 5, this one has 6; use the same options to go on; to begin anew, name"
    with pytest.raises(InputError, match=message):
        train_students(replace(narrow_config, scoring=replace(narrow_config.scoring, score_pixels=6)), tmp_path / "run")


def test_a_run_goes_on_with_its_own_images_only(
    narrow_config: StudentsConfig, part_images: Path, tmp_path: Path
) -> None:
    images, run = tmp_path / "images", tmp_path / "run"
    shutil.copytree(part_images, images)
    config = replace(narrow_config, data=str(images))
    assert not train_students(config, run, stop_after=1)
    first, *_, last = sorted(images.iterdir())
    copy = Path(shutil.copy(first, images / "copy.png"))  # nothing that the run does not know
    assert train_students(replace(config, data=f"{images}/../images"), run)
    assert cv2.imwrite(str(copy), 255 - read_image(first))
    with pytest.raises(InputError, match=r"images holds 1 images that the run \S+run was not trained on, such as copy"):
        train_students(config, run)
    copy.unlink()
    last.unlink()
    with pytest.raises(
        InputError, match=r"15\.png was removed since training; restore it, or train without it in a new"
    ):
        train_students(config, run)


def test_another_scales_teacher_is_never_overwritten(
    narrow_config: StudentsConfig, teacher_files: dict[int, Path], tmp_path: Path
) -> None:
    first, second, run = tmp_path / "first", tmp_path / "second", tmp_path / "run"
    shutil.copy(teacher_files[33], first)
    shutil.copy(teacher_files[17], second)
    config = replace(narrow_config, teachers=(str(first), str(second)))
    assert not train_students(config, run, stop_after=1)
    before = (run / "teacher-p33.safetensors").read_bytes()
    shutil.copy(teacher_files[33], second)
    with pytest.raises(InputError, match="two teachers of p = 33 were given"):
        train_students(config, run, stop_after=1)
    shutil.copy(teacher_files[65], first)
    with pytest.raises(InputError, match=r"second is a teacher of p = 33, and \S+run has one of another scale"):
        train_students(config, run)
    assert (run / "teacher-p33.safetensors").read_bytes() == before


def draws_of(**options: Any) -> Any:
    """A scale's training, as far as its draws go."""
    training = object.__new__(_ScaleTraining)
    training.config, training.patch_size = StudentsConfig(**options), 33
    return training


@pytest.mark.parametrize("stride", [1, 2, 4, 8])
def test_every_shift_is_as_likely(stride: int) -> None:
    training = draws_of(size_hw=(41, 50), train_stride=stride)
    windows = [training._window(step) for step in range(40 * stride**2)]
    counts = Counter((window.top, window.left) for window in windows)
    assert len(counts) == stride**2
    assert max(counts.values()) < 2.2 * 40
    assert all((w.top + w.height, w.left + w.width) == (41, 50) for w in windows)


def test_windows_see_every_position_alike() -> None:
    stride, side, length, steps = 2, 8, 32, 12_000
    training = draws_of(size_hw=(length, length), train_stride=stride, window=side)
    seen = np.zeros(length)
    for step in range(steps):
        window = training._window(step)
        assert window.top >= 0
        assert window.top + window.height <= length
        seen[window.top : window.top + window.height : stride] += 1
    assert seen[:side].mean() == pytest.approx(seen[side:-side].mean(), rel=0.1)
    assert seen[-side:].mean() == pytest.approx(seen[side:-side].mean(), rel=0.1)
    assert seen[::stride].sum() == pytest.approx(seen[1::stride].sum(), rel=0.05)  # both phases, at the border too
    assert seen[0] == pytest.approx(seen[1], rel=0.25)
    assert min(seen[0], seen[-1]) > 0.4 * seen[side:-side].mean()


def test_a_window_of_the_whole_map_is_shifted_too() -> None:
    training = draws_of(size_hw=(32, 32), train_stride=4, window=32)
    assert {training._window(step).top for step in range(60)} == {0, 1, 2, 3}


@pytest.mark.parametrize("batch_size", [1, 3])
def test_every_epoch_is_a_permutation_of_its_own(batch_size: int) -> None:
    order = [index for step in range(30 // batch_size) for index in images_of_step(step, batch_size, 10, seed=0)]
    epochs = [order[i : i + 10] for i in range(0, 30, 10)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(10))] * 3
    assert epochs[0] != epochs[1] != epochs[2]


def test_epochs_become_steps(narrow_config: StudentsConfig, tmp_path: Path) -> None:
    config = replace(narrow_config, students=1, steps=None, epochs=1, batch_size=4)
    assert train_students(config, tmp_path / "run")
    assert load_network(student_path(tmp_path / "run", 33, 0))[1]["steps"] == 3  # ten images, four a step


def test_the_descriptors_are_standardized_over_all_training_images(
    calibrated_run: Path, teacher_files: dict[int, Path]
) -> None:
    split = Split.load(calibrated_run / "split.json")
    frames = np.stack([scaled(read_image(path), (32, 36)) for path in split.training])
    pixels = torch.from_numpy(frames[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32) / 255)
    with torch.no_grad():
        descriptors = dense_descriptors(load_network(teacher_files[33])[0], pixels, 8, "bailer").numpy()
    values = descriptors.transpose(1, 0, 2, 3).reshape(128, -1).astype(np.float64)
    kept = load_scales(calibrated_run, 1, 2)[0].teacher
    np.testing.assert_allclose(kept.mean.numpy(), values.mean(axis=1), rtol=1e-4, atol=1e-5)
    deviation = np.maximum(values.std(axis=1), DEVIATION_FLOOR * values.std(axis=1).mean())
    np.testing.assert_allclose(kept.deviation.numpy(), deviation, rtol=1e-4)


def test_dimensions_that_hardly_vary_are_floored_and_counted(
    narrow_config: StudentsConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher = PatchNetwork(33).requires_grad_(False)
    teacher.conv(3).weight[[4, 9]] = 0
    save_network(tmp_path / "teacher.safetensors", teacher, {})
    config = replace(narrow_config, students=1, teachers=(str(tmp_path / "teacher.safetensors"),))
    assert train_students(config, tmp_path / "run")
    deviation = load_scales(tmp_path / "run", 1, 1)[0].teacher.deviation
    others = deviation[[i for i in range(128) if i not in (4, 9)]]
    floor = DEVIATION_FLOOR * others.sum() / 128
    torch.testing.assert_close(deviation[[4, 9]], floor.expand(2))
    assert "p33: 2 of 128 descriptor dimensions hardly vary; their deviation is floored" in capsys.readouterr().out
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert log[0] == {"scale": 33, "descriptors": 10 * 4 * 5, "floored_dimensions": 2}
    assert [entry["step"] for entry in log[1:]] == [2]


def test_a_training_that_diverged_ends_before_a_student_is_written(
    narrow_config: StudentsConfig, tmp_path: Path
) -> None:
    assert not train_students(narrow_config, tmp_path, stop_after=1)
    checkpoint = tmp_path / "checkpoint-p33.safetensors"
    with safe_open(checkpoint, "pt") as file:
        card = file.metadata()
    save_file({name: torch.full_like(t, torch.nan) for name, t in load_file(checkpoint).items()}, checkpoint, card)
    before = checkpoint.read_bytes()
    with pytest.raises(
        InputError, match=r"the loss is not finite at step 2: .* a smaller --learning-rate, it is 0.0005"
    ):
        train_students(narrow_config, tmp_path)
    assert checkpoint.read_bytes() == before
    assert not student_path(tmp_path, 33, 0).exists()


def test_the_last_loss_is_told_beside_what_the_mean_would_give(
    narrow_config: StudentsConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, options in {"none": {"learning_rate": 1.0}, "some": {"steps": 20, "window": 8}}.items():
        train_students(replace(narrow_config, students=1, **options), tmp_path / name)  # type: ignore[arg-type]
        out = capsys.readouterr().out
        assert re.search(r"p33: last loss \S+; predicting the mean would give 128\n", out)
        assert ("warning: the students of p = 33 predict no better than the mean" in out) == (name == "none")


@pytest.mark.parametrize(
    ("weight", "message"), [(torch.nan, "holds weights that are not finite"), (1e38, "descriptors that are not finite")]
)
def test_a_teacher_that_diverged_is_refused(
    narrow_config: StudentsConfig, tmp_path: Path, weight: float, message: str
) -> None:
    teacher = PatchNetwork(33).requires_grad_(False)
    teacher.conv(1).weight.fill_(weight)
    save_network(tmp_path / "teacher.safetensors", teacher, {})
    with pytest.raises(InputError, match=message):
        train_students(replace(narrow_config, teachers=(str(tmp_path / "teacher.safetensors"),)), tmp_path / "run")


def test_a_teacher_is_a_shipped_name_or_a_file(teacher_files: dict[int, Path]) -> None:
    for name in shipped_teachers():
        assert load_network(teacher_path(name))[1]["patch_size"] == int(name.removeprefix("p").split("-")[0])
    assert teacher_path(str(teacher_files[17])) == teacher_files[17]
    with pytest.raises(InputError, match=r"teacher 'p34' is neither a shipped one \(.*\) nor a file; see python -m"):
        teacher_path("p34")


def test_a_file_that_is_no_teacher_is_refused(narrow_config: StudentsConfig, part_images: Path, tmp_path: Path) -> None:
    image = sorted(part_images.iterdir())[0]
    with pytest.raises(InputError, match="is not a safetensors file or is damaged; make it again"):
        train_students(replace(narrow_config, teachers=(str(image),)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


BAD = [
    ({"size_hw": (31, 64)}, "size_hw is 31,64; expected 32 pixels or more each way"),
    ({"teachers": ()}, "teachers is empty; name one or more, such as p33"),
    ({"students": 0}, "students is 0; expected 1 or more"),
    ({"epochs": 0}, "epochs is 0; expected 1 or more"),
    ({"steps": 0}, "steps is 0; expected 1 or more"),
    ({"batch_size": 0}, "batch_size is 0; expected 1 or more"),
    ({"score_pixels": 0}, "score_pixels is 0; expected 1 to 840"),
    ({"checkpoint_every": 0}, "checkpoint_every is 0; expected 1 or more"),
    ({"learning_rate": 0.0}, "learning_rate is 0.0; expected a number above 0"),
    ({"learning_rate": 1e300}, r"learning_rate is 1e\+300; expected 1 or less"),
    ({"learning_rate": float("nan")}, "learning_rate is nan; expected a number above 0"),
    ({"smoothing": -1.0}, "smoothing is -1; expected 0 to 10"),
    ({"smoothing": 10.5}, "smoothing is 10.5; expected 0 to 10"),
    ({"width": 0.0}, "width is 0.0; expected a number above 0"),
    ({"width": 1.5}, "width is 1.5; expected 1 or less"),
    ({"weight_decay": -1e-3}, "weight_decay is -0.001; expected 0 or more"),
    ({"seed": -1}, "seed is -1; expected 0 or more"),
    ({"window": 7}, "window is 7; expected 8 to 32 pixels"),
    ({"window": 33}, "window is 33; expected 8 to 32 pixels"),
    ({"region_of_interest": (0, 0, 33, 10)}, r"region_of_interest \(0, 0, 33, 10\) lies outside 32×36 pixels"),
    ({"region_of_interest": (-1, 0, 3, 3)}, "lies outside"),
    ({"region_of_interest": (2, 2, 0, 3)}, "lies outside"),
    ({"region_of_interest": (0, 0, 2, 3), "score_pixels": 7}, "score_pixels is 7; expected 1 to 6"),
    (
        {"size_hw": (64, 64), "score_pixels": 3841, "region_of_interest": None},
        "score_pixels is 3841; expected 1 to 3840",
    ),
    ({"holdout": 1.5}, "holdout is 1.5; expected a share between 0 and 1"),
]


def changed(config: StudentsConfig, options: dict[str, Any]) -> StudentsConfig:
    """The configuration with other options, those of its group too."""
    group = {name: value for name, value in options.items() if hasattr(config.scoring, name)}
    own = {name: value for name, value in options.items() if name not in group}
    return replace(config, scoring=replace(config.scoring, **group), **own)


@pytest.mark.parametrize(("changes", "message"), BAD, ids=[message[:40] for _, message in BAD])
def test_each_option_that_cannot_be_used_has_its_sentence(
    narrow_config: StudentsConfig, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        train_students(changed(narrow_config, changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_two_teachers_of_one_size_are_refused_before_anything(
    narrow_config: StudentsConfig, teacher_files: dict[int, Path], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="two teachers of p = 33 were given; give one for each scale"):
        train_students(replace(narrow_config, teachers=(str(teacher_files[33]),) * 2), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_images_too_small_for_a_scale_are_refused_before_the_training(
    narrow_config: StudentsConfig, teacher_files: dict[int, Path], tmp_path: Path
) -> None:
    config = replace(narrow_config, teachers=(str(teacher_files[65]),), size_hw=(33, 40), train_stride=1)
    with pytest.raises(InputError, match="an image of 33×40 pixels is too small to reflect; use 34 or more"):
        train_students(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_bad_image_among_those_held_out_is_named_before_the_training(
    narrow_config: StudentsConfig, part_images: Path, tmp_path: Path
) -> None:
    for index, path in enumerate(sorted(part_images.iterdir())):
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "images" / path.name).write_bytes(path.read_bytes() if index % 2 else path.read_bytes()[:-99])
    with pytest.raises(InputError, match=r"00\.png is truncated.*; \S*02\.png is truncated"):
        train_students(replace(narrow_config, data=str(tmp_path / "images")), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_every_option_is_a_yaml_key_and_comes_back(tmp_path: Path) -> None:
    scoring = Scoring((1, 2, 3, 4), 2.5, True, 7)
    config = StudentsConfig(size_hw=(64, 96), scoring=scoring, window=32, teachers=("p33", "p65"))
    (tmp_path / "config.yaml").write_text(as_yaml(as_mapping(config)))
    assert configured(StudentsConfig, read_yaml(tmp_path / "config.yaml")) == config
    plain = {name: tuple(v) if isinstance(v, list) else v for name, v in as_mapping(config).items()}
    assert {"smoothing", "by_position", "score_pixels", "region_of_interest"} <= plain.keys()
    texts = {name: as_text(value).replace("None", "none") for name, value in plain.items()}
    assert configured(StudentsConfig, texts) == config  # and from a command line's words

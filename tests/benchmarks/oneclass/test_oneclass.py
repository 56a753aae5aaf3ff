"""One class against the others: the students of one class, and the command."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from benchmarks.methods.base import Frames
from benchmarks.oneclass import __main__ as oneclass
from benchmarks.oneclass.protocol import judge
from benchmarks.oneclass.small_images import read_small_images
from benchmarks.oneclass.students import OneClassStudents, Options
from runtime.errors import InputError
from train.files import load_network, save_network
from train.networks import PatchNetwork


def digits(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Noisy bars, uint8 [n, 28, 28]: class 0 lies, class 1 stands."""
    draw = np.random.default_rng(seed)
    images = draw.integers(0, 30, (count, 28, 28)).astype(np.uint8)
    labels = np.arange(count) % 2
    for image, label in zip(images, labels, strict=True):
        at = int(draw.integers(8, 16))
        if label:
            image[4:24, at : at + 4] = 220
        else:
            image[at : at + 4, 4:24] = 220
    return images, labels


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    (train, train_labels), (test, test_labels) = digits(40, 0), digits(24, 1)
    path = tmp_path / "bars.npz"
    np.savez(path, x_train=train, y_train=train_labels, x_test=test, y_test=test_labels)
    return path


@pytest.fixture(scope="module")
def narrow_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a random teacher of p = 33, a quarter of the paper's channels wide."""
    path = tmp_path_factory.mktemp("teacher") / "teacher-33.safetensors"
    torch.manual_seed(33)
    save_network(path, PatchNetwork(33, 0.25), {})
    return path


def quick(teacher: Path, **over: Any) -> OneClassStudents:
    options = Options(
        **{"students": 2, "steps": 12, "batch_size": 8, "learning_rate": 1e-3, "precision": "fp32"} | over
    )
    return OneClassStudents(teacher, options, seed=0)


@pytest.fixture
def bars() -> Frames:
    """Lying bars alone."""
    images, labels = digits(40, 0)
    return np.repeat(images[labels == 0][:, :, :, None], 3, axis=3)


def test_students_of_one_class_tell_the_other(npz: Path, narrow_teacher: Path) -> None:
    images = read_small_images(npz)
    method = quick(narrow_teacher)
    assert judge(method, images, 0).auroc > 0.9
    assert judge(quick(narrow_teacher, students=1), images, 1).auroc > 0.9  # no variance of a single one


def test_a_score_is_regression_error_and_variance_each_normalized(
    bars: Frames, narrow_teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = quick(narrow_teacher, steps=2)
    method.fit(bars)
    crops = bars[:3]
    from benchmarks.methods.descriptors import zoomed

    pixels = torch.from_numpy(zoomed(crops, 33)[:, :, :, ::-1].copy()).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        teacher = ((load_network(narrow_teacher)[0](pixels) - method.mean) / method.deviation).numpy()
        found = np.stack([student(pixels).numpy() for student in method.students])  # [M, n, 128]
    error = ((found.mean(axis=0) - teacher) ** 2).sum(axis=1)  # eq. 9
    variance = (found**2).sum(axis=2).mean(axis=0) - (found.mean(axis=0) ** 2).sum(axis=1)  # eq. 10 as printed
    (e_mean, e_std), (v_mean, v_std) = method.moments
    expected = (error - e_mean) / e_std + (variance - v_mean) / v_std
    scores = method.inspect(crops).scores
    assert scores.shape == (3,)
    np.testing.assert_allclose(scores, expected, rtol=2e-3, atol=2e-3)


def test_what_figure_4_shows_is_what_the_scores_come_from(bars: Frames, narrow_teacher: Path) -> None:
    for students in (2, 1):
        method = quick(narrow_teacher, steps=2, students=students)
        method.fit(bars)
        found = method.answers(bars[:5])
        terms = [((found.students - found.teacher) ** 2).sum(axis=1), found.variance][:students]
        expected = sum((term - mean) / std for term, (mean, std) in zip(terms, method.moments, strict=True))
        np.testing.assert_allclose(method.inspect(bars[:5]).scores, expected, rtol=1e-3, atol=1e-3)
    assert (found.variance == 0).all()  # of a single student


def test_the_moments_are_those_of_images_that_were_not_trained_on(bars: Frames, narrow_teacher: Path) -> None:
    method = quick(narrow_teacher, steps=2, holdout=0.25)
    seen: list[int] = []
    train = method._train
    method._train = lambda images: (seen.append(len(images)), train(images))[1]  # type: ignore[method-assign]
    method.fit(bars)
    assert seen == [15]
    scores = method.inspect(bars).scores
    assert abs(scores.mean()) < 20


def test_a_seed_repeats_itself_and_bad_images_are_refused(bars: Frames, narrow_teacher: Path) -> None:
    found = []
    for _ in range(2):
        method = quick(narrow_teacher, steps=2)
        method.fit(bars)
        found.append(method.inspect(bars).scores)
    assert np.array_equal(found[0], found[1])
    with pytest.raises(InputError, match="fitted on frames of 28×28 pixels got 20×28"):
        method.inspect(bars[:, :20])
    with pytest.raises(InputError, match="3 images of the class; expected 4 or more"):
        quick(narrow_teacher).fit(bars[:3])


def test_the_command_reports_every_method_and_says_what_was_left_out(
    npz: Path, narrow_teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(npz), "--methods", "ours,1-nn,ocgan", "--classes", "1", "--teacher", str(narrow_teacher)]
    arguments += ["--students", "1", "--steps", "3", "--train-limit", "8", "--test-limit", "5", "--device", "cpu"]
    arguments += ["--set", "ours.batch_size=4", "--set", "ocgan.steps=2", "--set", "ocgan.width=2"]
    arguments += ["--json", str(tmp_path / "found.json")]
    oneclass.main(arguments)
    printed = capsys.readouterr().out
    assert "| method | 1 | mean | paper, MNIST |" in printed
    assert "| 0.9935 |" in next(line for line in printed.splitlines() if line.startswith("| Ours"))
    assert "A SUBSET, not to be compared with the paper's figures: classes 1, 8 to 8 training images" in printed
    document = json.loads((tmp_path / "found.json").read_text())
    assert set(document["image_auroc"]) == {"ours", "1-nn", "ocgan"}
    assert document["image_auroc"]["1-nn"]["1"] > 0.9
    assert document["test_images"] == 10


def run(npz: Path, teacher: Path, folder: Path, *over: str) -> None:
    arguments = [str(npz), "--methods", "ours,k-means", "--teacher", str(teacher), "--students", "1", "--steps", "2"]
    arguments += ["--test-limit", "4", "--device", "cpu", "--set", "ours.batch_size=4", "--set", "k-means.clusters=2"]
    oneclass.main([*arguments, "--keep", str(folder / "kept"), *over])


def test_the_command_goes_on_from_what_it_kept(
    npz: Path, narrow_teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(npz, narrow_teacher, tmp_path, "--classes", "1")
    path = tmp_path / "kept" / "ours-class1.npz"
    with np.load(path) as file:
        arrays = dict(file) | {"auroc": np.array(0.1234)}  # what only a file that was read can say
    np.savez(path, **arrays)
    capsys.readouterr()
    run(npz, narrow_teacher, tmp_path)
    assert "Ours, class 1: 0.1234" in capsys.readouterr().out
    names = [f"{method}-class{kind}.npz" for method in ("k-means", "ours") for kind in (0, 1)]
    assert sorted(each.name for each in (tmp_path / "kept").iterdir()) == names
    run(npz, narrow_teacher, tmp_path, "--classes", "1", "--seed", "1")
    assert "0.1234" not in capsys.readouterr().out


def test_the_command_takes_files_as_they_are_distributed(
    npz: Path, narrow_teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "idx"
    folder.mkdir()
    for name, array in np.load(npz).items():
        what, part = name.split("_")
        header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
        file_name = f"{part.replace('test', 't10k')}-{'images' if what == 'x' else 'labels'}-idx{array.ndim}-ubyte"
        (folder / file_name).write_bytes(header + array.astype(np.uint8).tobytes())
    printed = []
    for data in (npz, folder):
        oneclass.main([str(data), "--methods", "1-nn", "--teacher", str(narrow_teacher), "--device", "cpu"])
        printed.append(capsys.readouterr().out)
    assert "1-NN, class 1: " in printed[0]
    assert printed[0] == printed[1]


def test_the_command_draws_figure_4(npz: Path, narrow_teacher: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    run(npz, narrow_teacher, tmp_path, "--classes", "1", "--plots", str(tmp_path / "plots"))
    written = {path.name: path.read_text() for path in (tmp_path / "plots").iterdir()}
    assert sorted(written) == [f"oneclass-{n}.svg" for n in ("k-means-1-scores", "ours-1-descriptors", "ours-1-scores")]
    assert "Ours, class 1: AUROC" in written["oneclass-ours-1-scores.svg"]
    assert "Ours, class 1: two principal components" in written["oneclass-ours-1-descriptors.svg"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "patchcore"], "there is no method 'patchcore' for small images; choose among ours, 1-nn"),
        (["--classes", "7"], "--classes names 7; the data have 0, 1"),
        (["--set", "ours.holdout=1"], "ours: holdout is 1.0; expected a share between 0 and 1"),
        (["--set", "ours.precision=foo"], "ours: precision is foo; expected one of auto, fp32, bf16"),
        (["--set", "zzz.a=1"], "there is no method 'zzz' for small images; choose among ours, 1-nn"),
    ],
)
def test_a_bad_option_of_the_command_is_refused(npz: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        oneclass.main([str(npz), "--device", "cpu", *arguments])

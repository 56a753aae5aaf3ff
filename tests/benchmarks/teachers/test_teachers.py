"""The command that measures teachers: its figures, its document, its pictures and its refusals."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.teachers import __main__ as teachers
from benchmarks.teachers.material import random_teacher
from benchmarks.teachers.measure import held_out_of
from runtime.errors import InputError
from train.files import save_network


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "first"
    run.mkdir()
    lines = [{"iteration": 5 * k, "distillation": 9.0 / k, "held_out_error": 1 / k} for k in (1, 2)]
    (run / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run


@pytest.fixture(scope="module")
def document(photographs: Path, weights: Path, run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Of a teacher that equals the random one of seed 0, and of the photographs' own teacher."""
    folder = tmp_path_factory.mktemp("measured")
    known = {"options": {"seed": 0}, "photographs_sha256": "0" * 64}
    save_network(folder / "same.safetensors", random_teacher(17, 0), known)
    arguments = [str(folder / "same.safetensors"), "--data", str(photographs), "--descriptor-weights", str(weights)]
    small = ["--descriptor-input", "32", "--patches", "256", "--held-out", "64", "--triplets", "32", "--device", "cpu"]
    small += ["--views", "2", "--held-out-views", "2"]
    outputs = ["--json", str(folder / "t.json"), "--plots", str(folder / "plots"), "--runs", str(run_folder)]
    teachers.main([*arguments, *small, *outputs])
    return json.loads((folder / "t.json").read_text()) | {"plots": folder / "plots"}


def test_a_teacher_is_measured_as_the_random_one_that_it_is(document: Any) -> None:
    (group,) = document["teachers"]
    random, same = group["measured"]
    assert (random["name"], random["sha256"]) == ("random p17", None)
    assert same["name"].endswith("same.safetensors")
    assert same["figures"] == random["figures"]
    assert same["triplets"] == random["triplets"]
    assert same["map"] == random["map"]


def test_the_figures_are_in_their_ranges(document: Any) -> None:
    (group,) = document["teachers"]
    figures = group["measured"][0]["figures"]
    assert figures["explained_variance"] < 1
    assert 1 < figures["effective_rank"] < 128
    assert 0 < figures["mean_squared_correlation"] < 1
    assert len(figures["spectrum"]) == 128
    of_maps = group["measured"][0]["map"]
    assert of_maps["explained_variance"] < 1
    assert 1 < of_maps["effective_rank"] < 128
    assert group["mean_explains"] <= 0
    assert document["counts"] == {"training": 256, "held_out": 64, "triplets": 32, "views": 2, "held_out_views": 2}
    assert document["dense_descriptor"] == "resnet18-layer23"
    assert document["environment"]["cpu"]


def test_whether_the_photographs_were_held_out_of_a_training_is_not_guessed(document: Any) -> None:
    (group,) = document["teachers"]
    photographs = group["photographs"]
    assert photographs["photographs"] == 8
    assert held_out_of({"options": {"seed": 0}, **photographs}, photographs, 0) is True
    assert held_out_of({"options": {"seed": 1}, **photographs}, photographs, 0) is None
    assert held_out_of({}, photographs, 0) is None
    assert [each["held_out_of_its_training"] for each in group["measured"]] == [True, None]


def test_runs_are_curves_and_everything_has_its_picture(document: Any) -> None:
    (run,) = document["runs"]
    assert (run["name"], run["iterations"], run["held_out_error"]) == ("first", [5, 10], [1.0, 0.5])
    names = {path.name for path in document["plots"].iterdir()}
    assert names == {"teacher-spectra-p17.svg", "teacher-losses-first.svg", "teacher-held-out-error.svg"}


def test_random_weights_leave_the_random_state_alone() -> None:
    import torch

    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    random_teacher(17, 0)
    assert torch.rand(1) == expected


BAD = [
    ([], "there is nothing to measure; name teachers"),
    (["p33"], "teachers are measured on photographs; name their folder with --data"),
    (["p33", "--data", "x", "--patches", "100"], "--patches is 100; expected 256 or more"),
    (["p33", "--data", "x", "--views", "1"], "--views is 1; expected 2 or more"),
    (["p33", "--data", "x", "--held-out-views", "1"], "--held-out-views is 1; expected 2 or more"),
    (["p33", "--data", "x", "--held-out", "1"], "--held-out is 1; expected 2 or more"),
    (["p34", "--data", "x"], "teacher 'p34' is neither a shipped one"),
    (["p33", "--data", "nowhere", "--descriptor-weights", "none.pth"], "none.pth is not a file"),
    (["--runs", "nowhere"], "log.jsonl cannot be read"),
    (["--runs", "a/p33", "b/p33"], "two runs are named p33, so their curves could not be told apart"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[message[:30] for _, message in BAD])
def test_what_cannot_be_measured_is_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        teachers.main(arguments)


def test_help_needs_neither_torch_nor_matplotlib(tmp_path: Path, environment: dict[str, str]) -> None:
    for package in ("torch", "matplotlib"):
        (tmp_path / f"{package}.py").write_text(f"raise SystemExit('{package} was imported')")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.teachers", "--help"],
        env={**environment, "PYTHONPATH": f"{tmp_path}:{environment['PYTHONPATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "usage: python -m benchmarks.teachers" in done.stdout


def test_a_missing_matplotlib_is_said_before_the_work(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "matplotlib.py").write_text("raise ModuleNotFoundError('no', name='matplotlib')")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.teachers", "p33", "--data", "nowhere", "--plots", "plots"],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": f"{tmp_path}:{environment['PYTHONPATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "matplotlib is not installed; pip install 'proctor[bench]'" in done.stderr


def test_the_command_ends_in_one_sentence(tmp_path: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.teachers"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr == "error: there is nothing to measure; name teachers (p33, a file) or --runs\n"

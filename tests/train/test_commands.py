"""The commands as a user runs them: end to end, their help without torch, and one sentence for a bad input."""

import contextlib
import io
import json
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime.detector import Detector
from runtime.detector_file import read_detector
from runtime.images import read_image
from runtime.info import facts_of
from runtime.onnx_file import with_metadata
from runtime.verdict import Decision
from train.files import read_with_card, save_checkpoint
from train.preset import presets_of

RunMain = Callable[..., tuple[int, str, str, Path]]

ROOT = Path(__file__).parents[2]
COMMANDS = [
    "train", "train.backbones", "train.card", "train.students", "train.teacher", "calibration.fit", "export.onnx",
]  # fmt: skip


def command(
    module: str, *arguments: object, cwd: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def small(teacher: Path) -> list[object]:
    """Options that make `python -m train` a matter of seconds."""
    size = ["--size-hw", "32,36", "--output-stride", 8, "--train-stride", 8, "--window", "none"]
    length = ["--steps", 2, "--learning-rate", 5e-4]
    return ["--preset", "students", "--teachers", teacher, *size, *length, "--device", "cpu", "--precision", "fp32"]


def test_one_command_turns_a_folder_into_a_detector(
    part_images: Path, teacher_files: dict[int, Path], environment: dict[str, str], run_main: RunMain, tmp_path: Path
) -> None:
    """In a process of its own, from the first line to the last."""
    arguments = ["--data", part_images, "--budget", 0.1, *small(teacher_files[33])]
    done = command("train", *arguments, cwd=tmp_path, environment=environment)
    assert done.returncode == 0, done.stderr
    assert "parity on" in done.stdout
    assert "exponential tail" in done.stdout  # two held-out images cannot show one in ten
    assert sorted(path.name for path in tmp_path.iterdir()) == ["detector-run", "detector.onnx", "detector.parity.npz"]
    with Detector.open(tmp_path / "detector.onnx", threads=1) as detector:
        assert (detector.recipe.method.settings["students"], detector.recipe.size_hw) == (1, (32, 36))
        verdict = detector.inspect(read_image(sorted(part_images.iterdir())[0]))
    assert verdict.decision is not Decision.NO_DECISION
    assert np.isfinite(verdict.score or np.nan)

    code, _, told, _ = run_main("train", [*arguments, "--learning-rate", 0.1], tmp_path)
    assert code == 2
    assert "holds a run with learning_rate = 0.0005, this one has 0.1; use the same options to go on" in told


def test_one_command_fills_a_memory_bank_and_its_detector_judges_a_folder(
    part_images: Path, run_main: RunMain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default: no method and no preset is named. Interrupted on the way, the same command goes on."""
    small = ["--backbone", "resnet18", "--side", 48, "--coreset", 48, "--device", "cpu"]
    arguments = ["--data", part_images, "--out", "bank.onnx", "--budget", 0.2, *small]
    with monkeypatch.context() as patched:
        patched.setattr("train.memory_bank.greedy_coreset", interrupted)
        assert run_main("train", arguments, tmp_path)[0] == 130
    assert [path.name for path in tmp_path.iterdir()] == ["bank-run"]
    assert (tmp_path / "bank-run" / "split.json").exists()
    assert not (tmp_path / "bank-run" / "memory-bank.safetensors").exists()
    code, told, error, _ = run_main("train", arguments, tmp_path)
    assert code == 0, error
    for words in (
        "1/3 training the memory-bank",
        "memory bank of 48 descriptors, of 16 images",
        "highest scores of good images",
        "parity",
    ):
        assert words in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bank-run", "bank.onnx", "bank.parity.npz"]
    facts = facts_of(read_detector(tmp_path / "bank.onnx")[1])
    assert facts["Method"] == "memory-bank"
    assert facts["Looks at"].endswith("every 8 pixels, beside a memory of 48 good ones")
    assert "smoothed with σ = 4 pixels" in facts["Score"]
    code, stream, error, _ = run_main(
        "runtime.stream", ["--detector", "bank.onnx", "--camera", part_images, "--json"], tmp_path
    )
    assert code == 0, error
    verdicts = [json.loads(line) for line in stream.splitlines()]
    assert len(verdicts) == 16
    assert {verdict["decision"] for verdict in verdicts} <= {"OK", "NG"}


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_one_command_trains_students_of_a_backbone_and_goes_on_where_it_stopped(
    part_images: Path, run_main: RunMain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed processes are in `test_lock`: all trainings take their steps by one function."""
    small = ["--backbone", "resnet18", "--side", 48, "--width", 8, "--steps", 40, "--device", "cpu"]
    asked = ["--method", "backbone-students", "--checkpoint-every", 5, "--budget", 0.2, "--out", "students.onnx"]
    arguments = ["--data", part_images, *asked, *small]
    checkpoint = tmp_path / "students-run" / "checkpoint.safetensors"

    def saved_and_interrupted(*given: Any) -> None:
        save_checkpoint(*given)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("train.steps.save_checkpoint", saved_and_interrupted)
        assert run_main("train", arguments, tmp_path)[0] == 130
    assert read_with_card(checkpoint)[1]["step"] == 5
    code, told, error, _ = run_main("train", arguments, tmp_path)
    assert code == 0, error
    assert "1/3 training the backbone-students" in told
    assert not checkpoint.exists()
    facts = facts_of(read_detector(tmp_path / "students.onnx")[1])
    assert facts["Method"] == "backbone-students"
    assert facts["Looks at"].endswith("beside those that a small network would expect, having seen good parts alone")
    with Detector.open(tmp_path / "students.onnx") as detector:
        verdict = detector.inspect(read_image(sorted(part_images.iterdir())[0]))
    assert verdict.decision is not Decision.NO_DECISION


@pytest.mark.parametrize("module", COMMANDS)
def test_help_needs_no_torch(module: str, environment: dict[str, str], tmp_path: Path) -> None:
    for package in ("torch", "onnx", "onnxruntime", "torchvision"):
        (tmp_path / f"{package}.py").write_text(f"raise SystemExit('{package} was imported')")
    done = command(module, "--help", cwd=tmp_path, environment={**environment, "PYTHONPATH": f"{tmp_path}:{ROOT}"})
    assert done.returncode == 0, done.stderr
    assert f"usage: python -m {module}" in done.stdout


def bad_inputs(images: Path, teacher: Path, run: Path, spoilt: Path) -> dict[str, tuple[str, list[object], str]]:
    """By name: module, arguments, and what the sentence says."""
    few, broken, config = spoilt / "few", spoilt / "broken", spoilt / "bad.yaml"
    students: list[object] = ["--data", images, "--teachers", teacher, "--out", "run", "--device", "cpu"]
    bank: list[object] = ["--data", images, "--device", "cpu"]
    pretrain: list[object] = ["--data", images, "--out", "run", "--device", "cpu"]
    return {
        "train: no data": ("train", [], "no images were given; name their folder with --data"),
        "train: no folder": ("train", ["--data", "nowhere"], "nowhere is not a folder"),
        "train: few images": ("train", ["--data", few, *small(teacher)], "found 2 different good images; give 7"),
        "train: broken image": ("train", ["--data", broken, *small(teacher)], "03.png is truncated"),
        "train: no image": ("train", ["--data", spoilt / "empty"], "holds no images"),
        "train: budget": ("train", ["--data", images, "--budget", 0], "false-reject budget is 0.0"),
        "train: out": ("train", ["--data", images, "--out", "x.plan"], "x.plan; expected a name ending in .onnx"),
        "train: out is a folder": ("train", ["--data", images, "--out", spoilt / "a.onnx"], "which is a folder"),
        "train: out in a file": ("train", ["--data", images, "--out", config / "a.onnx"], "bad.yaml is a file; name"),
        "train: no detector": ("train", ["--data", images, "--out", spoilt / "yolo.onnx"], "is no detector of"),
        "train: teacher": (
            "train", ["--preset", "students", "--data", images, "--teachers", "p99"], "'p99' is neither a shipped one",
        ),
        "train: backbone": ("train", ["--data", images, "--backbone", "p99"], "backbone 'p99' is neither a shipped"),
        "train: stage": ("train", ["--data", images, "--stages", "layer9"], "stage 'layer9' is none of efficientnet"),
        "train: side": ("train", ["--data", images, "--side", 8], "side is 8; expected 32 to 8,192 pixels"),
        "train: image evidence": ("train", ["--data", images, "--by-position", "no"], "image_evidence is of scores by"),
        "train: preset": ("train", ["--data", images, "--preset", "quick"], "preset 'quick' is none of accurate, edge"),
        "train: method": ("train", ["--method", "nonsense"], "method is 'nonsense'; expected one of students, memory"),
        "train: abbreviated": ("train", ["--meth", "memory-bank", *bank, "--coreset", 1], "coreset is 1; expected 2"),
        "train: preset of another": (
            "train", ["--method", "memory-bank", *bank, "--preset", "students"], "preset students is of the method",
        ),
        "train: run of another": (
            "train", ["--method", "memory-bank", *bank, "--run", run], "method = students, this one has memory-bank; ",
        ),
        "train: options of another": (
            "train", ["--method", "memory-bank", *bank, "--config", run / "config.yaml"], "the method students, not of",
        ),
        "train: bank": ("train", ["--method", "memory-bank", *bank, "--size-hw", "8,8"], "size_hw is 8,8; expected 32"),
        "train: bank of nothing": ("train", ["--method", "memory-bank"], "no images were given; name their folder"),
        "train: type": ("train", ["--data", images, "--seed", "many"], "seed is 'many'; expected INTEGER"),
        "students: unknown": ("train.students", [*students, "--config", config], "unknown option speed"),
        "students: no yaml": ("train.students", [*students, "--config", "no.yaml"], "no.yaml cannot be read"),
        "students: rate": ("train.students", [*students, "--learning-rate", -1], "learning_rate is -1.0; expected"),
        "students: seed": ("train.students", [*students, "--seed", -1], "seed is -1; expected 0 or more"),
        "students: occupied": ("train.students", [*students, "--out", images], "holds other files; a run folder"),
        "students: no data": ("train.students", ["--out", "run"], "no images were given; name their folder"),
        "students: stop": ("train.students", [*students, "--stop-after", 0], "stop_after is 0; expected 1 or more"),
        "students: no gpu": ("train.students", [*students, "--device", "cuda"], "PyTorch finds no NVIDIA GPU"),
        "teacher: weights": (
            "train.teacher", [*pretrain, "--descriptor-weights", "no.pth"], "no.pth is not a file; give the weights of",
        ),
        "teacher: no weights in it": (
            "train.teacher", [*pretrain, "--descriptor-weights", teacher], "tensors of torchvision's ResNet-18",
        ),
        "teacher: nothing to learn": ("train.teacher", [*pretrain, "--descriptor", "none"], "set --triplet 1"),
        "teacher: no data": ("train.teacher", ["--out", "run"], "no images were given; name their folder"),
        "teacher: few": ("train.teacher", ["--data", few, "--out", "run"], "holds 2 images; a teacher needs 4 or more"),
        "teacher: broken": ("train.teacher", ["--data", broken, "--out", "run"], "03.png is truncated"),
        "teacher: batch": ("train.teacher", [*pretrain, "--batch-size", 0], "batch_size is 0; expected 2 or more"),
        "teacher: every": ("train.teacher", [*pretrain, "--evaluate-every", 0], "evaluate_every is 0; expected 1"),
        "fit: no run": ("calibration.fit", ["nowhere"], "nowhere is no run folder (no config.yaml)"),
        "fit: budget": ("calibration.fit", [run, "--budget", 2], "false-reject budget is 2.0"),
        "export: no run": ("export.onnx", ["nowhere"], "is no run folder (no config.yaml); make one with"),
        "export: out": ("export.onnx", [run, "--out", "a.pt"], "a.pt; expected a name ending in .onnx"),
    }  # fmt: skip


def test_the_help_of_a_method_is_of_its_own_options(run_main: RunMain) -> None:
    for arguments in ([], ["--method", "memory-bank"], ["--preset", "fast"]):
        code, told, _, _ = run_main("train", [*arguments, "--help"])
        assert code == 0
        told = " ".join(told.split())
        for words in ("usage: python -m train", "training (memory-bank), over the preset:", "(default: 4.0)"):
            assert words in told
        values = {preset.name: preset.options["coreset"] for preset in presets_of("memory-bank")}
        assert f"descriptors in the bank ({'; '.join(f'{name}: {value}' for name, value in values.items())})" in told
        assert "--learning-rate" not in told
    for arguments in (["--method", "students"], ["--preset", "paper"]):
        told = " ".join(run_main("train", [*arguments, "--help"])[1].split())
        assert "M, students of each scale (paper: 3; students: 1)" in told
        assert "--coreset" not in told
    told = " ".join(run_main("train", ["--preset", "imitation", "--help"])[1].split())
    assert "training (backbone-students), over the preset:" in told
    assert "--hardest" in told
    assert "--train-stride" not in told


NAMES = list(bad_inputs(Path(), Path(), Path(), Path()))


@pytest.fixture(scope="session")
def spoilt(part_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders and files that cannot be used."""
    folder = tmp_path_factory.mktemp("spoilt")
    images = sorted(part_images.iterdir())
    (folder / "empty").mkdir()
    (folder / "few").mkdir()
    for image in images[:2]:
        shutil.copy(image, folder / "few")
    shutil.copytree(part_images, folder / "broken")
    (folder / "broken" / "03.png").write_bytes(images[3].read_bytes()[:-100])
    (folder / "a.onnx").mkdir()
    (folder / "yolo.onnx").write_bytes(with_metadata(b"", {"names": "person"}))
    (folder / "bad.yaml").write_text("speed: 9\n")
    return folder


@pytest.fixture(scope="session")
def run_main(tmp_path_factory: pytest.TempPathFactory) -> RunMain:
    """Runs a command's module as `__main__` in this process: a subprocess for each would import torch each time. Gives
    its status, what it printed, and the folder it was in, a new one unless it is named."""

    def run(module: str, arguments: list[object], folder: Path | None = None) -> tuple[int, str, str, Path]:
        folder = folder or tmp_path_factory.mktemp("cwd")
        out, err, code = io.StringIO(), io.StringIO(), 0
        before, argv = Path.cwd(), sys.argv
        kept = sys.modules.pop(f"{module}.__main__" if module == "train" else module, None)
        os.chdir(folder)
        sys.argv = [module, *map(str, arguments)]
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                runpy.run_module(module, run_name="__main__", alter_sys=False)
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        finally:
            os.chdir(before)
            sys.argv = argv
            if kept is not None:
                sys.modules[kept.__name__] = kept
        return code, out.getvalue(), err.getvalue(), folder

    return run


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_input_ends_with_one_sentence_and_nothing_half_written(
    name: str,
    part_images: Path,
    teacher_files: dict[int, Path],
    calibrated_run: Path,
    spoilt: Path,
    run_main: RunMain,
) -> None:
    import torch

    if name == "students: no gpu" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    module, arguments, sentence = bad_inputs(part_images, teacher_files[33], calibrated_run, spoilt)[name]
    code, _, err, folder = run_main(module, arguments)
    assert code == 2
    (line,) = err.strip().splitlines()
    assert line.startswith("error: ")
    assert sentence in line
    assert list(folder.iterdir()) == []


def test_the_sentence_is_all_that_a_real_process_says(environment: dict[str, str], tmp_path: Path) -> None:
    done = command(
        "train.students",
        "--data",
        "nowhere",
        "--out",
        "run",
        "--teachers",
        "p99",
        cwd=tmp_path,
        environment=environment,
    )
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: nowhere is not a folder")
    assert list(tmp_path.iterdir()) == []

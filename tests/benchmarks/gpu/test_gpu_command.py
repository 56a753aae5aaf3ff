"""The command: a rehearsal on the CPU, its JSON, and what it refuses."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from benchmarks.gpu import __main__ as gpu
from runtime import cli


def run(*arguments: object, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
    try:
        cli.run(gpu.main)
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_a_part_that_fails_is_said_to_and_the_next_one_goes_on(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few, result = tmp_path / "few", tmp_path / "out" / "gpu.json"
    few.mkdir()
    shutil.copyfile(photographs / "0.png", few / "0.png")
    arguments = ["--parts", "presets,teacher", "--presets", "students", "--data", few, "--json", result]
    status = run(*arguments, "--device", "cpu", "--small", "--threads", 1, "--minutes", 5, monkeypatch=monkeypatch)
    assert status == 1
    printed = capsys.readouterr()
    assert "this is a rehearsal on the CPU: no figure here is of a GPU" in printed.err
    document = json.loads(result.read_text())
    assert list(document["parts"]) == ["teacher", "presets"]
    teacher, presets = document["parts"].values()
    assert teacher["failed"].startswith("few holds 1 images; a teacher needs 4 or more")
    assert f"teacher: {teacher['failed']}" in document["not_measured"]
    assert "paper: not asked for, or its turn did not come" in document["not_measured"]
    assert "anything on a GPU" in document["not_measured"]
    assert document["notes"][0].startswith("a rehearsal on the CPU")
    assert (document["device"], document["gpu_name"]) == ("cpu", None)
    (students,) = presets["presets"]
    assert [(row["name"], row["precision"], row["size_hw"]) for row in students["rows"]] == [
        ("fp32", "fp32", [64, 64]),
        ("fp16", "fp16", [64, 64]),
    ]
    assert all(row["latency_ms"]["max"] >= row["latency_ms"]["p50"] > 0 for row in students["rows"])
    assert all(row["multiply_adds"] > 0 for row in students["rows"])
    assert {name: each["score_in_deviations"] for name, each in students["agreement"].items()} == {"fp32": 0, "fp16": 0}
    assert students["failed_rows"] == {}
    assert str(tmp_path) not in result.read_text()
    log = result.with_suffix(".log").read_text()
    assert "teacher: failed after" in log
    assert "Traceback" in log
    assert run(*arguments, monkeypatch=monkeypatch) == 2
    assert "is there already, and its figures would be lost" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--json", "x.json"], "error: the part teacher takes photographs; name their folder with --data, or leave it"),
        (["--json", "x.json", "--data", "photographs"], "error: the part paper takes good images of one category; na"),
        (["--parts", "tests,all"], "error: --parts is 'tests,all'; expected different ones of tests,teacher,paper,pre"),
        (["--parts", "tests,tests"], "error: --parts is 'tests,tests'; expected different ones of"),
        (["--parts", "tests"], "error: nothing says where the figures go; name a file with --json"),
        (["--data", "nowhere", "--category", "."], "error: nowhere is not a folder; give a folder of images"),
        (["--parts", "tests", "--category", "empty"], "error: empty holds no images"),
        (
            ["--parts", "tests", "--descriptor-weights", "x"],
            "error: --descriptor-weights is x, which is no file; check",
        ),
        (
            ["--parts", "presets", "--presets", "quick", "--json", "x.json"],
            "error: --presets is 'quick'; expected diff",
        ),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str],
    expected: str,
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "photographs").symlink_to(photographs)
    monkeypatch.chdir(tmp_path)
    assert run(*arguments, monkeypatch=monkeypatch) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(expected)
    assert printed.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "photographs"]


def test_a_gpu_that_is_not_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    arguments = ["--parts", "tests", "--device", "cuda", "--json", tmp_path / "x.json"]
    assert run(*arguments, monkeypatch=monkeypatch) == 2
    assert "device is cuda, but PyTorch finds no NVIDIA GPU" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []

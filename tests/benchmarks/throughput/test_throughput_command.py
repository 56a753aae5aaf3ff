"""The command: rows of a detector and of other files, its JSON and its plots."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto
from small_graphs import image_model

from benchmarks.throughput import __main__ as throughput
from benchmarks.throughput import roofline
from runtime import cli
from runtime.default_detector import DEMO_DETECTOR


def run(command: Any, *arguments: object, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
    try:
        cli.run(command.main)
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_a_detector_and_another_file_are_timed_side_by_side(
    tmp_path: Path, small_limits: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copyfile(DEMO_DETECTOR, tmp_path / "ours.onnx")
    (tmp_path / "theirs.onnx").write_bytes(image_model((TensorProto.FLOAT, ("n", 3, "h", "w"))))
    result, plot, again = (tmp_path / name for name in ("result.json", "roof.svg", "again.svg"))
    arguments = [tmp_path / "ours.onnx", "--onnx", f"small={tmp_path / 'theirs.onnx'}", "--size", "40,48"]
    arguments += ["--threads", 1, "--batches", 1, "--repeats", 3, "--seconds", 0.1, "--json", result]
    assert run(throughput, *arguments, "--roofline", plot, monkeypatch=monkeypatch) == 0
    printed = capsys.readouterr().out
    assert printed.index("Time as a ratio** to the median of `ours`") < printed.index("Absolute times")
    document = json.loads(result.read_text())
    ours, small = document["rows"]
    assert (ours["name"], ours["size_hw"]) == ("ours", [256, 256])
    assert ours["latency_ratio"]["p50"] == pytest.approx(1)
    assert (small["name"], small["size_hw"], small["multiply_adds"]) == ("small", [40, 48], 40 * 48 * 3)
    assert small["latency_ratio"]["p50"] < 0.5
    assert [one["batch"] for one in ours["throughput"]] == [1]
    assert ours["share"] > 0
    assert document["threads"] == 1
    assert document["environment"]["cpu"]
    assert str(tmp_path) not in result.read_text()
    assert run(roofline, result, "--out", again, monkeypatch=monkeypatch) == 0
    assert again.read_bytes() == plot.read_bytes()


def test_presets_nobody_trained_are_timed_and_said_to_have_random_weights(
    teacher_files: dict[int, Path],
    shallow_backbone: Path,
    tmp_path: Path,
    small_limits: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = "paper:students=1:size_hw=32,36:output-stride=8:width=0.125:teachers=teacher-33.safetensors"
    monkeypatch.chdir(teacher_files[33].parent)
    result, fast = tmp_path / "result.json", f"fast:side=64:coreset=100:backbone={shallow_backbone}"
    arguments = ["--random", f"small={fast}", settings, "--precision", "fp16", "--threads", 1]
    arguments += ["--batches", 1, "--repeats", 3, "--seconds", 0.1, "--json", result]
    assert run(throughput, *arguments, monkeypatch=monkeypatch) == 0
    small, own = json.loads(result.read_text())["rows"]
    assert (small["name"], small["random"], small["size_hw"]) == ("small", fast, [64, 64])
    assert (own["name"], own["random"], own["size_hw"]) == (settings, settings, [32, 36])
    assert {small["precision"], own["precision"]} == {"fp16"}
    assert min(small["multiply_adds"], own["multiply_adds"]) > 0
    printed = capsys.readouterr().out
    assert printed.count("| small (random weights) ") == 3


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["nowhere.onnx"], "error: nowhere.onnx does not exist; expected a detector.onnx, a detector.plan or a run"),
        ([], "error: the rows are named nothing; expected each to have a name of its own"),
        (["."], "error: . is no run folder (no config.yaml); make one with python -m train"),
        (["--random", "quick"], "error: --random is 'quick': preset 'quick' is none of accurate, edge, fast, imit"),
        (["--random", "edge:size=64,64"], "error: --random is 'edge:size=64,64': unknown option size; known are data,"),
        (["--random", "edge:size_hw"], "error: --random is 'edge:size_hw'; expected NAME=PRESET:OPTION=VALUE:OPTION"),
        (["--random", "=edge"], "error: --random is '=edge'; expected NAME=PRESET:OPTION=VALUE"),
        (["--random", "edge:seed=1:seed=2"], "error: --random is 'edge:seed=1:seed=2'; expected NAME=PRESET:OPTION"),
        (["--random", "edge:size_hw=16,16"], "error: --random is 'edge:size_hw=16,16': size_hw is 16,16; expected 32"),
        (
            ["--random", "fast", "students:teachers=p34"],
            "error: --random is 'students:teachers=p34': teacher 'p34' is neither",
        ),
        (["--random", "edge:backbone=p34"], "error: --random is 'edge:backbone=p34': backbone 'p34' is neither"),
        ([DEMO_DETECTOR, "--repeats", "1"], "error: --repeats is 1; expected 3 or more"),
        ([DEMO_DETECTOR, "--reference", "x", "--batches"], "error: --reference is 'x'; expected one of demo"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[object],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(throughput, *arguments, monkeypatch=monkeypatch) == 2
    assert capsys.readouterr().err.startswith(expected)


def test_a_result_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.json").write_text("not JSON")
    assert run(roofline, tmp_path / "x.json", "--out", tmp_path / "x.svg", monkeypatch=monkeypatch) == 2
    assert "cannot be read as JSON" in capsys.readouterr().err

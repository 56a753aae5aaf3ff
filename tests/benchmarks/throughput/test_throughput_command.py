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
from runtime.stream import DEMO_DETECTOR


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
    assert (ours["name"], ours["size_hw"]) == ("ours", [192, 192])
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


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["nowhere.onnx"], "error: nowhere.onnx does not exist; expected a detector.onnx, a detector.plan or a run"),
        ([], "error: the rows are named nothing; expected each to have a name of its own"),
        (["."], "error: . is no run folder (no config.yaml); make one with python -m train.students"),
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

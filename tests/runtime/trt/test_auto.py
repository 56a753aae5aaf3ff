"""``--engine auto`` and ``--engine tensorrt`` where a plan lies beside the detector."""

import json
from pathlib import Path

import pytest

from runtime import info
from runtime.choice import engines
from runtime.choice.memory import read_choice
from runtime.detector import Detector


@pytest.mark.parametrize("suffix", [".plan", ".onnx"])
def test_a_plan_is_compared_and_timed_once_and_remembered(
    suffix: str, plan_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Detector.open(plan_file.with_suffix(suffix), threads=1, engine="auto") as detector:
        why = detector.why
    choice = read_choice(plan_file.with_suffix(".choice.json"))
    assert choice is not None
    assert choice.left_out.keys() | choice.ratios.keys() >= {"onnxruntime on 1 CPU threads", "tensorrt"}
    assert "tensorrt" in choice.ratios  # it agrees
    monkeypatch.setattr(engines, "measured", lambda *given: pytest.fail("measured again"))
    with Detector.open(plan_file, threads=1, engine="auto") as detector:
        assert detector.why == why == f"auto: {choice.words()}"
    monkeypatch.setattr("sys.argv", ["info", str(plan_file.with_suffix(".onnx"))])
    info.main()
    assert choice.words() in capsys.readouterr().out


def test_what_is_remembered_is_what_runs(plan_file: Path) -> None:
    memory = plan_file.with_suffix(".choice.json")
    Detector.open(plan_file, threads=1, engine="auto").close()
    for name, library in (("tensorrt", "TensorRT"), ("onnxruntime on 1 CPU threads", "ONNX Runtime")):
        memory.write_text(json.dumps(json.loads(memory.read_text()) | {"chosen": name}))
        with Detector.open(plan_file, threads=1, engine="auto") as detector:
            assert library in detector.engine.description


def test_another_plan_makes_the_memory_stale_and_a_bad_one_is_left_out(plan_file: Path) -> None:
    Detector.open(plan_file, threads=1, engine="auto").close()
    plan_file.write_bytes(b"another")
    with Detector.open(plan_file, threads=1, engine="auto") as detector:
        assert "ONNX Runtime" in detector.engine.description
        assert "; tensorrt is left out: " in detector.why
        assert "does not hold any more: it was measured with another tensorrt" in detector.why


def test_tensorrt_asked_for_is_the_plan_beside_the_detector(plan_file: Path) -> None:
    with Detector.open(plan_file.with_suffix(".onnx"), engine="tensorrt") as detector:
        assert "TensorRT" in detector.engine.description
        assert detector.why == "as asked"

"""Rivals: what can be said without anomalib, and its real exports where it is installed."""

import argparse
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from benchmarks.throughput import rivals
from runtime import cli
from runtime.errors import InputError

INSTALLED = importlib.util.find_spec("anomalib") is not None


def model_of(first: int | str) -> bytes:
    node = helper.make_node("Relu", ["x"], ["y"])
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [first, 3, 8, 8]) for name in "xy")
    return bytes(helper.make_model(helper.make_graph([node], "relu", [x], [y])).SerializeToString())


def test_a_batch_that_the_exporter_fixed_is_seen() -> None:
    assert rivals.takes_any_number(model_of("n"))
    assert not rivals.takes_any_number(model_of(2))


def test_a_size_is_height_and_width() -> None:
    assert rivals.size_hw("256,320") == (256, 320)
    for text in ("256", "256,0", "a,b", "1,2,3"):
        with pytest.raises(argparse.ArgumentTypeError, match="is no size; expected height,width such as 256,256"):
            rivals.size_hw(text)


def test_a_name_that_is_no_rival_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'winclip' is no rival; expected some of efficientad-s"):
        list(rivals.export_rivals(tmp_path, ["winclip"], (256, 256)))


@pytest.mark.skipif(INSTALLED, reason="anomalib is installed here")
def test_without_anomalib_its_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["rivals", "--out", str(tmp_path), "--only", "stfpm"])
    with pytest.raises(SystemExit) as ended:
        cli.run(rivals.main)
    assert ended.value.code == 2
    assert "is not installed; pip install 'proctor[rivals]'" in capsys.readouterr().err


@pytest.mark.skipif(not INSTALLED, reason="needs anomalib, which brings gigabytes: pip install 'proctor[rivals]'")
@pytest.mark.parametrize("name", rivals.RIVALS)
def test_a_rival_exported_has_a_map_and_a_score(name: str, tmp_path: Path) -> None:
    import onnxruntime

    (path,) = rivals.export_rivals(tmp_path, [name], (256, 256), memory=100)
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    batch = 1 if name == "patchcore" else 2
    values = session.run(["anomaly_map", "pred_score"], {"input": np.zeros((batch, 3, 256, 256), np.float32)})
    assert values[0].shape == (batch, 1, 256, 256)
    assert values[1].size == batch
    assert [output.name for output in session.get_outputs()] == ["pred_score", "anomaly_map"]
    assert all(np.isfinite(value).all() for value in values)

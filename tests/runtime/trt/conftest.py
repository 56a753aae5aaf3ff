"""A detector with its parity frames, and a machine with a GPU and TensorRT to build and open plans on."""

import hashlib
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx_tensorrt import OnnxTensorRt
from recording_cuda import GPU, RecordingCuda
from runtime_samples import SIZE_HW, write_detector
from tensorrt_samples import Computer

from runtime.detector_file import read_detector, write_recipe
from runtime.tensorrt import library, plans
from runtime.tensorrt.builder import BuildOptions


@pytest.fixture
def computer(monkeypatch: pytest.MonkeyPatch) -> Computer:
    machine = Computer(GPU, OnnxTensorRt(lambda: machine.opened[-1]), [])

    def open_cuda(binding: str = "auto") -> RecordingCuda:
        machine.opened.append(RecordingCuda(machine.gpu))
        return machine.opened[-1]

    def load() -> OnnxTensorRt:
        assert machine.opened, "TensorRT was touched before CUDA was asked for a driver"
        library.check_version(machine.trt.__version__)
        return machine.trt

    monkeypatch.setattr(plans, "open_cuda", open_cuda)
    monkeypatch.setattr(library, "load", load)
    return machine


@pytest.fixture
def detector_file(tmp_path: Path) -> Path:
    """The tiny detector with parity frames beside it."""
    pytest.importorskip("onnx", reason="the detector of these tests is built with the onnx package")
    path = write_detector(tmp_path / "detector.onnx")
    file = io.BytesIO()
    np.savez_compressed(file, frames=np.random.default_rng(0).integers(0, 255, (4, *SIZE_HW, 3), np.uint8))
    path.with_suffix(".parity.npz").write_bytes(file.getvalue())
    model, recipe = read_detector(path)
    write_recipe(path, model, replace(recipe, parity_sha256=hashlib.sha256(file.getvalue()).hexdigest()))
    return path


@pytest.fixture
def plan_file(detector_file: Path, computer: Computer) -> Path:
    """The detector's plan, built on `computer`."""
    path = detector_file.with_suffix(".plan")
    plans.build_plan_file(detector_file, path, BuildOptions(max_batch=2))
    computer.events.clear()
    return path


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text("0123456789abcdef0123456789abcdef\n")
    return path

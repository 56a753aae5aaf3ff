"""``python -m export.engine``: the command around the build, as a user meets it on a machine without a GPU."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[2] / "runtime" / "data" / "demo.onnx"


def run(environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "export.engine", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.splitlines()
    return line.removeprefix("error: ")


def test_a_missing_file_is_told(environment: dict[str, str], tmp_path: Path) -> None:
    assert "missing.onnx cannot be read (No such file" in sentence(run(environment, tmp_path / "missing.onnx"))


def test_a_detector_without_its_frames_is_told_before_anything_else(
    environment: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "detector.onnx"
    path.write_bytes(DEMO.read_bytes())
    assert "detector.parity.npz cannot be read" in sentence(run(environment, path))


def test_options_out_of_range_are_told(environment: dict[str, str]) -> None:
    assert "max_batch is 100; expected 1 to 64" in sentence(run(environment, DEMO, "--max-batch", 100))
    assert "expected a name ending in .plan" in sentence(run(environment, DEMO, "--out", "detector.engine"))


def test_the_command_needs_neither_torch_nor_tensorrt_nor_onnx_to_explain_itself(environment: dict[str, str]) -> None:
    program = """
import sys
for name in ("torch", "onnx", "tensorrt", "cuda", "pycuda", "scipy", "calibration", "train"):
    sys.modules[name] = None
import runtime.tensorrt.plans
from export.engine import main
sys.argv = ["export.engine", "--help"]
main()
"""
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "--optimization-level" in done.stdout


def test_a_machine_without_a_driver_is_told_in_one_sentence(
    environment: dict[str, str], detector_file: Path, tmp_path: Path
) -> None:
    from runtime.cuda_driver import require_driver
    from runtime.errors import EngineError

    try:
        require_driver()
    except EngineError:
        pass
    else:
        pytest.skip("there is a GPU here")
    for path in (detector_file, detector_file.with_suffix(".parity.npz")):
        shutil.copy(path, tmp_path)
    assert sentence(run(environment, tmp_path / "detector.onnx")).startswith("there is no NVIDIA driver")
    assert not list(tmp_path.glob("*.plan*"))

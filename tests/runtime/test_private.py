"""What leaves the machine while commands run: nothing, as the system calls of real processes show."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dockerfile import parse

pytestmark = pytest.mark.peer

ROOT = Path(__file__).parents[2]
FOLDERS = ["runtime", "train", "calibration", "export", "benchmarks"]
DEMO = ROOT / "runtime" / "data" / "demo.onnx"
# an address family that leaves the machine, or what a look-up of a host's name reads
ASKS = re.compile(r"AF_INET|/etc/(resolv\.conf|hosts|nsswitch\.conf|host\.conf)")
SESSION = f"import onnxruntime; onnxruntime.InferenceSession({str(DEMO)!r}, providers=['CPUExecutionProvider'])"


def traced(tmp_path: Path, *arguments: str) -> tuple[list[str], list[str]]:
    """Run Python in an empty home folder: what it left there, and the calls by which it asked for the network."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed; without it nobody sees what a process asks the system for")
    home, trace = tmp_path / "home", tmp_path / "trace"
    home.mkdir()
    switches = ("ORT_DISABLE_TELEMETRY", "CI", "TF_BUILD", "JENKINS_URL")  # any of them would keep a library silent
    environment = {name: value for name, value in os.environ.items() if name not in switches}
    environment |= {"HOME": str(home), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = ["strace", "-f", "-qq", "-e", "trace=%network,%file", "-o", str(trace), sys.executable, *arguments]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    if "PTRACE_TRACEME" in done.stderr:
        pytest.skip("this system lets no process be traced")
    assert done.returncode == 0, done.stderr
    left = sorted(str(path.relative_to(home)) for path in home.rglob("*"))
    return left, [line for line in trace.read_text(errors="replace").splitlines() if ASKS.search(line)]


def test_a_stream_leaves_nothing_at_home_and_asks_no_name_server(tmp_path: Path) -> None:
    assert traced(tmp_path, "-m", "runtime.stream", "--camera", "demo", "--frames", "3", "--threads", "1") == ([], [])


@pytest.mark.parametrize("folder", FOLDERS[1:])
def test_a_session_opened_from_another_folder_does_neither(folder: str, tmp_path: Path) -> None:
    assert traced(tmp_path, "-c", f"import {folder}; {SESSION}") == ([], [])


def test_the_trace_sees_what_onnx_runtime_does_by_itself(tmp_path: Path) -> None:
    """Without Proctor; a version that does nothing needs no switch."""
    left, _ = traced(tmp_path, "-c", SESSION)
    if not left:
        pytest.skip("this ONNX Runtime leaves nothing at home")
    assert any("Microsoft" in path for path in left)


@pytest.mark.skipif(
    not importlib.util.find_spec("openvino") or not importlib.util.find_spec("openvino_telemetry"),
    reason="openvino, which an option of benchmarks.throughput runs, is not installed with its telemetry",
)
def test_openvino_reports_nothing_from_a_benchmark(tmp_path: Path) -> None:
    assert traced(tmp_path, "-c", "import benchmarks, openvino; openvino.Core()") == ([], [])


@pytest.mark.parametrize("folder", FOLDERS)
def test_telemetry_is_off_for_children_too_whatever_was_set(folder: str) -> None:
    child = "import os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    program = f"import {folder}, subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "ORT_DISABLE_TELEMETRY": "0"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_onnx_runtime_loaded_before_is_warned_of() -> None:
    program = "import onnxruntime; import runtime"
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {"PYTHONPATH": str(ROOT), "HOME": "/nonexistent"}
    run = [sys.executable, "-c", program]
    late = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=60)
    assert "ONNX Runtime was loaded before Proctor, with its telemetry on; import runtime first" in late.stderr
    environment["ORT_DISABLE_TELEMETRY"] = "1"
    off = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=60)
    assert "telemetry" not in off.stderr


def test_every_folder_with_code_is_among_those_tried() -> None:
    assert {path.parent.name for path in ROOT.glob("*/__init__.py")} == set(FOLDERS)


@pytest.mark.parametrize("name", ["desktop.Dockerfile", "jetson.Dockerfile"])
def test_a_container_has_it_off_for_whatever_runs_in_it(name: str) -> None:
    instructions = parse((ROOT / "runtime" / "docker" / name).read_text())
    assert any(i.name == "ENV" and "ORT_DISABLE_TELEMETRY=1" in i.arguments.split() for i in instructions)

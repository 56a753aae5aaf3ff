"""The doctor as a whole: on this machine as it is, and on one whose libraries are broken in a way of its own."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cuda_stub
import numpy as np
import onnxruntime
import pytest
from runtime_samples import make_recipe
from tensorrt_samples import make_sidecar

from runtime.doctor import vendor
from runtime.doctor.__main__ import describe
from runtime.doctor.detector_file import examine_detector
from runtime.doctor.driver import Device, Driver, examine_driver
from runtime.doctor.findings import Finding, Status
from runtime.doctor.onnx_runtime import judge_golden, on_cuda
from runtime.doctor.report import Report, conclude, examine
from runtime.doctor.tensorrt_library import TensorRT
from runtime.tensorrt.plans import Vouched, write_plan

ROOT = Path(__file__).parents[3]
DEMO = ROOT / "runtime" / "data" / "demo.onnx"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """This machine, with no driver and an empty working folder."""
    folder = tmp_path_factory.mktemp("empty")
    return examine(root=folder, folder=folder, library="libcuda-of-nobody.so.1")


def doctor(
    environment: dict[str, str], folder: Path, *arguments: str, modules: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command in `folder`, with `modules` (source by name) in front of the installed ones."""
    shadow = folder / "shadow"
    shadow.mkdir()
    for name, source in (modules or {}).items():
        (shadow / f"{name}.py").write_text(source)
    environment = {**environment, "PYTHONPATH": f"{shadow}:{ROOT}"}
    command = [sys.executable, "-m", "runtime.doctor", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def test_this_machine_can_run_and_no_vendors_library_enters_the_doctors_process(
    environment: dict[str, str], tmp_path: Path
) -> None:
    heavy = ("torch", "pycuda", "cuda.bindings", "tensorrt", "onnxruntime", "cv2", "numpy")
    program = (
        "import sys; from runtime.doctor.__main__ import main; sys.argv = ['doctor']; main()\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "cpu: the demo detector gives its golden map and score" in done.stdout
    *_, conclusion, imported = done.stdout.splitlines()
    assert conclusion.startswith("The stream would run the demo detector (--camera demo) with ONNX Runtime ")
    assert imported == "[]"


def test_json_is_one_document_with_a_schema(environment: dict[str, str], tmp_path: Path) -> None:
    shutil.copy(DEMO, tmp_path / "detector.onnx")
    done = doctor(environment, tmp_path, "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["schema"], document["runs"]) == (0, 1, True)
    assert document["onnx_runtime"]["cpu_works"] is True
    assert document["detector"]["path"] == "detector.onnx"
    assert document["conclusion"].startswith("The stream would run detector.onnx with ONNX Runtime ")
    findings = [f for area in document.values() if isinstance(area, dict) for f in area["findings"]]
    assert {f["status"] for f in findings} <= {"ok", "absent", "broken"}
    assert [f for f in findings if f["status"] == "broken" and not f["remedy"]] == []


@pytest.mark.parametrize(
    ("modules", "first", "others"),
    [
        ({"onnxruntime": "import os; os.abort()"}, "ONNX Runtime: importing it crashed (SIGABRT)", []),
        (
            {"cv2": "raise ImportError('libGL.so.1: not found')"},
            "OpenCV: importing it failed: ImportError: libGL.so.1: not found",
            [],
        ),
        (
            {"numpy": "raise ImportError('built for another Python')"},
            "packages: importing numpy failed: ImportError: built for another Python",
            [],
        ),
        (
            {
                "yaml": "raise ImportError('half a file')",
                "av": "import os; os.abort()",
                "simplejpeg": "raise ImportError('libjpeg')",
            },
            "packages: importing simplejpeg failed: ImportError: libjpeg",
            ["importing yaml failed: ImportError: half a file", "importing av crashed (SIGABRT)"],
        ),
    ],
    ids=["onnxruntime", "cv2", "numpy", "yaml, av and simplejpeg"],
)
def test_broken_libraries_are_named_and_the_exit_status_is_1(
    modules: dict[str, str], first: str, others: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    # also where the terminal has neither arrows nor a sigma
    done = doctor({**environment, "PYTHONIOENCODING": "ascii"}, tmp_path, modules=modules)
    assert (done.returncode, done.stderr) == (1, "")
    last = done.stdout.splitlines()[-1]
    assert last.startswith("The stream cannot run: ")
    assert first in last
    if others:
        assert last.endswith(f" (and {len(others)} more).")
    for text in others:
        assert text in done.stdout


def test_a_detector_that_cannot_be_read_stops_the_stream(tmp_path: Path) -> None:
    (tmp_path / "detector.onnx").write_bytes(DEMO.read_bytes()[:1000])
    (finding,) = examine_detector(tmp_path, True, True).findings
    assert finding.stops
    assert "reading detector.onnx failed: " in finding.text
    assert "detector.onnx: not an ONNX file, or a damaged one; copy the file again; if the original" in finding.text
    assert finding.remedy.startswith("copy it again")


def test_the_runtime_gives_its_names_on_first_use(environment: dict[str, str]) -> None:
    program = (
        "import sys, runtime; print('numpy' in sys.modules, hasattr(runtime, 'nothing'))\n"
        "print([name for name in runtime.__all__ if getattr(runtime, name).__name__ != name])\n"
        "from runtime import *; print(Detector is sys.modules['runtime.detector'].Detector)"
    )
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["False False", "[]", "True"], done.stderr


def test_help_needs_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    hidden = dict.fromkeys(("numpy", "cv2", "onnxruntime"), "raise SystemExit('imported')")
    done = doctor(environment, tmp_path, "--help", modules=hidden)
    assert (done.returncode, done.stderr) == (0, "")
    assert "usage: python -m runtime.doctor" in done.stdout


def test_golden_arrays_of_another_detector_are_a_fault(tmp_path: Path) -> None:
    shutil.copy(DEMO, tmp_path / "demo.onnx")
    with np.load(DEMO.with_name("demo.golden.npz")) as arrays:
        changed = {**arrays, "anomaly_map": arrays["anomaly_map"] + arrays["anomaly_map"].std() / 100}
    np.savez(tmp_path / "demo.golden.npz", **changed)
    deviation = vendor.golden("cpu", str(tmp_path))["deviation"]
    assert deviation == pytest.approx(0.01, rel=0.05)
    finding = judge_golden(deviation, "cpu")
    assert finding.stops
    assert "0.01 σ off its golden one, at most 0.001 σ is rounding" in finding.text
    assert judge_golden(deviation, "cuda").status is Status.OK


def test_cuda_is_tried_only_with_a_driver_and_really(tmp_path: Path) -> None:
    without = on_cuda(examine_driver(tmp_path, "libcuda-of-nobody.so.1"))
    assert without.status is Status.ABSENT
    assert "cannot work without the NVIDIA driver" in without.text
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA; what one without says cannot be seen")
    driven = on_cuda(examine_driver(tmp_path, str(cuda_stub.build(tmp_path))))
    assert driven.status is Status.BROKEN
    assert "this ONNX Runtime has no CUDAExecutionProvider" in driven.text
    assert not driven.stops


def with_gpu(report: Report, tensorrt: TensorRT, bindings: Status) -> Report:
    driver = Driver((12, 6), None, (Device("Orin", (8, 7), 8 << 30),), ())
    binding = Finding("CUDA bindings", bindings, "pycuda", "" if bindings is Status.OK else "pip install pycuda")
    return replace(report, driver=driver, tensorrt=tensorrt, bindings=replace(report.bindings, findings=(binding,)))


def test_the_conclusion_says_what_would_be_faster(here: Report) -> None:
    ready = TensorRT("10.3.0", (Finding("TensorRT", Status.OK, "10.3.0"),))
    absent = TensorRT(None, (Finding("TensorRT", Status.ABSENT, "not installed", "install it"),))
    assert "Faster: an NVIDIA GPU with its driver; none answers here." in conclude(here)
    faster = conclude(with_gpu(here, ready, Status.OK))
    assert faster.endswith("Faster: a TensorRT plan for Orin (python -m export.engine detector.onnx).")
    assert "TensorRT on Orin; TensorRT: not installed; install it." in conclude(with_gpu(here, absent, Status.OK))
    assert "CUDA bindings: pycuda; pip install pycuda." in conclude(with_gpu(here, ready, Status.ABSENT))
    cuda = replace(here, onnx_runtime=replace(here.onnx_runtime, cuda_works=True))
    assert conclude(with_gpu(cuda, ready, Status.OK)).endswith(", or now: --provider cuda.")


def test_a_plan_needs_its_sidecar_and_something_to_run_it(tmp_path: Path) -> None:
    (tmp_path / "detector.plan").write_bytes(b"plan")
    (finding,) = examine_detector(tmp_path, True, True).findings
    assert finding.stops
    assert "has no detector.plan.json beside it to vouch for it" in finding.text
    write_plan(tmp_path / "detector.plan", Vouched(b"plan", make_sidecar(b"another plan"), False))
    (finding,) = examine_detector(tmp_path, True, True).findings
    assert "is not the plan that detector.plan.json vouches for" in finding.text
    write_plan(tmp_path / "detector.plan", Vouched(b"plan", make_sidecar(b"plan"), False))
    found = examine_detector(tmp_path, True, True)
    assert (found.is_plan, found.recipe_sha256) == (True, make_recipe().sha256)
    assert not any(f.stops for f in found.findings)
    assert examine_detector(tmp_path, True, False).findings[-1].stops


def test_every_area_has_a_heading_once(here: Report) -> None:
    lines = describe(here)
    for area in ("machine", "packages", "ONNX Runtime", "NVIDIA driver", "TensorRT", "OpenCV", "cameras", "detector"):
        assert sum(line.startswith(f"{area}:") for line in lines) == 1
    assert lines[-1] == conclude(here)


def test_a_finding_stops_only_when_it_is_needed_and_not_ok() -> None:
    assert Finding("a", Status.ABSENT, "", needed=True).stops
    assert not Finding("a", Status.OK, "", needed=True).stops
    assert not Finding("a", Status.BROKEN, "").stops

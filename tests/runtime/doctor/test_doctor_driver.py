"""The driver's library asked through ctypes: a compiled stand-in, whole and failing in each way."""

import time
from pathlib import Path

import cuda_stub
import pytest

from runtime.doctor import driver
from runtime.doctor.driver import Device, examine_driver
from runtime.doctor.findings import Status
from runtime.doctor.probe import ask


def module_version(root: Path, text: str) -> None:
    (root / "proc/driver/nvidia").mkdir(parents=True)
    (root / "proc/driver/nvidia/version").write_text(text)


def test_devices_are_named_with_their_capability_and_memory(tmp_path: Path) -> None:
    found = examine_driver(tmp_path, str(cuda_stub.build(tmp_path)))
    assert found.cuda == (12, 6)
    assert found.devices == (Device("Orin", (8, 7), 8 << 30), Device("NVIDIA L4", (8, 9), 24 << 30))
    assert found.works
    (finding,) = found.findings
    assert finding.status is Status.OK
    assert finding.text == (
        "supports CUDA 12.6: Orin, compute capability 8.7, 8.0 GiB; NVIDIA L4, compute capability 8.9, 24.0 GiB"
    )


@pytest.mark.parametrize(
    ("define", "text"),
    [
        ("INIT=return 803", "does not start: cuInit returned CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803)"),
        ("INIT=return 999", "does not start: cuInit returned error 999"),
        ("COUNT=0", "the driver sees no GPU"),
        ("NO_MEMORY_FUNCTION", "does not start: the library has no cuDeviceTotalMem_v2"),
        ("INIT=abort()", "libcuda-stub.so crashed (SIGABRT)"),
    ],
)
def test_a_driver_that_fails_is_a_finding_with_a_remedy(define: str, text: str, tmp_path: Path) -> None:
    found = examine_driver(tmp_path, str(cuda_stub.build(tmp_path, define)))
    (finding,) = found.findings
    assert finding.status is Status.BROKEN
    assert text in finding.text
    assert finding.remedy
    assert not found.works
    assert not finding.stops, "a CPU runs without a GPU"


def test_a_driver_that_hangs_is_given_up(tmp_path: Path) -> None:
    library = cuda_stub.build(tmp_path, "INIT=return (int)sleep(600)")
    started = time.monotonic()
    assert ask("runtime.cuda_driver", str(library), timeout_s=0.5).problem == "no answer within 0.5 s"
    assert time.monotonic() - started < 10


def test_no_driver_is_absent_and_not_broken(tmp_path: Path) -> None:
    (finding,) = examine_driver(tmp_path, "libcuda-of-nobody.so.1").findings
    assert finding.status is Status.ABSENT
    assert finding.text.startswith("none (libcuda-of-nobody.so.1: ")
    assert "--gpus all" in finding.remedy


def test_a_file_that_is_no_library_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "text.so").write_text("not ELF")
    (finding,) = examine_driver(tmp_path, str(tmp_path / "text.so")).findings
    assert "text.so" in finding.text


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024", "550.54.15"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  560.35.03  Release Build", "560.35.03"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  540.4.0  Release Build", "540.4.0"),
    ],
)
def test_a_kernel_module_without_its_library_means_a_container_started_without_the_gpu(
    line: str, version: str, tmp_path: Path
) -> None:
    module_version(tmp_path, line)
    found = examine_driver(tmp_path, "libcuda-of-nobody.so.1")
    assert found.kernel_module == version
    (finding,) = found.findings
    assert finding.status is Status.BROKEN
    assert "--gpus all" in finding.remedy


def test_the_library_is_the_drivers_own() -> None:
    assert driver.LIBRARY in ("libcuda.so.1", "nvcuda.dll")

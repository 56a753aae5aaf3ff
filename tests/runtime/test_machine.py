"""What is said of the machine, by files as kernels write them."""

from pathlib import Path

import pytest

from runtime import machine
from runtime.machine import Machine, cpu_model, physical_cores


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"proc/cpuinfo": "processor\t: 0\nmodel name\t: Xeon: fast\n"}, "Xeon: fast"),
        ({"proc/cpuinfo": "processor\t: 0\n", "proc/device-tree/model": "Jetson Orin\0"}, "Jetson Orin"),
        ({}, "generic"),
    ],
)
def test_the_cpu_is_named_by_the_kernel_the_board_or_python(
    files: dict[str, str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.processor", lambda: "generic")
    write(tmp_path, files)
    assert cpu_model(tmp_path) == expected


@pytest.mark.parametrize(("siblings", "cores"), [(["0,2", "1,3", "0,2", "1,3"], 2), (["0", "1", "2", "3"], 4), ([], 4)])
def test_threads_that_share_a_core_are_one_physical_core(
    siblings: list[str], cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_usable", lambda: {0, 1, 2, 3})
    names = [f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list" for cpu in range(len(siblings))]
    write(tmp_path, dict(zip(names, siblings, strict=True)))
    assert physical_cores(tmp_path) == cores


def test_this_machine_equals_itself_and_names_its_engine() -> None:
    assert Machine.here() == Machine.here()
    assert Machine.here().difference(Machine.here()) is None
    assert "onnxruntime" in Machine.here().versions or "onnxruntime-gpu" in Machine.here().versions


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)

"""A question to a vendor's library, in a process that may do anything."""

from pathlib import Path

import pytest

from runtime.doctor.findings import Status
from runtime.doctor.probe import ask, last_line
from runtime.doctor.tensorrt_library import MODULE, examine_tensorrt, judge


@pytest.fixture
def tensorrt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The source of a module `tensorrt` that this process and those it asks would import."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / f"{MODULE}.py"


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("import os; os.abort()", "crashed (SIGABRT)"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "crashed (SIGSEGV)"),
        ("raise ImportError('libnvinfer.so.10: cannot open')", "failed: ImportError: libnvinfer.so.10: cannot open"),
        ("import os; os._exit(0)", "ended without an answer"),
        ("import time; time.sleep(600)", "no answer within 1 s"),
    ],
)
def test_a_library_that_fails_is_a_finding(source: str, problem: str, tensorrt: Path) -> None:
    tensorrt.write_text(source)
    found = examine_tensorrt(is_jetson=False, timeout_s=1 if "sleep" in source else 30)
    (finding,) = found.findings
    assert finding.status is Status.BROKEN
    assert finding.text.endswith(f"importing it {problem}")
    assert "proctor[tensorrt]" in finding.remedy
    assert not found.works


def test_noise_on_stdout_does_not_hide_the_version(tensorrt: Path) -> None:
    tensorrt.write_text("print('[TRT] welcome', end='')\n__version__ = '10.3.0'")
    found = examine_tensorrt(is_jetson=True)
    assert found.version == "10.3.0"
    assert found.works


def test_nothing_but_the_version_is_touched(tensorrt: Path) -> None:
    tensorrt.write_text(
        "import os\n"
        "def __getattr__(name):\n"
        "    if name.startswith('__') and name != '__version__': raise AttributeError(name)\n"
        "    return '11.4.0' if name == '__version__' else os.abort()"
    )
    assert examine_tensorrt(is_jetson=False).version == "11.4.0"


def test_an_absent_library_is_absent_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.doctor.tensorrt_library.MODULE", "tensorrt_of_nobody")
    (finding,) = examine_tensorrt(is_jetson=True).findings
    assert (finding.status, finding.text) == (Status.ABSENT, "not installed")
    assert "nvidia-jetpack" in finding.remedy


@pytest.mark.parametrize(
    ("version", "status", "text"),
    [
        ("8.5.2.2", Status.BROKEN, "8.5.2.2 is too old; Proctor runs with 10.3 to 11 (JetPack 5 has 8.5)"),
        ("9.3.0", Status.BROKEN, "9.3.0 is too old; Proctor runs with 10.3 to 11"),
        ("10.2.0", Status.BROKEN, "10.2.0 is too old; Proctor runs with 10.3 to 11"),
        ("10.3.0", Status.OK, "10.3.0"),
        ("11.4.0.106", Status.OK, "11.4.0.106"),
        ("12.0.1", Status.OK, "12.0.1, newer than any that Proctor was checked against (10.3 to 11)"),
        ("dev", Status.BROKEN, "its version 'dev' is not understood"),
    ],
)
def test_versions_from_10_3_to_11_are_supported(version: str, status: Status, text: str) -> None:
    finding = judge(version)
    assert (finding.status, finding.text) == (status, text)
    assert bool(finding.remedy) == (status is Status.BROKEN)


def test_a_jetpack_5_is_told_to_upgrade() -> None:
    assert judge("8.5.2").remedy == "upgrade to JetPack 6, or use ONNX Runtime"


def test_a_question_nobody_knows_is_a_problem() -> None:
    problem = ask("runtime.doctor.nothing").problem or ""
    assert problem.startswith("failed: ")
    assert "No module named runtime.doctor.nothing" in problem


def test_the_last_line_that_says_anything_counts() -> None:
    assert last_line("Traceback\n  ...\nValueError: this\n\n") == "ValueError: this"
    assert last_line("\n") == ""

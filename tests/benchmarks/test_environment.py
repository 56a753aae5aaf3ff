"""What a benchmark says of the machine it ran on."""

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from benchmarks import environment


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "file").write_text("one")
    git(folder, "add", "file")
    git(folder, "commit", "-q", "-m", "First")
    return folder


def test_the_description_survives_json_and_names_this_interpreter() -> None:
    described = environment.describe_environment()
    assert json.loads(json.dumps(described)) == described
    assert described["python"] == sys.version.split()[0]
    packages = described["packages"]
    assert isinstance(packages, dict)
    assert packages["numpy"] == np.__version__
    assert datetime.fromisoformat(str(described["date"])).utcoffset() is not None
    assert described["cpu"]


def test_the_commit_is_the_checkouts_own(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "ROOT", checkout)
    assert environment.describe_environment()["commit"] == git(checkout, "rev-parse", "HEAD")


def test_uncommitted_changes_are_marked(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "ROOT", checkout)
    (checkout / "file").write_text("two")
    assert environment.describe_environment()["commit"] == git(checkout, "rev-parse", "HEAD") + "+changes"


def test_a_package_inside_somebody_elses_repository_has_no_commit(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = checkout / "venv"
    installed.mkdir()
    monkeypatch.setattr(environment, "ROOT", installed)
    assert environment.describe_environment()["commit"] == "unknown"


def test_without_git_the_commit_is_unknown(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "ROOT", checkout)
    monkeypatch.setenv("PATH", str(checkout))
    assert environment.describe_environment()["commit"] == "unknown"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"/proc/cpuinfo": "processor\t: 0\nmodel name\t: Xeon: fast\n"}, "Xeon: fast"),
        ({"/proc/cpuinfo": "processor\t: 0\n", "/proc/device-tree/model": "Jetson Orin\0"}, "Jetson Orin"),
        ({}, "generic"),
    ],
)
def test_the_cpu_is_named_by_the_kernel_the_board_or_python(
    files: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "_text", lambda path: files.get(path, ""))
    monkeypatch.setattr("platform.processor", lambda: "generic")
    assert environment.describe_environment()["cpu"] == expected

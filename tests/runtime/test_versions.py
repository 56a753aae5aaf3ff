"""Which commit runs."""

import subprocess
from pathlib import Path

import pytest

from runtime import versions


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


def test_the_commit_is_the_checkouts_own(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "ROOT", checkout)
    assert versions.commit() == git(checkout, "rev-parse", "HEAD")


def test_uncommitted_changes_are_marked(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "ROOT", checkout)
    (checkout / "file").write_text("two")
    assert versions.commit() == git(checkout, "rev-parse", "HEAD") + "+changes"


def test_a_package_inside_somebody_elses_repository_has_no_commit(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = checkout / "venv"
    installed.mkdir()
    monkeypatch.setattr(versions, "ROOT", installed)
    assert versions.commit() == "unknown"


def test_without_git_the_commit_is_unknown(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "ROOT", checkout)
    monkeypatch.setenv("PATH", str(checkout))
    assert versions.commit() == "unknown"

"""Figures as a document, with their machine."""

import json
from pathlib import Path

import pytest

from benchmarks.documents import tell
from benchmarks.environment import describe_environment


def test_what_is_printed_is_what_is_written_with_the_machine_and_the_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "found.json"
    tell({"inputs": 3, "text": "\ud800 µ"}, path, {"seed": 7})
    printed, machine = capsys.readouterr().out.splitlines()
    document = json.loads(path.read_text())
    assert list(document) == ["seed", "inputs", "text", "environment"]
    assert json.loads(printed) == {"inputs": 3, "text": "\ud800 µ"}
    assert document["environment"].keys() == describe_environment().keys()
    assert machine.endswith(f"commit {document['environment']['commit'][:12]}")
    tell({"inputs": 3}, None)
    assert list(tmp_path.iterdir()) == [path]

"""The console command: every command under one name, as ``python -m`` runs it."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.console import COMMANDS

ROOT = Path(__file__).parents[2]
START = "from runtime.console import main; main()"


def proctor(*words: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", START, *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


def test_it_lists_its_commands_and_refuses_others() -> None:
    done = proctor("--help")
    assert done.returncode == 0
    assert all(f"\n  {name} " in done.stdout for name in COMMANDS)
    assert proctor().stdout == done.stdout
    assert proctor("--version").stdout.startswith("proctor ")
    wrong = proctor("strem")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: 'strem' is none of proctor's commands; expected stream, line, train, ")


def test_a_command_says_how_it_was_started_and_ends_as_it_does_alone(tmp_path: Path) -> None:
    assert "usage: proctor info [-h]" in proctor("info", "--help").stdout
    missing = proctor("info", "gone.onnx", folder=tmp_path)
    assert (missing.returncode, missing.stdout) == (2, "")
    assert missing.stderr.startswith("error: gone.onnx cannot be read")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_a_module_with_a_main(name: str) -> None:
    path = ROOT / f"{COMMANDS[name][0].replace('.', '/')}.py"
    assert "main" in {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}

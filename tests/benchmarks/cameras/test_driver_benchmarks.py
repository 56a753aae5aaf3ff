"""Benchmarks of drivers' processes: short runs over emulated cameras."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


def run(command: str, *options: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    arguments = [sys.executable, "-m", f"benchmarks.cameras.{command}", *options]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=120, env=environment)


def test_a_process_of_its_own_is_compared_with_none(tmp_path: Path, environment: dict[str, str]) -> None:
    pytest.importorskip("pypylon", reason="PYLON IS NOT TESTED here: pip install '.[pylon]'")
    path = tmp_path / "cost.json"
    options = ("--frames", "5", "--size", "64x48", "--json", str(path))
    done = run("process_cost", *options, environment=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(path.read_text())
    assert found["frames"] == 5
    assert found["ratio_p50"] == pytest.approx(found["apart_p50_ms"] / found["here_p50_ms"])
    assert 0 < found["pixels_p50_ms"] < found["apart_p50_ms"]


def test_killed_drivers_are_counted(tmp_path: Path, environment: dict[str, str]) -> None:
    pytest.importorskip("harvesters", reason="GENTL IS NOT TESTED here: pip install '.[gentl]'")
    path = tmp_path / "kills.json"
    done = run("kills", "--frames", "9", "--kills", "1", "--json", str(path), environment=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(path.read_text())
    assert (found["frames"], found["kills"], found["lost"], found["reconnects"]) == (9, 1, 1, 1)
    assert found["processes_left"] == 0
    assert len(found["gaps_s"]) == 1


def test_more_kills_than_frames_are_refused(environment: dict[str, str]) -> None:
    done = run("kills", "--frames", "3", "--kills", "3", environment=environment)
    assert done.returncode == 2
    assert done.stderr == "error: --kills is 3 of --frames 3; expected fewer kills than frames\n"

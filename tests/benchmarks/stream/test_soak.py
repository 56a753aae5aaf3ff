"""The long run: readings over all of it, without a terminal as with one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.stream.soak import Memory


def test_a_leak_shows_as_growth_and_the_warm_up_does_not() -> None:
    frames = tuple(range(10, 1010, 10))
    start = (100.0,) * 10  # the first tenth, before buffers have their size
    flat = Memory(frames, start + (300.0,) * 90)
    leaking = Memory(frames, start + tuple(300 + 0.5 * frame for frame in frames[10:]))
    assert flat.growth_mib_per_1000 == pytest.approx(0, abs=1e-6)
    assert leaking.growth_mib_per_1000 == pytest.approx(500)


def test_a_short_run_is_read_a_hundred_times(detector_file: Path, tmp_path: Path) -> None:
    """With a small detector: that of the demo, which is looked at by default, takes a tenth of a second for a frame."""
    command = [sys.executable, "-m", "benchmarks.stream.soak", "--frames", "100", "--threads", "1"]
    command += ["--detector", str(detector_file)]
    done = subprocess.run(
        [*command, "--json", str(tmp_path / "soak.json")], capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "soak.json").read_text())
    assert document["memory"]["frames"] == list(range(1, 101))
    assert document["summary"]["frames"] == 100
    assert all(mib > 10 for mib in document["memory"]["resident_mib"])


def test_too_few_frames_are_refused() -> None:
    command = [sys.executable, "-m", "benchmarks.stream.soak", "--frames", "99"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == "error: --frames is 99; expected 100 or more, to see a trend\n"

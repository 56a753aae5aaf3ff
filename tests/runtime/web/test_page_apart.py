"""The page is a process of its own: a stream or a line loads none of its packages, with a page or without."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from web_samples import PATIENCE_S

from runtime.cli import EXTRAS

ROOT = Path(__file__).parents[3]
PROGRAM = """
import atexit, runpy, sys
names = sys.argv.pop(1).split()
atexit.register(lambda: print("loaded:", *(each for each in names if each in sys.modules), file=sys.stderr))
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
PACKAGES = (*EXTRAS["web"], "h11", "anyio", "httptools")  # with what they bring


def started(folder: Path, *words: object) -> "subprocess.Popen[str]":
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PROGRAM, " ".join(PACKAGES), *map(str, words)]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def loaded(process: "subprocess.Popen[str]", said: str) -> list[str]:
    assert process.returncode == 0, said
    (told,) = [line for line in said.splitlines() if line.startswith("loaded:")]
    return told.split()[1:]


@pytest.mark.parametrize("page", [(), ("--serve", "0")], ids=["no page", "page"])
@pytest.mark.parametrize("what", [("--camera", "demo"), ("--line", "line.yaml")], ids=["camera", "line"])
def test_a_stream_loads_none_of_the_pages_packages(
    tmp_path: Path, what: tuple[str, ...], page: tuple[str, ...]
) -> None:
    (tmp_path / "line.yaml").write_text("cameras: {left: {uri: demo}, right: {uri: demo, seed: 4}}\n")
    with started(tmp_path, "runtime.stream", *what, "--frames", 2, *page) as stream:
        said = stream.communicate(timeout=60)[1]
    assert ("live page: http" in said) == bool(page)
    assert loaded(stream, said) == []


@pytest.mark.parametrize("page", [(), ("--serve", "0")], ids=["no page", "page"])
def test_a_line_loads_none_of_the_pages_packages(detector_file: Path, tmp_path: Path, page: tuple[str, ...]) -> None:
    with started(tmp_path, "runtime.line", detector_file, "--socket", "line.sock", "--threads", 1, *page) as line:
        try:
            assert line.stderr is not None
            before = next(text for text in line.stderr if f"{detector_file} on " in text)
            line.send_signal(signal.SIGTERM)
            said = before + line.stderr.read()
            line.wait(PATIENCE_S)
        finally:
            line.kill()
    assert loaded(line, said) == []

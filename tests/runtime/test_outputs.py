"""Commands whose stdout or stderr is closed, as a shell closes it: ``>&-`` and ``2>&-``."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from runtime_samples import SIZE_HW

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
STREAM = "-m runtime.stream --camera parts --threads 1 --summary summary.json"
NOBODY = "error: stdout is closed, so nobody gets what this prints; it goes on, and ends with status 2\n"


@pytest.fixture
def folder(detector_file: Path, tmp_path: Path) -> Path:
    """A working folder with a detector and three parts, one of them defective."""
    (tmp_path / "parts").mkdir()
    for name, blue in (("a", 128), ("b", 255), ("c", 120)):
        cv2.imwrite(str(tmp_path / "parts" / f"{name}.png"), np.full((*SIZE_HW, 3), (blue, 128, 128), np.uint8))
    return tmp_path


def shell(arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Python with these arguments and redirections."""
    command = f"{sys.executable} {arguments}"
    return subprocess.run(
        command, shell=True, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("options", ["", "--json"])
def test_a_stream_without_stderr_is_a_good_run(options: str, folder: Path) -> None:
    done = shell(f"{STREAM} {options} 2>&-", folder)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 3 if options else "3 frames: 2 OK, 1 NG" in done.stdout
    assert json.loads((folder / "summary.json").read_text())["frames"] == 3


@pytest.mark.parametrize("options", ["", "--json"])
def test_a_stream_without_stdout_goes_on_and_ends_with_a_status(options: str, folder: Path) -> None:
    done = shell(f"{STREAM} {options} >&-", folder)
    assert done.returncode == 2
    assert done.stderr.count(NOBODY) == 1
    assert "Traceback" not in done.stderr
    assert json.loads((folder / "summary.json").read_text())["frames"] == 3


@pytest.mark.parametrize("closed", [">&- 2>&-", "<&- >&- 2>&-"])
def test_a_stream_without_either_leaves_its_files_whole(closed: str, folder: Path) -> None:
    """The descriptors of what is closed must not become those of the detector, of an overlay or of the summary."""
    done = shell(f"{STREAM} --save seen {closed}", folder)
    assert done.returncode == 2
    assert json.loads((folder / "summary.json").read_text())["frames"] == 3
    assert len(list((folder / "seen").glob("00000?-*.jpg"))) == 3


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (f"-m runtime.info {ROOT / 'runtime' / 'data' / 'demo.onnx'}", 0),
        ("-m runtime.stream --help", 0),
        ("-m runtime.info gone.onnx", 2),
        ("-m runtime.stream --camera demo --save ''", 2),
    ],
)
def test_every_command_has_its_status_without_stderr_and_2_without_stdout(
    command: str, status: int, tmp_path: Path
) -> None:
    usual = shell(command, tmp_path)
    assert usual.returncode == status
    without_stderr = shell(f"{command} 2>&-", tmp_path)
    assert (without_stderr.returncode, without_stderr.stdout) == (usual.returncode, usual.stdout)
    without_stdout = shell(f"{command} >&-", tmp_path)
    assert without_stdout.returncode == 2
    assert without_stdout.stderr == (NOBODY if status == 0 else usual.stderr)
    assert shell(f"{command} >&- 2>&-", tmp_path).returncode == without_stdout.returncode


def test_a_stderr_that_nobody_reads_any_more_does_not_end_the_work() -> None:
    program = (
        "import sys, time; from runtime.cli import run; from runtime.outputs import say\n"
        "def main():\n"
        "    say('first'); sys.stdin.read(); [say('more') for _ in range(3)]; print('done')\n"
        "run(main)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stderr.readline() == "first\n"
        process.stderr.close()
        process.stdin.close()
        assert process.stdout.read() == "done\n"
        assert process.wait(30) == 0


def test_what_is_logged_keeps_to_its_line() -> None:
    program = (
        "import logging; from runtime.cli import run\n"
        "run(lambda: logging.getLogger('proctor.x').warning('%s is stale', 'a\\nerror: forged'))"
    )
    done = subprocess.run([sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "a\\nerror: forged is stale\n")


def test_a_log_has_each_line_when_it_is_printed() -> None:
    """A command that works for minutes must not look like one that hangs."""
    program = "import sys; from runtime.cli import run; run(lambda: (print('1/3 training'), sys.stdin.read()))"
    environment = {name: value for name, value in ENVIRONMENT.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "1/3 training\n"
        process.communicate()

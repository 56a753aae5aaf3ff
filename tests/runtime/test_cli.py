"""How every command ends."""

import argparse
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.cli import EXTRAS, file, run, some_path
from runtime.errors import BrokeDown, InputError

NO_MEMORY = "error: there is not enough memory; use smaller frames or batches, or fewer students or images\n"


def raising(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (InputError("a folder is missing; make it"), 2, "error: a folder is missing; make it\n"),
        (
            ModuleNotFoundError("No module named 'torch'", name="torch"),
            2,
            "error: torch is not installed; pip install 'proctor[train]' (from a checkout: '.[train]')\n",
        ),
        (PermissionError(13, "Permission denied", "a/b"), 2, "error: a/b cannot be used (Permission denied); check"),
        (OSError(28, "No space left on device"), 3, "error: a file cannot be used (No space left on device); check"),
        (MemoryError(), 3, NO_MEMORY),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), 3, NO_MEMORY),
        (BrokeDown("the camera is over"), 3, "error: the camera is over\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_a_command_ends_with_one_sentence(
    error: BaseException, status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(lambda: raising(error))
    assert ended.value.code == status
    assert capsys.readouterr().err.startswith(message)


@pytest.mark.parametrize(
    "cause",
    [
        OSError(28, "No space left on device"),
        sqlite3.OperationalError("database or disk is full"),
        MemoryError(),
        RuntimeError("CUDA out of memory"),
        PermissionError(13, "Permission denied"),
    ],
)
def test_a_refusal_for_lack_of_room_may_be_cured_by_another_start(cause: Exception) -> None:
    def main() -> None:
        try:
            raising(cause)
        except Exception as error:
            raise InputError("it cannot be written") from error

    with pytest.raises(SystemExit) as ended:
        run(main)
    assert ended.value.code == (2 if isinstance(cause, PermissionError) else 3)


@pytest.mark.parametrize(
    "fault",
    [
        ModuleNotFoundError("No module named 'runtime.nothing'", name="runtime.nothing"),
        OSError(9, "Bad descriptor"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
    ],
)
def test_a_fault_of_ours_keeps_its_traceback(fault: Exception) -> None:
    with pytest.raises(type(fault)):
        run(lambda: raising(fault))


@pytest.mark.parametrize("text", ["", " ", "\t"])
def test_an_empty_path_is_no_path(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"is no path; give one, and \. for this folder"):
        some_path(text)
    assert some_path(".") == Path()


def test_every_option_that_is_a_path_refuses_an_empty_one() -> None:
    """`type=Path` would take it for the working folder."""
    folders = ("runtime", "train", "calibration", "export", "benchmarks")
    sources = [path for folder in folders for path in (Path(__file__).parents[2] / folder).rglob("*.py")]
    assert [path.name for path in sources if "type=Path" in path.read_text()] == []


@pytest.mark.parametrize("text", ["", ".", "/"])
def test_a_path_without_a_name_is_no_file(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no file's name"):
        file(text)


def test_a_closed_pipe_ends_quietly() -> None:
    program = "from runtime.cli import run; run(lambda: print('line\\n' * 100_000))"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(10) == 141  # as a shell has it of a program that SIGPIPE ended


def test_what_cannot_be_encoded_is_printed_as_an_escape() -> None:
    program = "import sys; from runtime.cli import run; run(lambda: print('a\\udcfc σ', file=sys.std%s))"
    for stream in ("out", "err"):
        done = subprocess.run(
            [sys.executable, "-c", program % stream],
            env=os.environ | {"PYTHONIOENCODING": "ascii:strict"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stdout + done.stderr) == (0, "a\\udcfc \\u03c3\n")


@pytest.mark.parametrize(
    "command", ["train", "train.teacher", "calibration.fit", "export.onnx", "export.triton", "benchmarks.accuracy"]
)
def test_a_command_without_its_extra_says_which_to_install(command: str) -> None:
    """In a process in which everything that the extras bring is hidden."""
    hidden = [name for names in EXTRAS.values() for name in names]
    arguments = {"train": ["--data", "."], "train.teacher": ["--data", ".", "--out", "run"]}.get(command, ["."])
    arguments += ["."] if command == "benchmarks.accuracy" else []
    arguments = ["detector.onnx", "models"] if command == "export.triton" else arguments
    extra = "triton" if command == "export.triton" else "train"
    program = (
        "import sys, runpy\n"
        "class Hide:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {hidden!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Hide())\n"
        f"sys.argv = ['command', *{arguments!r}]\n"
        f"runpy.run_module({command!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert f"is not installed; pip install 'proctor[{extra}]'" in done.stderr
    assert done.stderr.count("\n") == 1

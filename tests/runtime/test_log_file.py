"""A log in a file: what is logged and said, bounded, on lines of its own; a full disk does not end the work."""

import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest

from runtime import log_file
from runtime.errors import InputError
from runtime.log_file import OLDER_FILES, logging_to
from runtime.outputs import say


def test_what_is_logged_and_said_is_in_the_file_and_stderr_has_what_it_had(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "line.log"
    log = logging.getLogger("proctor.line")
    with logging_to(path):
        say("serving")
        log.info("the controller is gone")
        log.warning("two\nlines of \x1b[31mone")
    say("after it")
    rows = path.read_text().splitlines()
    assert [re.sub(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ", "", row) for row in rows] == [
        "INFO proctor.said: serving",
        "INFO proctor.line: the controller is gone",
        r"WARNING proctor.line: two\nlines of \x1b[31mone",
    ]
    assert capsys.readouterr().err == "serving\n" + r"two\nlines of \x1b[31mone" + "\nafter it\n"


def test_the_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_file, "FILE_BYTES", 2_000)
    with logging_to(tmp_path / "line.log"):
        for number in range(1_000):
            logging.getLogger("proctor.line").info("message %d", number)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 1 + OLDER_FILES
    assert max(file.stat().st_size for file in files) <= 2_000
    assert "message 999" in (tmp_path / "line.log").read_text()


def test_what_ended_the_command_is_in_the_file(tmp_path: Path) -> None:
    with pytest.raises(InputError), logging_to(tmp_path / "line.log"):
        raise InputError("the camera is not there")
    assert "ends: InputError: the camera is not there" in (tmp_path / "line.log").read_text()


def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the log file"), logging_to(tmp_path / "no" / "line.log"):
        pass


def test_a_full_disk_stops_the_log_and_says_so_once(capsys: pytest.CaptureFixture[str]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("A FULL DISK IS NOT TESTED here: there is no /dev/full")
    with logging_to(Path("/dev/full")):
        for _ in range(3):
            logging.getLogger("proctor.line").info("a message")
    assert capsys.readouterr().err.count("/dev/full cannot be written") == 1


def test_the_stream_has_it(environment: dict[str, str], tmp_path: Path) -> None:
    words = ["--camera", "demo", "--frames", "2", "--log-file", tmp_path / "stream.log"]
    line = [sys.executable, "-m", "runtime.stream", *map(str, words)]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "camera demo" in (tmp_path / "stream.log").read_text()

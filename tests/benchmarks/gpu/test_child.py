"""A part in a process of its own: what it finds stays, whatever ends it."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.gpu import child, parts
from benchmarks.gpu.job import Found, Job
from runtime.errors import EngineError, InputError

MakeJob = Callable[..., Job]


def test_a_failure_is_one_sentence_beside_what_was_found_before(
    make_job: MakeJob, capsys: pytest.CaptureFixture[str]
) -> None:
    def part(_: Job, found: Found) -> None:
        found.add("rows", 1)
        found.add("rows", 2)
        raise RuntimeError("CUDA error: no kernel\nstack of a library\n")

    job = make_job("presets")
    child.run(job, part)
    expected = {"rows": [1, 2], "failed": "RuntimeError: CUDA error: no kernel"}
    assert json.loads(child.found_file(job).read_text()) == expected
    assert "Traceback" in capsys.readouterr().err  # for the log


def test_a_part_whose_time_is_over_ends_and_keeps_what_it_found(make_job: MakeJob) -> None:
    def part(_: Job, found: Found) -> None:
        found.put(rows=3)
        try:
            time.sleep(20)
        except Exception as error:  # as an engine turns any error into its own
            raise EngineError("failed") from error

    job, began_s = make_job("presets", seconds=0.2), time.monotonic()
    child.run(job, part)
    assert time.monotonic() - began_s < 10
    assert json.loads(child.found_file(job).read_text()) == {"rows": 3, "stopped": "its time of 0 s was over"}


def test_a_job_arrives_in_the_other_process_as_it_was(make_job: MakeJob) -> None:
    job = make_job("paper", category="bottle", presets=("fast", "edge"))
    assert Job.from_json(job.as_json()) == job


def test_what_a_process_had_found_before_it_was_ended_stays(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job("presets")
    Found(child.found_file(job)).put(rows=4)
    found = parts.outcome(job, tmp_path / "log", 0.001)  # no interpreter starts in that
    assert (found["rows"], found["failed"]) == (4, "it did not end when asked to, and was ended after 0 s")


def test_what_a_process_could_not_begin_is_said(make_job: MakeJob, tmp_path: Path) -> None:
    (tmp_path / "presets.json").mkdir()  # in the way of its figures
    found = parts.outcome(make_job("presets"), tmp_path / "log", 60.0)
    assert found["failed"] == "its process ended with status 1; the log has what it printed"
    assert "presets.json cannot be written" in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("code", "seconds", "status"),
    [("import time; time.sleep(60)", 0.5, None), ("import os; os.abort()", 60, -6), ("raise SystemExit(3)", 60, 3)],
)
def test_a_process_that_hangs_crashes_or_fails_is_told_apart(
    code: str, seconds: float, status: int | None, tmp_path: Path
) -> None:
    began_s = time.monotonic()
    assert parts._run([sys.executable, "-c", code], tmp_path / "log", seconds) == status
    assert time.monotonic() - began_s < 30


def test_what_a_part_had_started_ends_with_it(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    inner = f"import time; time.sleep(3); open({str(mark)!r}, 'w')"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    assert parts._run([sys.executable, "-c", outer], tmp_path / "log", 1.0) is None
    time.sleep(3)
    assert not mark.exists()


def test_our_own_errors_are_sentences_already(make_job: MakeJob) -> None:
    def part(_: Job, found: Found) -> None:
        raise InputError("there is nothing; name something")

    job = make_job("tests")
    child.run(job, part)
    assert json.loads(child.found_file(job).read_text()) == {"failed": "there is nothing; name something"}

"""The tests that need a GPU are found and counted."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.gpu import child
from benchmarks.gpu.job import Found, Job
from benchmarks.gpu.suite import MARKER, counts, marked_files, run_tests
from runtime.errors import InputError
from runtime.versions import ROOT

REPORT = """<testsuites><testsuite errors="1" failures="1" skipped="2" tests="5">
<testcase classname="tests.a" name="passes"/>
<testcase classname="tests.a" name="fails"><failure message="assert 1 == 2&#10;more">trace</failure></testcase>
<testcase classname="tests.b" name="breaks"><error message="no library">trace</error></testcase>
<testcase classname="tests.b" name="one"><skipped message="needs a GPU"/></testcase>
<testcase classname="tests.b" name="two"><skipped message="needs a GPU"/></testcase>
</testsuite></testsuites>"""


def test_a_report_is_counted_with_its_reasons() -> None:
    assert counts(REPORT) == {
        "passed": 1,
        "failed_tests": 2,
        "skipped": 2,
        "why_failed": {"tests.a::fails": "assert 1 == 2", "tests.b::breaks": "no library"},
        "why_skipped": ["needs a GPU"],
    }


def test_files_with_such_tests_are_found() -> None:
    names = {path.name for path in marked_files(ROOT / "tests")}
    assert {"test_cuda.py", "test_run_folders.py"} <= names
    assert Path(__file__).name not in names


@pytest.fixture
def slow_tests(tmp_path: Path) -> Path:
    """A test that passes, one that sleeps for a minute, and one that nobody comes to."""
    path = tmp_path / "test_slow.py"
    mark = f"@{MARKER}\ndef test_"
    lines = ["import time, pytest", f"{mark}a(): pass", f"{mark}b(): time.sleep(60)", f"{mark}c(): pass", ""]
    path.write_text("\n".join(lines))
    return path


def test_what_ran_until_time_was_up_is_counted(make_job: Callable[..., Job], slow_tests: Path, tmp_path: Path) -> None:
    def part(job: Job, found: Found) -> None:
        run_tests([slow_tests], tmp_path / "tests.xml", found)

    job = make_job("tests", seconds=12.0)
    child.run(job, part)
    found = json.loads(child.found_file(job).read_text())
    assert (found["passed"], found["failed_tests"]) == (1, 0)
    assert found["stopped"] == "its time of 12 s was over"


def test_a_pytest_that_cannot_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pytest ended with status 4; the log has its reason"):
        run_tests([tmp_path / "test_none.py"], tmp_path / "tests.xml", Found(tmp_path / "found.json"))

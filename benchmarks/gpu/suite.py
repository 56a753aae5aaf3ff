"""The tests that need a GPU: those that carry the marker ``gpu``."""

import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks.gpu.failures import TimeIsUp
from benchmarks.gpu.job import Found, Job
from runtime.errors import InputError
from runtime.versions import ROOT

MARKER = "pytest.mark.gpu"
REPORTING_S = 5.0  # of an interrupted pytest
RAN = (0, 1)  # pytest's status when all tests passed, and when some failed


def measure(job: Job, found: Found) -> None:
    """Run them, and count what passed, failed and was skipped. Raises `InputError` where there are no tests."""
    files = marked_files(ROOT / "tests")
    if not files:
        raise InputError("there are no tests for a GPU here; run this in a checkout")
    run_tests(files, Path(job.folder).resolve() / "tests.xml", found)


def run_tests(files: Sequence[Path], report: Path, found: Found) -> None:
    """Run those of `files`. When time is up, what ran until then is counted. Raises `InputError` where pytest fails."""
    options = ["-m", "gpu", "--continue-on-collection-errors", f"--junitxml={report}"]
    process = subprocess.Popen([sys.executable, "-m", "pytest", *options, *map(str, files)], cwd=ROOT)
    try:
        status = process.wait()
    except TimeIsUp:
        process.send_signal(signal.SIGINT)  # it ends the test at hand and writes its report
        with suppress(subprocess.TimeoutExpired):
            process.wait(REPORTING_S)
        raise
    finally:
        process.kill()
        process.wait()
        if report.exists():
            found.put(**counts(report.read_text()))
    if status not in RAN:
        raise InputError(f"pytest ended with status {status}; the log has its reason")


def marked_files(folder: Path) -> list[Path]:
    """Those of the tests' files that have such a test: no other can keep these from being run."""
    return [path for path in sorted(folder.rglob("test_*.py")) if MARKER in path.read_text()]


def counts(report: str) -> dict[str, object]:
    """How many passed, failed and were skipped, of a report in JUnit's form, with the reasons of the latter two."""
    failed, skipped, passed = {}, [], 0
    for case in ElementTree.fromstring(report).iter("testcase"):
        if case.get("name") is None:  # what was interrupted has neither a name nor an end
            continue
        ended = {each.tag: each.get("message") or "" for each in case}
        problem = ended.get("failure", ended.get("error"))
        if problem is not None:
            failed[f"{case.get('classname')}::{case.get('name')}"] = problem.strip().split("\n")[0]
        elif "skipped" in ended:
            skipped.append(ended["skipped"])
        else:
            passed += 1
    return {
        "passed": passed,
        "failed_tests": len(failed),
        "skipped": len(skipped),
        "why_failed": failed,
        "why_skipped": sorted(set(skipped)),
    }

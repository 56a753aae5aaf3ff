"""One part in a process of its own: ``python -m benchmarks.gpu.child JOB``, with `Job` as JSON.

Whatever befalls it, a crash of a vendor's library included, the other parts go on, and the memory of the GPU is free
for them. Its figures go to FOLDER/PART.json; there, ``failed`` says why it did not end well, and ``stopped`` that its
time was over.
"""

import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.gpu.failures import TimeIsUp, sentence_of
from benchmarks.gpu.job import Found, Job

MODULES = {
    "tests": "benchmarks.gpu.suite",
    "teacher": "benchmarks.gpu.teacher",
    "paper": "benchmarks.gpu.paper",
    "presets": "benchmarks.gpu.presets",
}


def found_file(job: Job) -> Path:
    """Where the part's figures lie."""
    return Path(job.folder) / f"{job.part}.json"


def run(job: Job, part: Callable[[Job, Found], None]) -> None:
    """Run a part within its time; what ends it early is among its figures."""
    found = Found(found_file(job))
    found.put()
    try:
        with _alarm(job.left_s()):
            part(job, found)
    except TimeIsUp:
        found.put(stopped=f"its time of {job.seconds:.0f} s was over")
    except Exception as error:  # each library has its own, and none may stop the other parts
        traceback.print_exc()
        found.put(failed=sentence_of(error))


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raises `TimeIsUp` in here after so many seconds, where the system has such an alarm."""

    def ring(*_: Any) -> None:
        raise TimeIsUp

    if not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def main() -> None:
    run(Job.from_json(sys.argv[1]), lambda job, found: import_module(MODULES[job.part]).measure(job, found))


if __name__ == "__main__":
    main()

"""A job for the CPU with tiny sizes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu.job import Job


@pytest.fixture
def make_job(tmp_path: Path) -> Callable[..., Job]:
    """Makes a job; its files go to the test's folder."""

    def make(part: str, **options: Any) -> Job:
        return Job(
            **{
                "part": part,
                "device": "cpu",
                "seconds": 100.0,
                "folder": str(tmp_path),
                "small": True,
                "threads": 1,
                **options,
            }
        )

    return make

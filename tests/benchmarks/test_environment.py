"""What a benchmark says of the machine it ran on."""

import json
import sys
from datetime import datetime

import numpy as np
import pytest

from benchmarks import environment


def test_the_description_survives_json_and_names_this_interpreter() -> None:
    described = environment.describe_environment()
    assert json.loads(json.dumps(described)) == described
    assert described["python"] == sys.version.split()[0]
    packages = described["packages"]
    assert isinstance(packages, dict)
    assert packages["numpy"] == np.__version__
    assert datetime.fromisoformat(str(described["date"])).utcoffset() is not None
    assert described["cpu"]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"/proc/cpuinfo": "processor\t: 0\nmodel name\t: Xeon: fast\n"}, "Xeon: fast"),
        ({"/proc/cpuinfo": "processor\t: 0\n", "/proc/device-tree/model": "Jetson Orin\0"}, "Jetson Orin"),
        ({}, "generic"),
    ],
)
def test_the_cpu_is_named_by_the_kernel_the_board_or_python(
    files: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "_text", lambda path: files.get(path, ""))
    monkeypatch.setattr("platform.processor", lambda: "generic")
    assert environment.describe_environment()["cpu"] == expected

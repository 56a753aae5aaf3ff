"""What a benchmark says of the machine it ran on."""

import json
import sys
from datetime import datetime

import numpy as np

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

"""A lock that another process holds."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOLD = """
import sys
from pathlib import Path
from runtime.lock import only_one
path = Path(sys.argv[1])
with only_one(path, path.parent):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holding(path: Path, environment: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds the lock file `path`, until its stdin is closed."""
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()

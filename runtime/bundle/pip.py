"""pip, the ordinary client, as the Python that runs has it: with the user's own settings, indexes and proxies."""

import os
import subprocess
import sys
from importlib import metadata

from runtime.doctor.probe import last_line
from runtime.errors import InputError

LONGEST_S = 3600.0  # for half a gigabyte over a slow line


def pip_version() -> str:
    """The version that runs. Raises `InputError` where there is none."""
    try:
        return metadata.version("pip")
    except metadata.PackageNotFoundError as error:
        raise InputError(
            f"there is no pip for {sys.executable}; python -m ensurepip brings it (Debian: apt install python3-pip)"
        ) from error


def run_pip(*words: str, **environment: str) -> str:
    """What pip printed. Raises `InputError` with its own last words where it failed."""
    pip_version()
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *words]
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        done = subprocess.run(
            command, env=variables | environment, capture_output=True, text=True, errors="replace", timeout=LONGEST_S
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(f"pip {words[0]} did not end within {LONGEST_S / 60:g} min; check the network") from error
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        said = (errors[0].removeprefix("ERROR: ") if errors else last_line(done.stderr))[:300]
        raise InputError(f"pip {words[0]} failed: {said}; check the network and pip's settings (pip config list)")
    return done.stdout

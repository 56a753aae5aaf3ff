"""The cameras that makers' drivers find: ``python -m runtime.cameras.genicam.search KIND``, a process of its own.

A driver that hangs while it looks, or dies, hides no other camera.
"""

import argparse
import json
import subprocess
import sys
from functools import partial
from importlib import import_module

from runtime import cli
from runtime.cameras.base import Found
from runtime.errors import SetupError, SourceError

MODULE = "runtime.cameras.genicam.search"
KINDS = ("pylon", "gentl", "aravis")  # modules beside this one, each with a `found_here`
TIMEOUT_S = 15.0  # GigE Vision's cameras have a second to answer, on each network


def search(kind: str) -> list[Found]:
    """What a driver finds, asked in a process of its own. Raises `SetupError` where it cannot be asked, and
    `SourceError` where it fails or hangs."""
    command = [sys.executable, "-m", MODULE, kind]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as error:
        raise SourceError(f"looking for cameras took more than {TIMEOUT_S:g} s, and was given up") from error
    said = done.stderr.strip().splitlines()
    if done.returncode == 2 and said:
        raise SetupError(said[-1].removeprefix("error: "))
    if done.returncode:
        raise SourceError(f"looking for cameras failed ({done.returncode}: {said[-1] if said else 'no word'})")
    return [Found(*each) for each in json.loads(done.stdout.splitlines()[-1])]


def main() -> None:
    parser = argparse.ArgumentParser(prog=cli.program(MODULE), description="What a maker's driver finds, as JSON.")
    parser.add_argument("kind", choices=KINDS)
    kind = parser.parse_args().kind
    found: list[Found] = import_module(f"runtime.cameras.genicam.{kind}").found_here()
    print(json.dumps([[each.uri, each.text] for each in found]))


list_pylon, list_gentl, list_aravis = (partial(search, kind) for kind in KINDS)

if __name__ == "__main__":
    cli.run(main)

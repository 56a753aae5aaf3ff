"""A benchmark's figures as a document: JSON, with the machine that they are of."""

import json
from collections.abc import Mapping
from pathlib import Path

from benchmarks.environment import describe_environment, one_line
from runtime.atomic import write_atomically


def write_document(path: Path, document: object) -> None:
    """Write a document as JSON, whole or not at all. Raises `InputError` where that is not possible."""
    write_atomically(path, json.dumps(document, indent=1).encode() + b"\n")


def tell(found: Mapping[str, object], path: Path | None, settings: Mapping[str, object] | None = None) -> None:
    """Print what was found and the machine, a line each; write both to `path`, if there is one, behind `settings`."""
    environment = describe_environment()
    print("\n".join([json.dumps(found), one_line(environment)]))
    if path is not None:
        write_document(path, {**(settings or {}), **found, "environment": environment})

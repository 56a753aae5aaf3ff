"""The cameras of this machine, as far as they can be found without being disturbed.

Each kind is looked for in a process of its own, ``python -m runtime.cameras.listing MODULE:FUNCTION``, all of them at
once: a driver that hangs while it looks, or dies, hides no other camera.
"""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

from runtime.cameras import ROWS
from runtime.cameras.base import Found
from runtime.doctor.probe import ask
from runtime.errors import ProctorError

TIMEOUT_S = 30.0  # GigE Vision's cameras have a second to answer on each network; an SD card loads a library for long


def found_cameras(timeout_s: float = TIMEOUT_S) -> list[Found]:
    """What every kind of camera that can be looked for finds here, in the order of `ROWS`. Raises nothing."""
    listers = [(row.lister, row.shown) for row in ROWS if row.lister is not None]
    with ThreadPoolExecutor(len(listers)) as pool:
        return [each for found in pool.map(lambda one: found_by(one[0], one[1], timeout_s), listers) for each in found]


def found_by(lister: str, shown: str, timeout_s: float) -> list[Found]:
    """What `lister`, ``module:function``, finds; a line behind `shown`, its kind's URIs, where it finds nothing out."""
    answer = ask("runtime.cameras.listing", lister, timeout_s=timeout_s)
    if answer.problem is not None:
        return [Found(None, f"{shown}: looking for cameras in a process of its own: {answer.problem}")]
    if "refused" in answer.values:
        return [Found(None, f"{shown}: {answer.values['refused']}")]
    return [Found(uri, text) for uri, text in answer.values["found"]]


def main() -> None:
    module, _, function = sys.argv[1].partition(":")
    try:
        found: list[Found] = getattr(import_module(module), function)()
        answer: dict[str, object] = {"found": [[each.uri, each.text] for each in found]}
    except ProctorError as error:
        answer = {"refused": str(error)}
    print(f"\n{json.dumps(answer)}", flush=True)  # on a line of its own, whatever a driver has printed
    os._exit(0)  # drivers' libraries are known to crash while they are unloaded


if __name__ == "__main__":
    main()

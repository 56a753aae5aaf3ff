"""The cameras of this machine, as far as they can be found without being disturbed."""

from importlib import import_module

from runtime.cameras import ROWS
from runtime.cameras.base import Found
from runtime.errors import ProctorError


def found_cameras() -> list[Found]:
    """What every kind of camera that can be looked for finds here, in the order of `ROWS`.

    One whose library is missing or fails says so, and hides none of the others.
    """
    found: list[Found] = []
    for row in ROWS:
        if row.lister is None:
            continue
        module, _, function = row.lister.partition(":")
        try:
            found += getattr(import_module(module), function)()
        except ProctorError as error:
            found.append(Found(None, f"{row.shown}: {error}"))
    return found

"""Options and their values that several commands share."""

import argparse
from collections.abc import Sequence

from runtime.errors import InputError


def add_layout_option(parser: argparse.ArgumentParser) -> None:
    """``--layout NAME``."""
    parser.add_argument(
        "--layout",
        metavar="NAME",
        help="how DATA is laid out, of those that train.datasets --help lists (default: as it looks)",
    )


def integers(option: str, text: str, least: int) -> tuple[int, ...]:
    """Comma-separated integers. Raises `InputError` for anything else, a double one, or one below `least`."""
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(f"{option} is {text!r}; expected integers with commas between, such as 1,3") from error
    if min(numbers) < least or (len(set(numbers)) < len(numbers) and option != "--size"):
        raise InputError(f"{option} is {text}; expected different integers, {least} or more")
    return numbers


def assignments(texts: Sequence[str]) -> dict[str, dict[str, str]]:
    """``METHOD.OPTION=VALUE`` texts by method and option. Raises `InputError` for another form."""
    found: dict[str, dict[str, str]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        method, dot, option = name.partition(".")
        if not equals or not dot:
            raise InputError(f"--set is {text!r}; expected METHOD.OPTION=VALUE, such as patchcore.coreset=1000")
        found.setdefault(method, {})[option.replace("-", "_")] = value
    return found

"""The options of the live page, for every command that has one; the page itself is loaded where it is asked for."""

import argparse
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import TYPE_CHECKING

from runtime.cli import some_path
from runtime.errors import InputError

if TYPE_CHECKING:  # most streams have no page, and start sooner without it and YAML
    from runtime.web.page import Page


def add_page_options(parser: argparse.ArgumentParser) -> None:
    """The options that `asked_page` reads."""
    serve_help = (
        "show what is inspected on a page: a port of this machine, or 0.0.0.0:8443?certificate=FILE&key=FILE&users=FILE"
    )
    parser.add_argument("--serve", metavar="[HOST:]PORT", help=serve_help)
    thermal_help = "show the temperatures of this folder of thermal zones, such as /sys/class/thermal"
    parser.add_argument("--thermal", type=some_path, metavar="DIR", help=thermal_help)


def asked_page(arguments: argparse.Namespace) -> "AbstractContextManager[Page | None]":
    """The page that the command line asks for, listening already; of None where it asks for none.

    Raises what `parse_serving` and `Page` raise.
    """
    if not _is_asked(arguments):
        return nullcontext()
    from runtime.web.page import Page
    from runtime.web.serving import parse_serving

    return Page(parse_serving(arguments.serve, arguments.thermal))


def load_page(arguments: argparse.Namespace) -> None:
    """Load what the page that is asked for needs, and serve none. Raises `ModuleNotFoundError` for an extra that is not
    installed."""
    if _is_asked(arguments):
        import_module("runtime.web.page")
        import_module("runtime.web.process")  # the page's own


def _is_asked(arguments: argparse.Namespace) -> bool:
    if arguments.serve is None and arguments.thermal is not None:
        raise InputError("--thermal is shown on the live page; give --serve PORT, too")
    return arguments.serve is not None

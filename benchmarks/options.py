"""Options and their values that several commands share."""

import argparse
from collections.abc import Sequence

from runtime import cli
from runtime.errors import InputError


def add_layout_option(parser: argparse.ArgumentParser) -> None:
    """``--layout NAME``."""
    parser.add_argument(
        "--layout",
        metavar="NAME",
        help="how DATA is laid out, of those that train.datasets --help lists (default: as it looks)",
    )


def add_subset_option(parser: argparse.ArgumentParser, default: str) -> None:
    """``--subset all|even|odd``."""
    parser.add_argument(
        "--subset", choices=("all", "even", "odd"), default=default, help=f"test images, by content ({default})"
    )


def add_method_options(parser: argparse.ArgumentParser) -> None:
    """``--set METHOD.OPTION=VALUE``, which `assignments` reads, and ``--device``."""
    parser.add_argument(
        "--set", action="append", metavar="METHOD.OPTION=VALUE", help="an option of a method; repeat it"
    )
    add_device_option(parser)


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """``--device auto|cpu|cuda``."""
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: a GPU if there is one")


def add_threads_option(parser: argparse.ArgumentParser) -> None:
    """``--threads N``; None stands for all cores."""
    parser.add_argument(
        "--threads", type=cli.positive, metavar="N", help="CPU threads of one inference (default: all cores)"
    )


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """``--json FILE``."""
    parser.add_argument("--json", type=cli.some_path, metavar="FILE", help="write all figures and the machine there")


def add_plot_option(parser: argparse.ArgumentParser) -> None:
    """``--plot FILE``."""
    parser.add_argument("--plot", type=cli.some_path, metavar="FILE", help="draw the plot there, .svg or .png")


def add_plots_options(parser: argparse.ArgumentParser) -> None:
    """``--plots FOLDER`` and ``--format svg|png``."""
    parser.add_argument("--plots", type=cli.some_path, metavar="FOLDER", help="write pictures there")
    parser.add_argument("--format", choices=("svg", "png"), default="svg", help="of pictures (svg)")


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

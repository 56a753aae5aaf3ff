"""The option that says how a data set is laid out, of every command that reads one in any layout."""

import argparse


def add_layout_option(parser: argparse.ArgumentParser) -> None:
    """``--layout NAME``."""
    parser.add_argument(
        "--layout",
        metavar="NAME",
        help="how DATA is laid out, of those that benchmarks.datasets --help lists (default: as it looks)",
    )

"""A look over a folder of good images before anyone trains on them: copies, outliers, and badly taken pictures.

::

    python -m train.inspection DATA [--layout NAME] [--json FILE] [--sheet FILE.png]

Suspects are for a person to look at, best on the contact sheet, where a ring shows where an outlier is most unlike the
others. What can and cannot be found is said in `train.inspection.outliers`; ``python -m train`` looks in the same way
and prints the same in short.
"""

import argparse
import json
from collections.abc import Sequence

from runtime import cli
from runtime.atomic import check_writable, write_atomically
from runtime.errors import InputError


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    options = _parser().parse_args(arguments)
    if options.sheet and options.sheet.suffix.lower() not in (".png", ".jpg"):
        raise InputError(f"--sheet is {options.sheet}; expected a name ending in .png or .jpg")
    for path in filter(None, (options.json, options.sheet)):
        check_writable(path)

    from train.inspection.report import as_document, describe, inspect_folder, write_sheet

    report = inspect_folder(options.data, options.layout)
    print(f"{options.data}: {describe(report)}")
    if options.json:
        write_atomically(options.json, json.dumps(as_document(report), indent=2).encode())
    if options.sheet:
        write_sheet(options.sheet, report, str(options.data))
        print(f"contact sheet written to {options.sheet}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=cli.program("train.inspection"), description="Look over good images before training on them."
    )
    parser.add_argument("data", type=cli.some_path, help="folder of good images, or of a data set's category")
    parser.add_argument(
        "--layout",
        metavar="NAME",
        help="how DATA is laid out, of those that train.datasets --help lists (default: as it looks)",
    )
    parser.add_argument("--json", type=cli.some_path, metavar="FILE", help="write the report there")
    parser.add_argument("--sheet", type=cli.some_path, metavar="FILE", help="draw the suspects there, as PNG or JPEG")
    return parser


if __name__ == "__main__":
    cli.run(main)

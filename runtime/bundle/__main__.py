"""``python -m runtime.bundle``: everything that a station needs, to be installed without a network."""

import argparse
import shlex
import sys
from pathlib import Path

from runtime import cli
from runtime.errors import InputError
from runtime.line.__main__ import LineAtBoot, line_at_boot, named_in
from runtime.outputs import say
from runtime.service.__main__ import add_unit_options
from runtime.versions import commit

PREFIX = Path("/opt/proctor")


def main() -> None:
    given = sys.argv[1:]
    ends = given.index("--") if "--" in given else len(given)
    arguments, words = _parser().parse_args(given[:ends]), given[ends + 1 :]
    line = _line(arguments.detector, words) if words else None
    from runtime.bundle.making import INSTALLER, PACKED, Station, line_unit, make_bundle  # the extra `bundle`

    prefix, how = (
        arguments.prefix,
        (arguments.name, arguments.user, arguments.cores, arguments.nice, arguments.realtime),
    )
    station = Station(prefix, arguments.detector, None if line is None else line_unit(prefix, line, *how))
    if commit().endswith("+changes"):
        say("warning: the source tree has changes that no commit holds; the bundle is made of them, and says so")
    release = make_bundle(arguments.out, station, arguments.extras, arguments.wheel, not arguments.no_trial)
    tried = "not tried" if arguments.no_trial else "installed once on trial"
    print(f"{arguments.out}: release {release} for {prefix}, {tried}")
    name = arguments.out.name
    unpack = f"tar -xf {shlex.quote(name)} && " if name.endswith(PACKED) else ""
    folder = f"proctor-{release}" if unpack else name
    print(f"on the station, as root: {unpack}sh {shlex.quote(f'{folder}/{INSTALLER}')}")
    if not words:
        print("no unit of systemd is in it; give the line's words behind --, as python -m runtime.line takes them")


def _line(detector: Path, words: list[str]) -> LineAtBoot:
    """What the unit starts: a line of the bundled detector, or of the recipes that its words name. Raises `InputError`
    for words that name a detector or a file of options, and what `line_at_boot` does."""
    named = named_in(words)
    if named.detector is not None:
        raise InputError(
            f"the line's words name {named.detector}; give the detector by --detector FILE, and the options of a YAML "
            "file as words: the file is not in the bundle"
        )
    return line_at_boot(words if named.recipes is not None else [str(detector), *words])


def _extras(text: str) -> tuple[str, ...]:
    """An argument type: names with commas between them."""
    return tuple(sorted({each.strip() for each in text.split(",") if each.strip()}))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=cli.program("runtime.bundle"),
        usage="%(prog)s OUT --detector FILE [OPTION…] [-- WORDS OF THE LINE]",
        description="Put Proctor, everything that it needs, a detector and a unit of systemd into one folder or "
        ".tar.gz, for machines like this one. Behind -- stand the words of python -m runtime.line, without the "
        "detector; with them a unit is in it. With --recipes FOLDER among them the line runs what is in force there, "
        "and a release is checked by the detector until something is.",
    )
    parser.add_argument("out", type=cli.file, metavar="OUT", help="new folder, or file that ends with .tar.gz")
    parser.add_argument("--detector", type=cli.file, required=True, metavar="FILE", help="detector.onnx")
    extras_help = "of Proctor that the line needs, as modbus,parquet"
    parser.add_argument("--extras", type=_extras, default=(), metavar="NAMES", help=extras_help)
    prefix_help = f"where the station keeps its releases ({PREFIX})"
    parser.add_argument("--prefix", type=cli.some_path, default=PREFIX, metavar="DIR", help=prefix_help)
    wheel_help = "Proctor's own wheel; needed where it was installed from one"
    parser.add_argument("--wheel", type=cli.some_path, metavar="FILE", help=wheel_help)
    parser.add_argument("--no-trial", action="store_true", help="do not install the bundle once before it is there")
    add_unit_options(parser)
    return parser


if __name__ == "__main__":
    cli.run(main)

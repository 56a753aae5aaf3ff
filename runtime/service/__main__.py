"""``python -m runtime.service``: a unit of systemd that runs a line at boot."""

import argparse
import shlex
from pathlib import Path

from runtime import cli
from runtime.atomic import write_atomically
from runtime.errors import InputError
from runtime.line.__main__ import line_at_boot
from runtime.service.unit import Unit


def main() -> None:
    arguments = _parser().parse_args()
    words = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if not words:
        raise InputError("what the service runs is missing; give it behind --, as python -m runtime.line takes it")
    line = line_at_boot(words)
    unit = Unit(
        arguments.name, line.words, Path.cwd(), arguments.user, arguments.cores, arguments.nice,
        gpio=line.gpio, realtime=arguments.realtime, socket=line.socket,
    )  # fmt: skip
    if arguments.out is None:
        print(unit.text(), end="")
        return
    write_atomically(arguments.out, unit.text().encode())
    source = shlex.quote(str(arguments.out))
    print(
        f"{arguments.out} written. As root: cp {source} /etc/systemd/system/{unit.name}.service; "
        f"systemctl daemon-reload; systemctl enable --now {unit.name}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=cli.program("runtime.service"),
        description="Write a unit of systemd that runs python -m runtime.line at boot, watched and restarted.",
    )
    add_unit_options(parser)
    parser.add_argument("--out", type=cli.some_path, metavar="FILE", help="write the unit here (stdout)")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- and the words of python -m runtime.line")
    return parser


def add_unit_options(parser: argparse.ArgumentParser) -> None:
    """Options of the unit, which every command shares that makes one."""
    parser.add_argument("--name", default="proctor", help="of the service (proctor)")
    parser.add_argument("--user", help="that it runs as (root)")
    parser.add_argument("--cores", metavar="LIST", help="that it may use, as 0-2 (all)")
    parser.add_argument("--nice", type=int, default=-5, help="-20, the highest priority, to 19 (-5)")
    parser.add_argument("--realtime", type=int, metavar="N", help="real-time priority, 1 to 99, before all else (none)")


if __name__ == "__main__":
    cli.run(main)

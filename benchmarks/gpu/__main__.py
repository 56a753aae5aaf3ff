"""``python -m benchmarks.gpu``: all that wants a GPU, in one command for a machine that is at hand for minutes.

::

    python -m benchmarks.gpu --data PHOTOGRAPHS --category FOLDER --json FILE [--descriptor-weights FILE]
                             [--minutes 12] [--parts tests,teacher,paper,presets] [--device cuda]

The parts, in this order: the tests that need a GPU; a teacher of p = 33 by dense distillation; the preset ``paper``,
timed, and trained on FOLDER; every preset in ONNX Runtime, timed, and compared with the CPU. Each has its share of the
time and a process of its own. One that fails or runs out of time is said to have, and the others go on. FILE is
written after every part. What the parts print goes to a log beside it, files and run folders to a folder beside it.

A rehearsal takes no GPU: ``--device cpu --small``. Its figures mean nothing. The status is 1 where a part or a test
failed.
"""

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu.budget import WEIGHTS, Budget
from benchmarks.gpu.job import Job
from benchmarks.options import add_device_option, add_json_option, add_threads_option
from runtime import cli
from runtime.atomic import check_writable, write_atomically
from runtime.errors import InputError
from runtime.images import list_images
from runtime.machine import available_cores
from runtime.outputs import say
from train.datasets import good_images

NEEDS = {"teacher": ("data", "photographs"), "paper": ("category", "good images of one category")}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    began_s = time.monotonic()
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(given)
    parts = _names("--parts", options.parts, tuple(WEIGHTS))
    _check(options, parts)

    from benchmarks.gpu.document import REHEARSAL, SMALL, as_text, header
    from benchmarks.gpu.parts import outcome, soft
    from train.device import resolve_device
    from train.preset import preset_names

    presets = _names("--presets", options.presets, tuple(preset_names())) if options.presets else []
    device = resolve_device(options.device)
    if device == "cpu":
        say(f"note: this is {REHEARSAL}")
    if options.small:
        say(f"note: {SMALL}")
    folder, log = options.json.with_suffix(".files"), options.json.with_suffix(".log")
    folder.mkdir(parents=True)
    threads = options.threads or available_cores()
    command = shlex.join(["python", "-m", "benchmarks.gpu", *given])
    document = {**header(command, device, options.small, options.minutes, threads), "parts": {}}
    paths = [each for each in (*_inputs(options).values(), options.json, folder) if each]
    budget = Budget(60 * options.minutes - (time.monotonic() - began_s), parts)
    for part in parts:
        share_s = budget.share(part)
        job = Job(
            part=part,
            device=device,
            seconds=soft(share_s),
            folder=str(folder),
            small=options.small,
            threads=threads,
            presets=tuple(presets),
            **{name: str(path) if path else None for name, path in _inputs(options).items()},
        )
        _say(log, f"{part}: {share_s:.0f} s")
        document["parts"][part] = outcome(job, log, share_s)
        write_atomically(options.json, as_text(document, paths).encode())
        _say(log, f"{part}: {_ended(document['parts'][part])}")
    print(f"{options.json} written; {log.name} beside it has what the parts printed")
    if any("failed" in result or result.get("failed_tests") for result in document["parts"].values()):
        sys.exit(1)


def _inputs(options: argparse.Namespace) -> dict[str, Path | None]:
    return {name: getattr(options, name) for name in ("data", "category", "descriptor_weights")}


def _names(option: str, text: str, known: tuple[str, ...]) -> list[str]:
    """Comma-separated names in the order of `known`. Raises `InputError` for others, and for one twice."""
    names = text.split(",")
    if not set(names) <= set(known) or len(set(names)) < len(names):
        raise InputError(f"{option} is {text!r}; expected different ones of {','.join(known)}, with commas between")
    return [name for name in known if name in names]


def _check(options: argparse.Namespace, parts: list[str]) -> None:
    """Find what is wrong before any minute is spent. Raises `InputError`."""
    for part, (name, what) in NEEDS.items():
        if part in parts and getattr(options, name) is None:
            raise InputError(
                f"the part {part} takes {what}; name their folder with --{name}, or leave it out of --parts"
            )
    if options.data is not None:
        list_images(options.data)
    if options.category is not None:
        good_images(options.category)
    weights = options.descriptor_weights
    if weights is not None and not weights.is_file():
        raise InputError(f"--descriptor-weights is {weights}, which is no file; check the path")
    if options.json is None:
        raise InputError("nothing says where the figures go; name a file with --json")
    for path in (options.json, options.json.with_suffix(".files")):
        if path.exists():
            raise InputError(f"{path} is there already, and its figures would be lost; name another file with --json")
    check_writable(options.json)


def _say(log: Path, line: str) -> None:
    line = f"{time.strftime('%H:%M:%S')} {line}"
    print(line, flush=True)
    with log.open("a") as file:
        file.write(f"{line}\n")


def _ended(result: dict[str, Any]) -> str:
    for why in ("failed", "stopped"):
        if why in result:
            return f"{why} after {result['seconds']:.0f} s: {result[why]}"
    return f"done in {result['seconds']:.0f} s"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=cli.program("benchmarks.gpu"), description="Measure all that wants a GPU, in a few minutes."
    )
    parser.add_argument("--data", type=cli.some_path, metavar="PHOTOGRAPHS", help="folder to pretrain a teacher on")
    parser.add_argument("--category", type=cli.some_path, metavar="FOLDER", help="good images, in any layout")
    parser.add_argument(
        "--descriptor-weights",
        type=cli.some_path,
        metavar="FILE",
        help="P's for patches: with it, the new teacher is compared with the one it began with",
    )
    parser.add_argument("--minutes", type=cli.positive_number, default=12.0, help="that all takes at most (12)")
    parser.add_argument("--parts", default=",".join(WEIGHTS), help="comma-separated (%(default)s)")
    parser.add_argument("--presets", help="of the part of that name, comma-separated (all)")
    add_device_option(parser)
    add_threads_option(parser)
    parser.add_argument("--small", action="store_true", help="tiny sizes, for a rehearsal")
    add_json_option(parser)
    return parser


if __name__ == "__main__":
    cli.run(main)

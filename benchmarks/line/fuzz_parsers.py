"""A search for bytes that make a parser fail, guided by what they reach: libFuzzer, by atheris.

::

    python -m benchmarks.line.fuzz_parsers [NAME …] [--runs N] [--corpus FOLDER] [--json FILE]

`benchmarks.line.parsers` has the parsers. Each is given a million inputs (bytes at the Modbus server: a tenth), in
a process of its own. A fault is an error that is not documented, an input that takes longer than the limit, or more
memory than the limit; the input is then printed, and the command ends with 2 after the other parsers. With ``--corpus``
the inputs that reach something of their own are added to ``FOLDER/NAME.txt``, base64, one a line: a test gives them to
the parsers each time. With ``--json`` the figures are added to those in the file.
"""

import argparse
import base64
import json
import logging
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.documents import write_document
from benchmarks.environment import describe_environment, one_line
from benchmarks.options import add_json_option
from runtime import cli
from runtime.atomic import write_atomically
from runtime.errors import InputError
from runtime.versions import ROOT

NAMES = ("socket", "client", "registers", "modbus", "line-file", "recipe", "seal")
SECONDS_AN_INPUT = 10  # on a machine that is busy; the slowest takes milliseconds
MOST_MIB = 4096  # by libFuzzer's count, which has the memory of the process that started it in it
TURN = 20_000  # inputs of one parser before the next one's turn
CORPUS_BYTES = 24_000  # of base64 that are kept of a parser
CHILD, LAUNCHER = "BENCHMARKS_LINE_FUZZED", "BENCHMARKS_LINE_LAUNCHER"  # in a child's environment: which parser it
# fuzzes, and a program that starts one as it was, which libFuzzer does when it merges


@dataclass(frozen=True)
class Searched:
    """What came of the search in one parser."""

    what: str
    inputs: int
    seconds: float
    peak_mib: int
    branches: int  # that were reached, as libFuzzer counts them

    def line(self, name: str) -> str:
        """The figures as text."""
        return (
            f"{name:<10} {self.inputs:>9,} inputs in {self.seconds:,.0f} s, {self.branches:,} branches, "
            f"{self.peak_mib} MiB"
        )


def main(arguments: list[str] | None = None) -> None:
    if CHILD in os.environ:
        _fuzz(os.environ[CHILD])
        return
    options = _parser().parse_args(arguments)
    if unknown := sorted(set(options.names) - set(NAMES)):
        raise InputError(f"there is no parser {', '.join(unknown)}; known are {', '.join(NAMES)}")
    import_module("atheris")  # where it is not installed, that is said before anything else
    environment, names, faults = describe_environment(), list(options.names or NAMES), []
    left = {name: options.runs or default_runs(name) for name in names}
    while left:  # by turns, so that all have had some of it when somebody ends this
        for name in list(left):
            runs = min(TURN, left[name])
            try:
                found = search(name, runs, options.corpus)
            except Fault as fault:  # the others are looked at all the same
                print(fault, file=sys.stderr, flush=True)
                faults.append(name)
                del left[name]
                continue
            left[name] -= runs
            if not left[name]:
                del left[name]
            print(found.line(name), flush=True)
            if options.json:
                _note(options.json, name, found, environment)
    print(one_line(environment))
    if faults:
        raise InputError(f"{', '.join(faults)} failed by the inputs above; correct what they found")


class Fault(InputError):
    """An input that made a parser fail."""


def default_runs(name: str) -> int:
    """Inputs of a parser, as it says."""
    return int(import_module("benchmarks.line.parsers").BY_NAME[name].runs)


def _note(path: Path, name: str, found: Searched, environment: dict[str, object]) -> None:
    """Add one parser's figures to those in the file."""
    document: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    rows = document.get("parsers", {})
    before = rows.get(name, {"inputs": 0, "seconds": 0.0, "peak_mib": 0})
    row = asdict(found) | {name: before[name] + getattr(found, name) for name in ("inputs", "seconds")}
    row["peak_mib"] = max(before["peak_mib"], found.peak_mib)
    rows[name] = row | {"environment": environment}
    document["limits"] = {"seconds_an_input": SECONDS_AN_INPUT, "most_mib": MOST_MIB}
    document["parsers"] = {each: rows[each] for each in NAMES if each in rows}
    write_document(path, document)


def search(name: str, runs: int, corpus: Path | None) -> Searched:
    """Give a parser `runs` inputs. Raises `Fault` where one made it fail."""
    parser = import_module("benchmarks.line.parsers").BY_NAME[name]
    kept = None if corpus is None else corpus / f"{name}.txt"
    with tempfile.TemporaryDirectory() as folder:
        found, seeds, smallest = (Path(folder) / each for each in ("found", "seeds", "smallest"))
        for each in (found, seeds, smallest):
            each.mkdir()
        known = [*parser.seeds(), *(read_corpus(kept) if kept is not None and kept.exists() else [])]
        for data in known:
            (seeds / sha256(data).hexdigest()).write_bytes(data)
        (words := Path(folder) / "words").write_text(_words(known))
        guided = [f"-dict={words}"] if words.stat().st_size else []
        limits = [f"-max_len={parser.most_bytes}", f"-timeout={SECONDS_AN_INPUT}", f"-rss_limit_mb={MOST_MIB}"]
        said = _run(name, [f"-runs={runs}", *guided, "-print_final_stats=1", *limits, found, seeds])
        if kept is not None:
            _run(name, ["-merge=1", *limits, smallest, found, seeds])
            _keep(kept, smallest)
        return Searched(
            parser.what,
            int(_number(r"number_of_executed_units: +(\d+)", said)),
            _number(r"in (\d+) second", said),
            int(_number(r"peak_rss_mb: +(\d+)", said)),
            int(_number(r"cov: (\d+)", said)),
        )


def read_corpus(path: Path) -> list[bytes]:
    """The inputs in a file of a corpus."""
    return [base64.b64decode(line) for line in path.read_text().splitlines()]


def _keep(path: Path, folder: Path) -> None:
    """The inputs in a folder, the shortest first, as many as may be kept."""
    lines, size = [], 0
    for data in sorted((each.read_bytes() for each in folder.iterdir()), key=lambda data: (len(data), data)):
        line = base64.b64encode(data).decode()
        size += len(line) + 1
        if size > CORPUS_BYTES:
            break
        lines.append(line)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, "".join(f"{line}\n" for line in lines).encode())


def _words(seeds: Sequence[bytes]) -> str:
    """What stands between quotes, and names and numbers in the seeds, as libFuzzer's dictionary has them."""
    found = {word for data in seeds for word in re.findall(rb'"[ -~]{1,30}?"|[A-Za-z_][A-Za-z0-9_]{2,30}', data)}
    escaped = ("".join(f"\\x{byte:02x}" for byte in word) for word in sorted(found))
    return "".join(f'"{word}"\n' for word in escaped)


def _run(name: str, words: Sequence[object]) -> str:
    """libFuzzer in a process of its own; what it said. Raises `Fault` where it found one."""
    with tempfile.TemporaryDirectory() as folder:
        launcher, kept = Path(folder) / "fuzz", Path(folder) / "kept"
        kept.mkdir()
        launcher.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m benchmarks.line.fuzz_parsers "$@"\n')
        launcher.chmod(0o700)
        command = [str(launcher), f"-artifact_prefix={kept}/", *map(str, words)]
        environment = os.environ | {CHILD: name, LAUNCHER: str(launcher)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace")
        if done.returncode == 0:
            return done.stderr
        inputs = [base64.b64encode(each.read_bytes()).decode() for each in sorted(kept.iterdir())]
    said = "\n".join(line for line in (done.stderr + done.stdout).splitlines() if "Instrumenting" not in line)
    shown = " ".join(inputs) or "that it did not keep"
    raise Fault(f"{name} fails with status {done.returncode} by the input {shown} (base64):\n{said[-4000:]}")


def _number(pattern: str, said: str) -> float:
    found = re.findall(pattern, said)
    if not found:
        raise InputError(f"libFuzzer said nothing of {pattern}: {said[-2000:]}")
    return float(found[-1])


def _fuzz(name: str) -> None:
    """In the child: libFuzzer over one parser, with the words of the command line. Does not return."""
    atheris: Any = import_module("atheris")
    logging.disable(logging.CRITICAL)  # a line an input
    guiding = _modules(name)
    with atheris.instrument_imports(include=guiding, exclude=_others(guiding)):
        parsers: Any = import_module("benchmarks.line.parsers")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        parse = parsers.BY_NAME[name].open(Path(folder), opened)
        atheris.Setup([os.environ[LAUNCHER], *sys.argv[1:]], parse)
        atheris.Fuzz()


def _modules(name: str) -> list[str]:
    """Whose branches guide the search. Known before what is instrumented can be imported."""
    line = ["runtime.line"]
    checked = ["runtime.typed", "runtime.bounds"]
    return {
        "modbus": [*line, "pymodbus"],
        "line-file": [*checked, "runtime.station", "runtime.cameras", "runtime.arguments", "yaml"],
        "recipe": [
            *checked,
            "runtime.recipe",
            "runtime.schema1",
            "runtime.threshold",
            "runtime.scoring",
            "runtime.alignment",
        ],
        "seal": [*checked, "runtime.recipes", "runtime.signing"],
    }.get(name, line)


def _others(guiding: Sequence[str]) -> list[str]:
    """All other modules of the runtime: atheris would take them for part of what guides, and seconds to begin."""
    files = (path.relative_to(ROOT).with_suffix("").parts for path in (ROOT / "runtime").rglob("*.py"))
    names = {".".join(parts[:-1] if parts[-1] == "__init__" else parts) for parts in files}
    return sorted(name for name in names if not any(f"{name}.".startswith(f"{each}.") for each in guiding))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=cli.program("benchmarks.line.fuzz_parsers"), description="Search for inputs that make a parser fail."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of the parser: {', '.join(NAMES)} (all)")
    parser.add_argument("--runs", type=cli.positive, metavar="N", help="inputs of each (as it says)")
    parser.add_argument("--corpus", type=cli.some_path, metavar="FOLDER", help="read the inputs there, and add to them")
    add_json_option(parser)
    return parser


if __name__ == "__main__":
    cli.run(main)

"""How long importing the runtime takes over bare Python, and that it brings no training library along.

::

    python -m benchmarks.stream.imports [--repeats 20] [--json FILE]

Each measurement is a process of its own, bare and importing in turn, after one of each to warm the disk cache. The
time runs from starting the process to its end, so that it includes what Python does for itself; the difference of the
medians is what the import costs. Measured is `runtime.detector`, which a program that inspects needs: `import runtime`
alone loads nothing yet.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from benchmarks.documents import write_document
from benchmarks.environment import describe_environment, one_line
from benchmarks.options import add_json_option
from runtime import cli
from runtime.errors import InputError, ProctorError

MODULE = "runtime.detector"
TARGET_S = 0.3
NOT_IN_RUNTIME = ("torch", "onnx", "scipy")
LIST_MODULES = f"import sys, MODULE; print(*[name for name in {NOT_IN_RUNTIME} if name in sys.modules])"


@dataclass(frozen=True)
class ImportCost:
    """What importing a module costs; the times are medians over `repeats` processes."""

    module: str
    repeats: int
    bare_s: float
    importing_s: float
    unwanted: tuple[str, ...]  # modules of NOT_IN_RUNTIME that the import loaded

    @property
    def cost_s(self) -> float:
        """Time over bare Python."""
        return self.importing_s - self.bare_s


def measure(module: str, repeats: int) -> ImportCost:
    """Import `module` in `repeats` fresh processes. Raises `InputError` for no repeats or a module that fails."""
    if repeats < 1:
        raise InputError(f"{repeats} repeats; expected 1 or more")
    unwanted = run_python("-c", LIST_MODULES.replace("MODULE", module)).split()
    run_python("-c", "")
    bare, importing = [], []
    for _ in range(repeats):
        bare.append(_seconds(""))
        importing.append(_seconds(f"import {module}"))
    return ImportCost(module, repeats, statistics.median(bare), statistics.median(importing), tuple(unwanted))


def _seconds(program: str) -> float:
    start = time.perf_counter()
    run_python("-c", program)
    return time.perf_counter() - start


def run_python(*arguments: str) -> str:
    """What a process of this Python prints. Raises `InputError` with its last line of stderr when it fails."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise InputError(f"python {' '.join(arguments)} failed ({last}); run this where Proctor is installed")
    return done.stdout


def report(cost: ImportCost) -> str:
    """The figures as text."""
    verdict = "within" if cost.cost_s <= TARGET_S else "over"
    return "\n".join(
        [
            f"bare Python             {cost.bare_s:.3f} s",
            f"import {cost.module:<16} {cost.importing_s:.3f} s  ({cost.importing_s / cost.bare_s:.1f} times)",
            f"over bare Python        {cost.cost_s:.3f} s  ({verdict} the target of {TARGET_S} s)",
            f"of {', '.join(NOT_IN_RUNTIME)} it loads {', '.join(cost.unwanted) or 'none'}",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """The command. Raises `ProctorError` when the runtime loads what it must not."""
    parser = argparse.ArgumentParser(
        prog=cli.program("benchmarks.stream.imports"), description=f"Time import {MODULE}."
    )
    parser.add_argument("--repeats", type=cli.positive, default=20, help="processes of each kind (default 20)")
    add_json_option(parser)
    options = parser.parse_args(arguments)
    cost, environment = measure(MODULE, options.repeats), describe_environment()
    if options.json:
        document = {**asdict(cost), "cost_s": cost.cost_s, "target_s": TARGET_S, "environment": environment}
        write_document(options.json, document)
    print(report(cost))
    print(one_line(environment))
    if cost.unwanted:
        raise ProctorError(f"import {cost.module} loads {', '.join(cost.unwanted)}; a line computer has none of them")


if __name__ == "__main__":
    cli.run(main)

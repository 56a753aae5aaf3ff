"""Whether thresholds keep what they promise, by simulation, and what rules for few images reject.

::

    python -m benchmarks.thresholds [--scores accuracy.json ...] [--json thresholds.json] [--plot thresholds.svg]

Three parts: the mean false-reject rate at thresholds of left-out scores, in a world with a real memory bank; how often
an order statistic breaks its budget; what rules for too few scores reject, over distributions and, with ``--scores``,
over the good parts of results of benchmarks.accuracy.
"""

import argparse
import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from benchmarks.environment import describe_environment, one_line
from benchmarks.options import add_json_option, add_plot_option
from runtime import cli
from runtime.atomic import write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence

BUDGET = 0.01  # of the rules for few scores


def main(arguments: "Sequence[str] | None" = None) -> None:
    options = _parser().parse_args(arguments)

    from benchmarks.thresholds import neighbours, order_statistic, small_samples

    started = time.monotonic()
    families = [*small_samples.families(), *map(small_samples.family_of_result, options.scores)]
    kept = [one for leverage in (False, True) for one in neighbours.keep(leverage, options.splits, options.seed)]
    print("\n".join(neighbours.lines(kept)))
    broken = order_statistic.count_broken(4 * options.splits, options.seed)
    print("\n".join(order_statistic.lines(broken)))
    rows = list(small_samples.table(families, BUDGET, 2 * options.splits, options.seed))
    print("\n".join(small_samples.lines(rows)))
    environment = describe_environment()
    print(one_line(environment))
    document = {
        "splits": options.splits,
        "seed": options.seed,
        "budget": BUDGET,
        "left_out": [asdict(one) for one in kept],
        "order_statistic": [asdict(one) for one in broken],
        "small_samples": [asdict(row) for row in rows],
        "seconds": round(time.monotonic() - started, 1),
        "environment": environment,
    }
    if options.json:
        write_atomically(options.json, json.dumps(document, indent=1).encode())
    if options.plot:
        from benchmarks.plots import save
        from benchmarks.thresholds.plots import thresholds_plot

        save(thresholds_plot(document), options.plot)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=cli.program("benchmarks.thresholds"), description="Check what thresholds promise, by simulation."
    )
    parser.add_argument("--splits", type=cli.positive, default=1000, metavar="N", help="sets of good parts (1000)")
    parser.add_argument("--seed", type=cli.seed, default=0)
    parser.add_argument(
        "--scores",
        type=cli.some_path,
        nargs="+",
        default=[],
        metavar="JSON",
        help="results of benchmarks.accuracy, whose good parts' scores are drawn from, too",
    )
    add_json_option(parser)
    add_plot_option(parser)
    return parser


if __name__ == "__main__":
    cli.run(main)

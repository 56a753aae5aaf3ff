"""Whether the drift watch keeps its chance of a false alarm, how soon it notices a fading lamp, and what helps then.

::

    python -m benchmarks.drift [quiet] [fading] [--json drift.json] [--plot drift.svg]

`quiet`: lines without drift, simulated: of normal and Gumbel scores, and of a real memory bank whose scores of
calibration are left out in turn; then such lines with scores that have risen. `fading`: the demo line, whose lamp loses
its light in steps: when false rejects reach twice their budget, the parts with which the watch warned, how often it
warns under the full light, and thresholds that are fitted to good parts under what light is left. The demo detector, by
ONNX Runtime on one thread. A measurement that is not named stays as it is in the JSON file.
"""

import argparse
import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from benchmarks.environment import describe_environment, one_line
from benchmarks.options import add_json_option, add_plot_option
from benchmarks.redraw import read_result
from runtime import cli
from runtime.atomic import check_writable, write_atomically
from runtime.default_detector import DEMO_DETECTOR
from runtime.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.drift.quiet import Parts
    from runtime.recipe import Recipe

STEPS = 5  # of the fading

Document = dict[str, Any]


def main(arguments: "Sequence[str] | None" = None) -> None:
    options = _parser().parse_args(arguments)

    import cv2

    cv2.setNumThreads(1)
    logging.getLogger("proctor.drift").setLevel(logging.ERROR)  # thousands of lines are watched
    names = options.what or list(MEASUREMENTS)
    document = _checked(options, names)
    for name in names:
        started = time.monotonic()
        found = MEASUREMENTS[name](options)
        environment = describe_environment()
        document[name] = found | {"seconds": round(time.monotonic() - started, 1), "environment": environment}
        _say(one_line(environment))
        if options.json:
            write_atomically(options.json, json.dumps(document, indent=1).encode())
    if options.plot:
        from benchmarks.drift.plots import drift_plot
        from benchmarks.plots import save

        save(drift_plot(document), options.plot)


def _checked(options: argparse.Namespace, names: "Sequence[str]") -> Document:
    """What is in the JSON file already. Raises `InputError` for what would be found wrong after the measurement."""
    document: Document = read_result(options.json) if options.json and options.json.exists() else {}
    others = sorted(set(document) - set(MEASUREMENTS))
    if others:
        raise InputError(f"{options.json} has {', '.join(others)}, which benchmarks.drift does not write; name another")
    if options.json:
        check_writable(options.json)
    if options.plot:
        from benchmarks.plots import format_of

        format_of(options.plot)
        missing = sorted(set(MEASUREMENTS) - set(document) - set(names))
        if missing:
            raise InputError(f"--plot draws {' and '.join(MEASUREMENTS)}; measure {' and '.join(missing)}, too")
    return document


def _quiet(options: argparse.Namespace) -> Document:
    from benchmarks.drift import quiet
    from runtime.detector_file import read_detector
    from runtime.drift.watch import ALPHA

    recipe, rows = read_detector(DEMO_DETECTOR)[1], []
    for row in quiet.quiet_lines(recipe, options.lines, options.parts, options.seed):
        rows.append(row)
        _say(
            f"{row.kind}, calibrated on {row.calibration}: {row.warned} of {row.lines:,} lines of {row.parts:,} parts "
            f"were warned of, at most {100 * row.bound:.2f} % (95 %)"
        )
    together = quiet.together(rows)
    _say(f"together {together.warned} of {together.lines:,}, at most {100 * together.bound:.2f} % (95 %)")
    risen = []
    for line in quiet.risen_lines(recipe, options.lines, options.parts, options.seed):
        risen.append(line)
        _say(
            f"{line.kind}, calibrated on {line.calibration}, scores higher by {line.rise:g} deviations: {line.warned} "
            f"of {line.lines:,} lines of {line.parts:,} parts were warned of, and {line.without_high_scores} without "
            "the high scores"
        )
    found = {"rows": _as_dicts(rows), "together": asdict(together), "risen": _as_dicts(risen)}
    return {"alpha": ALPHA, "seed": options.seed, **found}


def _fading(options: argparse.Namespace) -> Document:
    from benchmarks.drift import fading
    from runtime.detector import Detector

    with Detector.open(DEMO_DETECTOR, threads=1) as detector:
        steps = [
            fading.seen(detector, step, options.level_parts * (4 if step == 0 else 1)) for step in range(STEPS + 1)
        ]
        return of_steps(detector.recipe, steps, options)


def of_steps(recipe: "Recipe", steps: "Sequence[Parts]", options: argparse.Namespace) -> Document:
    """What follows from the scores of good parts of each step of the fading."""
    from benchmarks.drift import fading
    from benchmarks.drift.quiet import shipped_lines

    rejected = [int((parts.scores > recipe.threshold.value).sum()) for parts in steps]
    found = [
        fading.Level(fading.light_after(step), len(parts.scores), rejects)
        for step, (parts, rejects) in enumerate(zip(steps, rejected, strict=True))
    ]
    reached = fading.crossing(found, 2 * recipe.threshold.budget)
    if reached is None:
        raise InputError("false rejects never reach twice the budget; nothing can be measured")
    runs = [fading.run(recipe, steps, number, options.quiet) for number in range(options.runs)]
    last = (reached - 1) * fading.STEP_PARTS  # the first step's parts are from 0 on
    names = "warned", "warned_by_scores"
    in_time = {name: sum((getattr(each, name) or math.inf) < last for each in runs) for name in names}
    again = fading.recalibrated(recipe, found[-1].light, steps[-1], 1000, options.seed)
    still = shipped_lines(recipe, steps[0], options.lines, options.parts, options.seed)
    _say(f"{found}; above twice the budget from part {last} on; warned before: {in_time} of {len(runs)}")
    _say(f"{again}; {still}")
    return {
        "budget": recipe.threshold.budget,
        "step_parts": fading.STEP_PARTS,
        "levels": _as_dicts(found),
        "twice_the_budget_at_step": reached,
        "quiet_before": options.quiet,
        "runs": _as_dicts(runs),
        "before_part": last,
        "in_time": in_time,
        "recalibrated": asdict(again),
        "under_full_light": asdict(still),
    }


MEASUREMENTS: dict[str, Callable[[argparse.Namespace], Document]] = {
    "quiet": _quiet,
    "fading": _fading,
}


def _as_dicts(rows: "Sequence[Any]") -> list[Document]:
    return [asdict(row) for row in rows]


def _say(text: str) -> None:
    print(text, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=cli.program("benchmarks.drift"), description="Measure the drift watch and recalibration."
    )
    parser.add_argument("what", nargs="*", choices=[*MEASUREMENTS, []], help="what to measure (all)")
    for name, default, words in (
        ("lines", 1000, "lines without drift, of each kind"),
        ("parts", 2000, "parts of each"),
        ("runs", 100, "lines that fade"),
        ("quiet", 2000, "parts under full light before a line fades"),
        ("level-parts", 250, "good parts for each step of the fading; four times as many under the full light"),
    ):
        parser.add_argument(f"--{name}", type=cli.positive, default=default, metavar="N", help=f"{words} ({default:,})")
    parser.add_argument("--seed", type=cli.seed, default=0)
    add_json_option(parser)
    add_plot_option(parser)
    return parser


if __name__ == "__main__":
    cli.run(main)

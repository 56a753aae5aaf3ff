"""How good teachers are, whatever they were trained on: their descriptors on photographs, and their trainings' course.

::

    python -m benchmarks.teachers p33 FILE… --data PHOTOGRAPHS --descriptor-weights RESNET18 [--json FILE] [--plots DIR]
    python -m benchmarks.teachers --runs RUN… [--json FILE] [--plots DIR]

No shipped file holds the decoder D, so the best linear one is found in closed form on patches of training photographs,
and the figure is the share of the variance of P's output that it explains on photographs held out. The same is done for
whole views of photographs, with P's map and the teacher's: detectors run teachers on whole frames. Every teacher is
compared with the mean of P's output and with random weights of its size. The photographs are split as `train.teacher`
splits them with the same seed: for a teacher trained with that seed on that folder, the held-out ones were held out of
its training too; for any other the output says that this is not known.
"""

import argparse
import json
import math
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict

from benchmarks.environment import describe_environment, one_line
from benchmarks.options import add_device_option, add_json_option, add_plots_options
from benchmarks.teachers.curves import Curve, read_curve
from runtime import cli
from runtime.atomic import write_atomically
from runtime.errors import InputError
from train.options import DENSE_DESCRIPTORS, PATCH_DESCRIPTORS, TeacherConfig


def _curve_document(curve: Curve) -> dict[str, object]:
    values = {name: [None if math.isnan(v) else v for v in column] for name, column in curve.values.items()}
    return {"name": curve.name, "iterations": curve.iterations, **values}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=cli.program("benchmarks.teachers"), description="Measure teachers.")
    parser.add_argument("teachers", nargs="*", metavar="TEACHER", help="shipped names or files")
    parser.add_argument("--data", default="", metavar="DIR", help="folder of natural photographs")
    parser.add_argument("--descriptor", choices=PATCH_DESCRIPTORS, default="resnet18-layer23")
    parser.add_argument("--descriptor-weights", metavar="FILE", help="P's; without it torchvision downloads them")
    parser.add_argument(
        "--descriptor-input", type=cli.positive, default=96, metavar="PIXELS", help="side of patches in P (96)"
    )
    parser.add_argument(
        "--dense-descriptor", choices=DENSE_DESCRIPTORS, default=DENSE_DESCRIPTORS[0], help="P of maps (%(default)s)"
    )
    parser.add_argument("--seed", type=cli.seed, default=0, help="of the split, the patches and the random weights (0)")
    add_device_option(parser)
    parser.add_argument("--patches", type=cli.positive, default=8192, metavar="N", help="patches to fit D on (8192)")
    parser.add_argument("--held-out", type=cli.positive, default=2048, metavar="N", help="patches to measure on (2048)")
    parser.add_argument(
        "--triplets", type=cli.positive, default=1024, metavar="N", help="triplets to measure on (1024)"
    )
    parser.add_argument("--views", type=cli.positive, default=256, metavar="N", help="views to fit D of maps on (256)")
    parser.add_argument("--held-out-views", type=cli.positive, default=96, metavar="N", help="views to measure on (96)")
    parser.add_argument(
        "--runs", type=cli.some_path, nargs="+", default=[], metavar="RUN", help="run folders of train.teacher"
    )
    add_json_option(parser)
    add_plots_options(parser)
    return parser


def _check(options: argparse.Namespace) -> None:
    if not options.teachers and not options.runs:
        raise InputError("there is nothing to measure; name teachers (p33, a file) or --runs")
    if options.teachers and not options.data:
        raise InputError("teachers are measured on photographs; name their folder with --data")
    for name, least in (("patches", 256), ("held_out", 2), ("triplets", 1), ("views", 2), ("held_out_views", 2)):
        value = getattr(options, name)
        if value < least:
            wanted = f"{least} or more" + (", twice the descriptor's dimensions" if name == "patches" else "")
            raise InputError(f"--{name.replace('_', '-')} is {value}; expected {wanted}")
    names = [run.name for run in options.runs]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two runs are named {name}, so their curves could not be told apart; rename a folder")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    options = _parser().parse_args(arguments)
    _check(options)

    if options.plots:
        import benchmarks.teachers.plots  # noqa: F401  that matplotlib is missing is said before the work, not after
    from benchmarks.teachers.material import Counts
    from benchmarks.teachers.measure import measure, report
    from train.device import resolve_device

    config = TeacherConfig(
        data=options.data,
        descriptor=options.descriptor,
        descriptor_weights=options.descriptor_weights,
        descriptor_input=options.descriptor_input,
        seed=options.seed,
        device=resolve_device(options.device),
    )
    counts = Counts(options.patches, options.held_out, options.triplets, options.views, options.held_out_views)
    curves = [read_curve(run) for run in options.runs]
    groups = measure(options.teachers, config, counts, options.dense_descriptor)
    environment = describe_environment()
    if groups:
        print(report(groups, counts))
    for curve in curves:
        last = {name: column[-1] for name, column in curve.values.items()}
        print(f"{curve.name} at {curve.iterations[-1]:,}: " + ", ".join(f"{k} {v:.4g}" for k, v in last.items()))
    print(one_line(environment))
    if options.json:
        document = {
            "teachers": [asdict(group) for group in groups],
            "runs": [_curve_document(curve) for curve in curves],
            "counts": asdict(counts),
            "descriptor": {"network": config.descriptor, "input": config.descriptor_input},
            "dense_descriptor": options.dense_descriptor,
            "seed": config.seed,
            "device": config.device,
            "command": shlex.join(["python", "-m", "benchmarks.teachers", *(arguments or sys.argv[1:])]),
            "environment": environment,
        }
        write_atomically(options.json, json.dumps(document, indent=2, ensure_ascii=False).encode())
    if options.plots:
        from benchmarks.teachers.plots import write_plots

        for path in write_plots(options.plots, groups, curves, options.format):
            print(f"{path} written")


if __name__ == "__main__":
    cli.run(main)

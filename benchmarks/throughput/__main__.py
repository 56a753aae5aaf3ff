"""``python -m benchmarks.throughput DETECTOR…``: latency, throughput, and the share of what this machine can do.

A DETECTOR is a ``detector.onnx`` (a row for each of ``--engines``), a ``detector.plan``, or a run folder (a row for
each of ``--forms``); ``NAME=PATH`` names its row. ``--onnx`` adds other detectors' files, such as those of
``python -m benchmarks.throughput.rivals``.

``--random`` adds presets that nobody trained here, each as ``NAME=PRESET:OPTION=VALUE:OPTION=VALUE…`` with the options
of ``python -m train`` (NAME and options may be left out)::

    python -m benchmarks.throughput edge=edge.onnx --random paper edge-256=edge:size_hw=256,256

Their files are those of the real export, with the real teachers and backbones, and random students, descriptors and
statistics: speed does not depend on weights.

Timed is one call, from a prepared uint8 frame on the host to map and score on the host, on the monotonic clock after a
warm-up. All rows, and the matrix products that stand for the machine's limit, take turns within each repeat, so that a
busy moment meets them all; in each turn of a call that takes less than a second, two that are not timed go first, as a
line's frames follow one another; ratios are to the median of the first row or of ``--reference``. Throughput is that of
the best batch, on a GPU with as many batches under way as the engine takes. A row that has had ``--seconds`` leaves the
turns, after three at least; batches of which three would take longer are left out. A 95th percentile takes 100 samples,
a 99th 300; of fewer there is the longest alone. How many there are is printed, and the load of the machine before.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.environment import describe_environment, one_line
from benchmarks.options import add_json_option, add_threads_option
from benchmarks.throughput.measure import measure
from benchmarks.throughput.rivals import RIVALS, export_rivals, size_hw
from benchmarks.throughput.roofline import roofline
from benchmarks.throughput.subject import ENGINES, Subject
from benchmarks.throughput.table import tables
from benchmarks.throughput.timing import P95_SAMPLES, Turns
from runtime import cli
from runtime.atomic import write_atomically
from runtime.cuda_driver import LIBRARY, examine
from runtime.engine_options import add_key_option
from runtime.errors import EngineError, InputError
from runtime.machine import available_cores

if TYPE_CHECKING:
    from benchmarks.throughput.random_rows import RandomRow

FORMS = ("eager", "compiled", "patches")


def main() -> None:
    arguments = _parser().parse_args()

    from benchmarks.throughput.random_rows import random_row

    arguments.threads = arguments.threads or available_cores()
    turns = Turns(arguments.repeats, arguments.seconds)
    untrained = [random_row(text) for text in arguments.random]
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    with ExitStack() as opened, tempfile.TemporaryDirectory() as folder:
        if arguments.compare:
            arguments.onnx += [str(path) for path in export_rivals(Path(folder), arguments.compare, arguments.size)]
        subjects, notes = [], []
        for name, make in _rows(arguments, untrained, Path(folder)):
            try:
                subject = make()
            except EngineError as error:
                if not name.endswith(" compiled"):
                    raise
                print(f"{name}: {error}; the row is left out", file=sys.stderr)
                notes.append(f"{name}: torch.compile does not work here; the row is left out")
                continue
            opened.callback(subject.close)
            subjects.append(subject)
        result = measure(subjects, arguments.reference, arguments.batches, turns, arguments.threads)
    environment = describe_environment()
    document = {
        **asdict(result),
        "notes": [*notes, *result.notes],
        "threads": arguments.threads,
        "turns": asdict(turns),
        "load_before": load,  # processes that wanted a core in the minute before
        "timed": "prepared uint8 frame on the host to map and score on the host",
        "environment": environment,
    }
    machine = f"{environment['cpu']}, {arguments.threads} CPU thread{'s' if arguments.threads > 1 else ''}"
    print(tables(result, machine, load))
    print("\n" + "\n".join([*(f"- {note}" for note in notes), one_line(environment)]))
    if any(subject.device == "cuda" for subject in subjects):
        document["gpu"] = examine(LIBRARY)
    if arguments.json:
        write_atomically(arguments.json, json.dumps(document, indent=1).encode())
    if arguments.roofline:
        from benchmarks.plots import save

        save(roofline(json.loads(json.dumps(document))), arguments.roofline)


def _rows(
    arguments: argparse.Namespace, untrained: "Sequence[RandomRow]", folder: Path
) -> Iterator[tuple[str, Callable[[], Subject]]]:
    """The name of each row and what opens it: detectors, random ones, whose files go to `folder`, and foreign files."""
    from benchmarks.throughput.onnx_subjects import subject_of_detector, subject_of_foreign, subject_of_plan

    for text in arguments.detectors:
        name, path = _named(text)
        if path.is_dir():
            yield from _rows_of_run(name, path, arguments)
        elif path.suffix == ".plan":
            yield name, lambda name=name, path=path: subject_of_plan(name, path, arguments.key_file)  # type: ignore[misc]
        else:
            for row, engine in _by_engine(name, arguments.engines):
                yield (
                    row,
                    lambda row=row, path=path, engine=engine: subject_of_detector(  # type: ignore[misc]
                        row, path, engine, arguments.threads
                    ),
                )
    files = {_named(text)[0] for text in (*arguments.detectors, *arguments.onnx)}
    for index, one in enumerate(untrained):
        if one.name == one.settings and one.name in files:  # a preset beside a file of its name
            one = replace(one, name=f"random {one.name}")
        path = folder / f"random-{index}.onnx"
        one.write(path, arguments.precision == "fp16")
        for row, engine in _by_engine(one.name, arguments.engines):
            yield row, partial(one.subject, row, path, engine, arguments.threads)
    for text in arguments.onnx:
        name, path = _named(text)
        for row, engine in _by_engine(name, arguments.engines):
            yield (
                row,
                lambda row=row, path=path, engine=engine: subject_of_foreign(  # type: ignore[misc]
                    row, path, engine, arguments.size, arguments.threads
                ),
            )


def _rows_of_run(name: str, run: Path, arguments: argparse.Namespace) -> Iterator[tuple[str, Callable[[], Subject]]]:
    from benchmarks.throughput import patches, torch_subjects
    from calibration.calibrated import with_statistics
    from calibration.methods import open_run
    from calibration.methods.students import StudentsRun
    from export.fused import FusedDetector

    calibrated = with_statistics(open_run(run, "cpu"))
    trained = calibrated.trained
    size, half = trained.size_hw, arguments.precision == "fp16"
    modules = [form for form in arguments.forms if form in ("eager", "compiled")]
    arithmetic = torch_subjects.arithmetic_of(FusedDetector(calibrated, half=half).eval(), size) if modules else None
    for form in arguments.forms:
        row = f"{name} {form}"
        if form == "patches":
            if not isinstance(trained, StudentsRun):
                raise InputError(f"{run} is of {trained.method}; crop by crop there are students alone")
            yield (
                row,
                lambda row=row: patches.patches_subject(  # type: ignore[misc]
                    row, trained, arguments.threads, arguments.positions
                ),
            )
        else:
            assert arithmetic is not None
            yield (
                row,
                lambda row=row, form=form: torch_subjects.subject_of_module(  # type: ignore[misc]
                    row,
                    FusedDetector(calibrated, half=half).eval(),
                    size,
                    arithmetic,
                    device=arguments.device,
                    threads=arguments.threads,
                    compiled=form == "compiled",
                ),
            )


def _by_engine(name: str, engines: list[str]) -> list[tuple[str, str]]:
    """(row, engine): the engine is part of a row's name where there are several."""
    return [(name if len(engines) == 1 else f"{name} {engine}", engine) for engine in engines]


def _named(text: str) -> tuple[str, Path]:
    """``NAME=PATH`` or a path, whose stem then is the name. Raises `InputError` where nothing is there."""
    name, given, rest = text.partition("=")
    path = Path(rest if given else text)
    if not path.exists():
        raise InputError(f"{path} does not exist; expected a detector.onnx, a detector.plan or a run folder")
    return (name if given else path.stem), path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=cli.program("benchmarks.throughput"), description="Time detectors beside the machine's own limit."
    )
    parser.add_argument(
        "detectors", nargs="*", metavar="DETECTOR", help="detector.onnx, .plan or run folder; NAME=PATH"
    )
    parser.add_argument(
        "--random", nargs="+", default=[], metavar="PRESET", help="untrained: NAME=PRESET:OPTION=VALUE…, as to train"
    )
    parser.add_argument("--onnx", nargs="+", default=[], metavar="FILE", help="other ONNX files of one image input")
    parser.add_argument("--compare", nargs="+", choices=tuple(RIVALS), metavar="RIVAL", help="export these of anomalib")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=["onnxruntime-cpu"], help="of ONNX files")
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=["eager", "compiled"], help="of a run folder")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="of eager and compiled (cpu)")
    parser.add_argument(
        "--precision", choices=("fp32", "fp16"), default="fp32", help="of eager, compiled, --random (fp32)"
    )
    parser.add_argument("--reference", metavar="ROW", help="row that ratios are to (the first)")
    add_threads_option(parser)
    parser.add_argument("--batches", type=cli.positive, nargs="*", default=[1, 2, 4, 8], help="to try (1 2 4 8)")
    parser.add_argument("--repeats", type=cli.positive, default=P95_SAMPLES, help="turns of each row (%(default)s)")
    parser.add_argument(
        "--seconds", type=cli.positive_number, default=60.0, help="after which a slow row leaves the turns (60)"
    )
    parser.add_argument("--size", type=size_hw, default=(256, 256), metavar="H,W", help="where --onnx leaves it open")
    parser.add_argument("--positions", type=cli.positive, default=64, help="that 'patches' measures of a frame's (64)")
    add_json_option(parser)
    parser.add_argument("--roofline", type=cli.some_path, metavar="FILE", help="draw the roofline there, .svg or .png")
    add_key_option(parser)
    return parser


if __name__ == "__main__":
    cli.run(main)

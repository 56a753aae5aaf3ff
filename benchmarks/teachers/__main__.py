"""How good teachers are, whatever they were trained on: their descriptors on photographs, and their trainings' course.

::

    python -m benchmarks.teachers p33 FILE… --data PHOTOGRAPHS --descriptor-weights RESNET18 [--json FILE] [--plots DIR]
    python -m benchmarks.teachers --runs RUN… [--json FILE] [--plots DIR]

No shipped file holds the decoder D, so the best linear one is found in closed form on patches of training photographs,
and the figure is the share of the variance of P's output that it explains on photographs held out. Every teacher is
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
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.options import add_device_option, add_json_option, add_plots_options
from runtime import cli
from runtime.errors import InputError
from train.teacher import TeacherConfig

if TYPE_CHECKING:
    from benchmarks.teachers.curves import Curve
    from benchmarks.teachers.figures import DescriptorFigures
    from benchmarks.teachers.material import Counts, Material
    from train.held_out import TripletMeasure


@dataclass(frozen=True)
class Measured:
    """A teacher with its figures. `held_out_of_its_training` is None when that is not known."""

    name: str
    patch_size: int
    sha256: str | None
    held_out_of_its_training: bool | None
    card: dict[str, Any]
    figures: "DescriptorFigures"
    triplets: "TripletMeasure"


@dataclass(frozen=True)
class Group:
    """Teachers of one patch size, that of random weights first, on the same patches."""

    patch_size: int
    photographs: dict[str, object]  # their number and hash, as in a teacher's card
    mean_explains: float
    measured: tuple[Measured, ...]


def measure(names: Sequence[str], config: TeacherConfig, counts: "Counts") -> list[Group]:
    """Measure teachers by name or path. Raises `InputError` for a file, photographs or weights that cannot be used."""
    from benchmarks.teachers.material import gather
    from train.ensemble import teacher_path
    from train.files import load_network

    paths = {name: teacher_path(name) for name in dict.fromkeys(names)}
    sizes = sorted({load_network(path)[0].patch_size for path in paths.values()})
    groups = []
    for size in sizes:
        material = gather(replace(config, patch_size=size), counts)
        of_size = {name: path for name, path in paths.items() if load_network(path)[0].patch_size == size}
        measured = [_random(size, config, material)]
        measured += [_measured(name, path, config, material) for name, path in of_size.items()]
        groups.append(Group(size, material.card, material.mean_explains(), tuple(measured)))
    return groups


def _random(patch_size: int, config: TeacherConfig, material: "Material") -> Measured:
    from benchmarks.teachers.material import random_teacher

    teacher = random_teacher(patch_size, config.seed).to(config.device)
    return Measured(f"random p{patch_size}", patch_size, None, True, {}, *material.measure(teacher))


def _measured(name: str, path: Path, config: TeacherConfig, material: "Material") -> Measured:
    from train.data import file_sha256
    from train.files import load_network

    teacher, card, _ = load_network(path)
    held_out = held_out_of(card, material.card, config.seed)
    figures = material.measure(teacher.eval().to(config.device))
    return Measured(name, teacher.patch_size, file_sha256(path), held_out, card, *figures)


def held_out_of(card: dict[str, Any], photographs: dict[str, object], seed: int) -> bool | None:
    """Whether what is held out of `photographs` was held out of a teacher's training; None when that is not known."""
    same = card.get("photographs_sha256") == photographs["photographs_sha256"]
    return True if same and card.get("options", {}).get("seed") == seed else None


def report(groups: Sequence[Group], counts: "Counts") -> str:
    """The figures as text, a line a teacher."""
    heading = ("explained", "confused", "eff. rank", "corr²", "card's")
    lines = [
        f"D fitted on {counts.training:,} patches, measured on {counts.held_out:,}; {counts.triplets:,} triplets",
        f"{'teacher':<34}" + "".join(f"{text:>11}" for text in heading),
    ]
    for group in groups:
        lines += [_line(each) for each in group.measured]
        lines.append(f"{f'mean of P (p = {group.patch_size})':<34}{group.mean_explains:>11.4f}")
    if any(each.held_out_of_its_training is None for group in groups for each in group.measured):
        lines.append("* may have been trained on the photographs that are held out here")
    return "\n".join(lines)


def _line(each: Measured) -> str:
    error = each.card.get("held_out_error")
    name = each.name if len(each.name) <= 31 else f"…{each.name[-30:]}"
    return (
        f"{name + ('' if each.held_out_of_its_training else ' *'):<34}{each.figures.explained_variance:>11.4f}"
        f"{each.triplets.confused:>11.4f}{each.figures.effective_rank:>11.1f}"
        f"{each.figures.mean_squared_correlation:>11.5f}" + (f"{1 - error:>11.4f}" if error is not None else "")
    )


def write_plots(folder: Path, groups: Sequence[Group], curves: "Sequence[Curve]", kind: str) -> list[Path]:
    """Write every picture that the figures give; returns their paths."""
    from benchmarks.plots import save
    from benchmarks.teachers.plots import held_out_curves, loss_curves, spectra

    figures = {}
    for group in groups:
        found = {each.name: each.figures for each in group.measured}
        ranks = {name: figure.effective_rank for name, figure in found.items()}
        figures[f"spectra-p{group.patch_size}"] = spectra({n: f.spectrum for n, f in found.items()}, ranks)
    for curve in curves:
        figures[f"losses-{curve.name}"] = loss_curves(curve)
    for name in ("held_out_error", "held_out_triplets_confused"):
        if any(name in curve.values for curve in curves):
            figures[name.replace("_", "-")] = held_out_curves(curves, name)
    paths = []
    for name, figure in figures.items():
        paths.append(folder / f"teacher-{name}.{kind}")
        save(figure, paths[-1])
    return paths


def _curve_document(curve: "Curve") -> dict[str, object]:
    values = {name: [None if math.isnan(v) else v for v in column] for name, column in curve.values.items()}
    return {"name": curve.name, "iterations": curve.iterations, **values}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.teachers", description="Measure teachers.")
    parser.add_argument("teachers", nargs="*", metavar="TEACHER", help="shipped names or files")
    parser.add_argument("--data", default="", metavar="DIR", help="folder of natural photographs")
    parser.add_argument("--descriptor", choices=("resnet18", "resnet18-layer23"), default="resnet18-layer23")
    parser.add_argument("--descriptor-weights", metavar="FILE", help="P's; without it torchvision downloads them")
    parser.add_argument("--descriptor-input", type=int, default=96, metavar="PIXELS", help="side of patches in P (96)")
    parser.add_argument("--seed", type=int, default=0, help="of the split, the patches and the random weights (0)")
    add_device_option(parser)
    parser.add_argument("--patches", type=int, default=8192, metavar="N", help="patches to fit D on (8192)")
    parser.add_argument("--held-out", type=int, default=2048, metavar="N", help="patches to measure on (2048)")
    parser.add_argument("--triplets", type=int, default=1024, metavar="N", help="triplets to measure on (1024)")
    parser.add_argument("--runs", type=Path, nargs="+", default=[], metavar="RUN", help="run folders of train.teacher")
    add_json_option(parser)
    add_plots_options(parser)
    return parser


def _check(options: argparse.Namespace) -> None:
    if not options.teachers and not options.runs:
        raise InputError("there is nothing to measure; name teachers (p33, a file) or --runs")
    if options.teachers and not options.data:
        raise InputError("teachers are measured on photographs; name their folder with --data")
    for name, least in (("patches", 256), ("held_out", 2), ("triplets", 1)):
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
    from benchmarks.environment import describe_environment, one_line
    from benchmarks.teachers.curves import read_curve
    from benchmarks.teachers.material import Counts
    from runtime.atomic import write_atomically
    from train.checks import check_teacher
    from train.device import resolve_device

    config = TeacherConfig(
        data=options.data,
        descriptor=options.descriptor,
        descriptor_weights=options.descriptor_weights,
        descriptor_input=options.descriptor_input,
        seed=options.seed,
        device=resolve_device(options.device),
    )
    check_teacher(config)
    counts = Counts(options.patches, options.held_out, options.triplets)
    curves = [read_curve(run) for run in options.runs]
    groups = measure(options.teachers, config, counts)
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
            "seed": config.seed,
            "device": config.device,
            "command": shlex.join(["python", "-m", "benchmarks.teachers", *(arguments or sys.argv[1:])]),
            "environment": environment,
        }
        write_atomically(options.json, json.dumps(document, indent=2, ensure_ascii=False).encode())
    if options.plots:
        for path in write_plots(options.plots, groups, curves, options.format):
            print(f"{path} written")


if __name__ == "__main__":
    cli.run(main)

"""The accuracy of all methods on all categories: the paper's Tables 1 and 3.

::

    python -m benchmarks.table DATA… --out FOLDER [--methods ours,1-nn,patchcore] [--seeds 0,1,2] [--subset odd]
        [--layout NAME] [--teachers p17,p33,p65] [--students 1,3,5] [--size 256,256] [--set METHOD.OPTION=VALUE]…

DATA are test sets in any layout; of one without masks there are image-level figures only. Every method is fitted on the
same prepared good images and judged by the same figures at the size of the masks: AU-PRO up to 30 % false-positive
pixels (the paper's), image AUROC, overall and by defect, pixel AUROC. ``ours`` is a row for each teacher (the default:
the paper's three scales), for all of them together (multi-scale) if there are several, and for each number of students.
Each cell is a file below FOLDER/cells, so that the same command goes on after an interruption, and a changed option
computes only what depends on it. Writes FOLDER/table.md, .csv and figures.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.methods.registry import METHODS, entry, make_method, method_options
from benchmarks.options import add_layout_option, add_method_options, add_subset_option, assignments, integers
from runtime import cli
from runtime.errors import InputError

if TYPE_CHECKING:
    from benchmarks.methods.base import Setting
    from benchmarks.table.cells import Result, Row

TEACHERS = "p17,p33,p65"  # the paper's three scales
LARGEST_SIDE = 4096  # of prepared frames, pixels
NOT_BY_DEFAULT = ("ocgan", "detector")  # small images only; needs a file


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    options = _parser().parse_args(arguments)
    methods, seeds = options.methods.split(","), integers("--seeds", options.seeds, 0)
    size_hw = integers("--size", options.size, 1)
    if len(size_hw) != 2 or max(size_hw) > LARGEST_SIDE:
        raise InputError(
            f"--size is {options.size}; expected height,width in pixels, {LARGEST_SIDE} at most, such as 256,256"
        )
    if not 0 <= options.features_gib * 2**30 < math.inf:
        raise InputError(f"--features-gib is {options.features_gib}; expected gibibytes, 0 or more")
    over = assignments(options.set or [])
    for name in [*methods, *over]:
        entry(name)  # a name that is none is refused before torch is loaded

    from tqdm import tqdm

    from benchmarks.table.cells import check_names, read_category, run_cell
    from benchmarks.table.report import one_cell
    from runtime.atomic import check_writable
    from train.datasets.checked import checked_category
    from train.device import resolve_device

    device = resolve_device(options.device)
    rows = [row for name in methods for row in table_rows(name, over.get(name, {}), options)]
    check_names(options.data, rows)
    setting = _setting(options, device)
    for row in rows:
        make_method(row.method, row.options, setting)  # what cannot be made is refused before hours of other work
    cells = [(row, seed) for row in rows for seed in (seeds if entry(row.method).random else seeds[:1])]
    check_writable(options.out / "table.md")
    for data in options.data:
        _, images = checked_category(data, options.subset, options.layout)
        if not any(image.mask_path for image in images):
            print(f"{data}: no mask is known, so that there are image-level figures only", file=sys.stderr)
    results: list[Result] = []
    with tqdm(total=len(options.data) * len(cells), unit="cell", disable=None) as bar:
        for data in options.data:
            category = read_category(data, (size_hw[0], size_hw[1]), options.subset, options.layout)
            for row, seed in cells:
                bar.set_description(f"{category.name}: {row.label}, seed {seed}")
                results.append(run_cell(row, category, replace(setting, seed=seed), options.subset, options.out))
                bar.write(one_cell(results[-1]), file=sys.stderr)
                bar.update()
            text = _write(results, options, device)  # so that an error in the next category loses nothing
    print(text)


def table_rows(name: str, over: dict[str, str], options: argparse.Namespace) -> "list[Row]":
    """A method's rows: one, or for ``ours`` one for each choice of teachers and number of students."""
    from benchmarks.table.cells import Row

    title = entry(name).title
    if name != "ours":
        return [Row(title, name, method_options(name, over))]
    teachers, counts = options.teachers.split(","), integers("--students", options.students, 1)
    choices = [(teacher,) for teacher in teachers] + ([tuple(teachers)] if len(teachers) > 1 else [])
    rows = []
    for choice in choices:
        scale = "multi-scale" if len(choice) > 1 else Path(choice[0]).stem.removeprefix("teacher-")
        for count in counts:
            values: dict[str, object] = {"teachers": choice, "students": count, "ensemble": max(counts), **over}
            rows.append(Row(f"{title}, {scale}, M = {count}", name, method_options(name, values)))
    return rows


def _setting(options: argparse.Namespace, device: str) -> "Setting":
    from benchmarks.methods.base import Setting
    from train.ensemble import teacher_path

    teacher_path(options.teacher)  # refused before any work
    return Setting(
        device=device,
        teacher=options.teacher,
        backbone=options.backbone,
        weights=options.weights,
        features=options.out / "features",
        features_bytes=int(options.features_gib * 2**30),
        runs=options.out / "runs",
    )


def _write(results: "Sequence[Result]", options: argparse.Namespace, device: str) -> str:
    """Write table and figures of the results so far; the table as text."""
    from benchmarks.environment import describe_environment, one_line
    from benchmarks.table.report import PLOTTED, as_csv, markdown, plot
    from runtime.atomic import write_atomically

    note = (
        f"Frames of {options.size.replace(',', '×')} pixels, {options.subset} test images, backbone {options.backbone},"
        f" teacher {options.teacher}, on {device}. {one_line(describe_environment())}. With two seeds or more: mean ±"
        " standard deviation."
    )
    text = markdown(results, note)
    write_atomically(options.out / "table.md", text.encode())
    write_atomically(options.out / "table.csv", as_csv(results).encode())
    for measure in PLOTTED:
        plot(results, measure, options.out / f"table-{measure.replace('_', '-')}.png")
    return text


def _parser() -> argparse.ArgumentParser:
    parser: Any = argparse.ArgumentParser(
        prog="python -m benchmarks.table", description="Compare methods on test sets, as the paper's Tables 1 and 3 do."
    )
    default = ",".join(name for name in METHODS if name not in NOT_BY_DEFAULT)
    parser.add_argument("data", type=Path, nargs="+", help="test sets, in any layout")
    add_layout_option(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder of cells, table and figures")
    parser.add_argument("--methods", default=default, help=f"comma-separated, of {', '.join(METHODS)} ({default})")
    parser.add_argument("--seeds", default="0", help="comma-separated; methods without a random part take the first")
    add_subset_option(parser, "all")
    parser.add_argument("--size", default="256,256", metavar="H,W", help="prepared frames, pixels (256,256)")
    parser.add_argument(
        "--teacher", default="p33", help="of the methods over descriptors: a shipped one or a file (p33)"
    )
    parser.add_argument(
        "--teachers", default=TEACHERS, help=f"of ours, comma-separated: shipped ones or files ({TEACHERS})"
    )
    parser.add_argument("--students", default="1,3,5", help="of ours, numbers M; the largest is trained (1,3,5)")
    parser.add_argument("--backbone", choices=("resnet18", "resnet18-layer23"), default="resnet18")
    parser.add_argument("--weights", type=Path, help="the backbone's file; without it torchvision downloads it")
    add_method_options(parser)
    parser.add_argument("--features-gib", type=float, default=4.0, help="most that kept features may take (4)")
    return parser  # type: ignore[no-any-return]


if __name__ == "__main__":
    cli.run(main)

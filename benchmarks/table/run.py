"""Cell by cell, all methods on all categories; the table and its figures after each category."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from benchmarks.environment import describe_environment, one_line
from benchmarks.methods.base import Setting
from benchmarks.methods.registry import entry, make_method, method_options
from benchmarks.options import integers
from benchmarks.table.cells import Result, Row, check_names, read_category, run_cell
from benchmarks.table.report import PLOTTED, as_csv, markdown, one_cell, plot
from runtime.atomic import check_writable, write_atomically
from train.datasets.checked import checked_category
from train.device import resolve_device
from train.ensemble import teacher_path


def run(
    options: argparse.Namespace,
    methods: Sequence[str],
    seeds: Sequence[int],
    size_hw: tuple[int, int],
    over: Mapping[str, dict[str, str]],
) -> str:
    """Fill the table of `methods` and write it into the folder `options.out`; the table as text.

    `over` are options of methods, by method. Raises `InputError` for what cannot be made or read, before any work.
    """
    device = resolve_device(options.device)
    rows = [row for name in methods for row in table_rows(name, over.get(name, {}), options)]
    check_names(options.data, rows)
    setting = setting_of(options, device)
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
            category = read_category(data, size_hw, options.subset, options.layout)
            for row, seed in cells:
                bar.set_description(f"{category.name}: {row.label}, seed {seed}")
                results.append(run_cell(row, category, replace(setting, seed=seed), options.subset, options.out))
                bar.write(one_cell(results[-1]), file=sys.stderr)
                bar.update()
            text = write(results, options, device)  # so that an error in the next category loses nothing
    return text


def table_rows(name: str, over: dict[str, str], options: argparse.Namespace) -> list[Row]:
    """A method's rows: one, or for ``ours`` one for each choice of teachers and number of students."""
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


def setting_of(options: argparse.Namespace, device: str) -> Setting:
    """What every method is made with. Raises `InputError` for a teacher that is not there."""
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


def write(results: Sequence[Result], options: argparse.Namespace, device: str) -> str:
    """Write table and figures of the results so far; the table as text."""
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

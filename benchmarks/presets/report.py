"""The presets' figures as a Markdown table, and as a plot of AU-PRO against cost.

``python -m benchmarks.presets.report presets.json… --out FILE`` draws one plot of what several runs wrote.
"""

import argparse
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.redraw import read_result
from benchmarks.table.report import seeds_in_words
from runtime import cli
from runtime.errors import InputError

MEASURES = {"au_pro_30": "AU-PRO 30 %", "image_auroc": "image AUROC", "pixel_auroc": "pixel AUROC"}


@dataclass(frozen=True)
class Result:
    """One detector on one test set."""

    preset: str  # and the options over it
    category: str
    seed: int
    multiply_adds: int  # of one frame
    au_pro_30: float | None  # None where no mask is known
    pixel_auroc: float | None
    image_auroc: float
    image_auroc_by_defect: dict[str, float]
    # at the threshold, and how many there are; None in files written before these were counted
    good_rejected: tuple[int, int] | None = None
    defective_rejected: tuple[int, int] | None = None
    map_auroc: float | None = None  # image AUROC of the map's scores alone, where the whole frame is judged, too
    good_images: int | None = None  # different ones that the detector was made of
    proven_budget: float | None = None  # the smallest rate of false rejects that they prove


def markdown(results: Sequence[Result], note: str) -> str:
    """A row for each preset: its cost, and its figures on each test set over the seeds."""
    categories = list(dict.fromkeys(result.category for result in results))
    columns = [(category, measure) for category in categories for measure in MEASURES]
    heads = [f"{category}: {MEASURES[measure]}" for category, measure in columns]
    lines = [f"| preset | multiply-adds a frame | {' | '.join(heads)} | seeds |", "|---" * (len(columns) + 3) + "|"]
    for name in dict.fromkeys(result.preset for result in results):
        rows = [result for result in results if result.preset == name]
        cells = [seeds_in_words(values(rows, category, measure)) for category, measure in columns]
        seeds = len({result.seed for result in rows})
        lines.append(f"| `{name}` | {rows[0].multiply_adds / 1e9:.1f} G | {' | '.join(cells)} | {seeds} |")
    return "\n".join([*lines, "", note, ""])


def values(results: Sequence[Result], category: str, measure: str) -> list[float]:
    """A measure on one test set, a value a seed; none where it is not known."""
    found = [getattr(result, measure) for result in results if result.category == category]
    return [value for value in found if value is not None]


def plot(results: Sequence[Result], path: Path) -> None:
    """AU-PRO against multiply-adds: a line for each test set, a point for each preset, a mark for each seed."""
    from benchmarks.plots import BLACK, CYCLE, figure, legend, logarithmic, save

    drawn, axes = figure("multiply-adds a frame, 10⁹", "AU-PRO up to 30 % false-positive pixels", "What a preset costs")
    for colour, category in zip(CYCLE, dict.fromkeys(result.category for result in results), strict=False):
        points = _points([r for r in results if r.category == category and r.au_pro_30 is not None])
        costs, means = [cost for _, cost, _ in points], [mean(seeds) for _, _, seeds in points]
        axes.plot(costs, means, "o-", color=colour, markersize=4, label=category)
        for name, cost, seeds in points:
            axes.plot([cost] * len(seeds), seeds, "_", color=colour, markersize=7)
            place: dict[str, Any] = {"xytext": (0, -14), "textcoords": "offset points", "ha": "center"}
            axes.annotate(name, (cost, mean(seeds)), color=BLACK, fontsize=7, **place)
    logarithmic(axes, "x")
    axes.margins(0.15, 0.1)  # room for the names
    legend(axes, "beside")
    save(drawn, path)


def label_with(label: str, count: int | None) -> str:
    """What a preset is called when it was trained on so many good images; `plot_curves` takes it apart again."""
    return label if count is None else f"{label}, {count} good images"


def plot_curves(results: Sequence[Result], path: Path) -> None:
    """Image AUROC, AU-PRO and the proven budget against the number of good images: a line for each test set and preset.

    A test set has a colour, a preset a dash. What was not measured has no point, and no line where there is none.
    """
    from benchmarks.plots import CYCLE, DASHES, legend, logarithmic, panels, save, style

    drawn, ((*axes,),) = panels(1, 3, (10.5, 3.2))
    names = ("image_auroc", "au_pro_30", "proven_budget")
    titles = ("image AUROC", "AU-PRO up to 30 % false-positive pixels", "proven rate of false rejects")
    for each, title in zip(axes, titles, strict=True):
        style(each, "good images", title)
    presets = list(dict.fromkeys(_without_count(result.preset) for result in results))
    for colour, category in zip(CYCLE, dict.fromkeys(result.category for result in results), strict=False):
        for dash, preset in zip(itertools.cycle(DASHES), presets, strict=False):
            rows = [row for row in results if (row.category, _without_count(row.preset)) == (category, preset)]
            how: dict[str, Any] = {"color": colour, "linestyle": dash, "marker": "o", "markersize": 4}
            for each, name in zip(axes, names, strict=True):
                if curve := _curve(rows, name):
                    label = category if len(presets) == 1 else f"{category}, {preset}"
                    each.plot(*zip(*curve, strict=True), **how, label=label)
    for each in axes:
        logarithmic(each, "x")
    logarithmic(axes[-1], "y")
    legend(axes[0])
    save(drawn, path)


def _curve(rows: Sequence[Result], measure: str) -> list[tuple[int, float]]:
    """Numbers of good images, and the mean of a measure over the seeds of each; where it is known."""
    found: dict[int, list[float]] = {}
    for row in rows:
        value = getattr(row, measure)
        if row.good_images is not None and value is not None:
            found.setdefault(row.good_images, []).append(value)
    return [(count, mean(found[count])) for count in sorted(found)]


def _without_count(preset: str) -> str:
    """What a preset is called without what `label_with` adds."""
    return re.sub(r", \d+ good images$", "", preset)


def _points(results: Sequence[Result]) -> list[tuple[str, float, list[float]]]:
    """Preset, cost in 10⁹ multiply-adds, and the AU-PRO of each seed, cheapest first."""
    found = []
    for name in dict.fromkeys(result.preset for result in results):
        rows = [result for result in results if result.preset == name]
        found.append((name, rows[0].multiply_adds / 1e9, [float(row.au_pro_30 or 0) for row in rows]))
    return sorted(found, key=lambda point: point[1])


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog=cli.program("benchmarks.presets.report"), description="Plot presets again.")
    parser.add_argument("results", type=cli.some_path, nargs="+", help="files that benchmarks.presets wrote")
    parser.add_argument("--out", type=cli.some_path, required=True, help="plot to write, .svg or .png")
    options = parser.parse_args(arguments)
    plot([result for path in options.results for result in read_results(path)], options.out)
    print(f"{options.out} written")


def read_results(path: Path) -> list[Result]:
    """What benchmarks.presets wrote. Raises `InputError` for another file."""
    try:
        return [Result(**result) for result in read_result(path)["results"]]
    except (KeyError, TypeError) as error:
        raise InputError(f"{path} holds no results of benchmarks.presets ({error}); check the path") from error


if __name__ == "__main__":
    cli.run(main)

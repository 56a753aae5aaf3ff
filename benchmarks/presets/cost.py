"""``python -m benchmarks.presets.cost``: what is found against what it takes, of our presets beside compared methods.

Image AUROC and AU-PRO are means over the test sets, and over the seeds; time is that of `benchmarks.throughput`, as a
ratio to the row that it was measured beside. A method that was timed and not scored is a line at its time.
"""

import argparse
import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from benchmarks.presets.report import Result, read_results, values
from benchmarks.redraw import read_result
from runtime import cli
from runtime.errors import InputError

MEASURES = {"image_auroc": "image AUROC", "au_pro_30": "AU-PRO up to 30 % false-positive pixels"}
# rows of benchmarks.table by the row of benchmarks.throughput that has their cost
TIMED_AS = {"PatchCore": "patchcore-resnet18", "PaDiM": "padim", "STFPM": "stfpm"}
TIMED_ALONE = {"efficientad-s": "EfficientAD-S"}


@dataclass(frozen=True)
class Point:
    """A method's time, as a ratio, and its means over the test sets by measure."""

    name: str
    time: float
    found: Mapping[str, float]


def points(results: Sequence[Result], compared: Path | None, times: Mapping[str, float]) -> list[Point]:
    """The presets and methods that were timed and measured on all test sets of the presets, fastest first."""
    sets = list(dict.fromkeys(result.category for result in results))
    found = []
    for name in dict.fromkeys(result.preset for result in results):
        rows = [result for result in results if result.preset == name]
        by_set = {measure: [values(rows, each, measure) for each in sets] for measure in MEASURES}
        if name in times and all(some for each in by_set.values() for some in each):
            means = {measure: mean(mean(some) for some in each) for measure, each in by_set.items()}
            found.append(Point(name, times[name], means))
    for name, cells in _table(compared).items():
        if TIMED_AS.get(name) in times and all((each, measure) in cells for each in sets for measure in MEASURES):
            means = {measure: mean(cells[each, measure] for each in sets) for measure in MEASURES}
            found.append(Point(name, times[TIMED_AS[name]], means))
    return sorted(found, key=lambda point: point.time)


def plot(found: Sequence[Point], times: Mapping[str, float], path: Path) -> None:
    """A panel for each measure: a point for each preset and method, a line where there is a time alone."""
    from benchmarks.plots import BLACK, CYCLE, logarithmic, mark_x, panels, save, style

    drawn, (axes,) = panels(1, 2, (9.5, 3.8))
    for each, (measure, label) in zip(axes, MEASURES.items(), strict=True):
        style(each, "time of a frame, EfficientAD-S = 1", label)
        for point in found:
            ours = point.name not in TIMED_AS
            each.plot(
                point.time, point.found[measure], "o" if ours else "s", color=CYCLE[0 if ours else 1], markersize=5
            )
            place = {"xytext": (5, 4), "textcoords": "offset points"}
            each.annotate(point.name, (point.time, point.found[measure]), color=BLACK, fontsize=7, **place)
        for row, name in TIMED_ALONE.items():
            if row in times:
                mark_x(each, times[row], name)
                each.legend(fontsize=7, loc="lower right")
        logarithmic(each, "x")
        each.margins(0.15, 0.15)
    save(drawn, path)


def _table(path: Path | None) -> dict[str, dict[tuple[str, str], float]]:
    """What benchmarks.table wrote: by method, test set and measure."""
    found: dict[str, dict[tuple[str, str], float]] = {}
    if path is None:
        return found
    try:
        with path.open(newline="") as file:
            reader = csv.DictReader(file)
            if not {"method", "category", "measure", "value"} <= set(reader.fieldnames or ()):
                raise ValueError("other columns")
            for row in reader:
                found.setdefault(row["method"], {})[row["category"], row["measure"]] = float(row["value"])
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{path} is no table.csv of benchmarks.table ({error}); check the path") from error
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog=cli.program("benchmarks.presets.cost"), description=__doc__)
    parser.add_argument("results", type=cli.some_path, help="presets.json of benchmarks.presets")
    parser.add_argument("--times", type=cli.some_path, required=True, help="JSON of benchmarks.throughput")
    parser.add_argument("--table", type=cli.some_path, help="table.csv of benchmarks.table, of the same test sets")
    parser.add_argument("--out", type=cli.some_path, required=True, help="plot to write, .svg or .png")
    options = parser.parse_args(arguments)
    try:
        times = {row["name"]: float(row["latency_ratio"]["p50"]) for row in read_result(options.times)["rows"]}
    except (KeyError, TypeError) as error:
        raise InputError(f"{options.times} holds no rows of benchmarks.throughput ({error}); check the path") from error
    found = points(read_results(options.results), options.table, times)
    if not found:
        raise InputError(f"no row of {options.results} was timed in {options.times}; give files of the same presets")
    for point in found:
        print(f"{point.name}: {point.time:.3f}, " + ", ".join(f"{n} {point.found[m]:.3f}" for m, n in MEASURES.items()))
    plot(found, times, options.out)
    print(f"{options.out} written")


if __name__ == "__main__":
    cli.run(main)

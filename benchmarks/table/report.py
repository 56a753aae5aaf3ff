"""The accuracy table as Markdown, as CSV, and as one figure for each measure."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from runtime.atomic import write_atomically

if TYPE_CHECKING:  # it takes PyTorch, and a table that is drawn again does not
    from benchmarks.table.cells import Result

MEASURES = {
    "au_pro_30": "AU-PRO up to 30 % false-positive pixels",
    "image_auroc": "image AUROC",
    "pixel_auroc": "pixel AUROC",
    "au_pro_5": "AU-PRO up to 5 % false-positive pixels",
}
PLOTTED = ("au_pro_30", "image_auroc")
BLUE, ORANGE = "#0072B2", "#E69F00"  # Okabe and Ito's palette


def value(result: "Result", measure: str) -> float | None:
    """One figure of a cell; None for a pixel figure of a method without maps, or of a category without masks."""
    found: float | None = getattr(result.ranking, measure)
    return found


def one_cell(result: "Result") -> str:
    """A finished cell as a line."""
    figures = [f"{text} {found:.4f}" for name, text in MEASURES.items() if (found := value(result, name)) is not None]
    return f"{result.category}, {result.label}, seed {result.seed}: {', '.join(figures[:2])}"


def markdown(results: "Sequence[Result]", note: str) -> str:
    """A table for each measure: a row for each method, a column for each category and their mean."""
    return "\n".join([*(_section(results, measure) for measure in MEASURES), _by_defect(results), note, ""])


def seeds_in_words(values: Sequence[float]) -> str:
    """The mean over seeds, and with two or more of them its standard deviation."""
    if len(values) < 2:
        return f"{values[0]:.3f}" if values else "–"
    return f"{mean(values):.3f} ± {stdev(values):.3f}"


def _section(results: "Sequence[Result]", measure: str) -> str:
    categories = _unique(result.category for result in results)
    lines = [f"## {MEASURES[measure]}", "", f"| method | {' | '.join(categories)} | mean | seeds |"]
    lines.append("|---" * (len(categories) + 3) + "|")
    for label in _unique(result.label for result in results):
        rows = [result for result in results if result.label == label]
        cells = [seeds_in_words(_values(rows, measure, category)) for category in categories]
        overall, seeds = seeds_in_words(seed_means(rows, measure, categories)), len({result.seed for result in rows})
        lines.append(f"| {label} | {' | '.join(cells)} | {overall} | {seeds} |")
    return "\n".join([*lines, ""])


def _by_defect(results: "Sequence[Result]") -> str:
    kinds = _unique((r.category, kind) for r in results for kind in r.ranking.image_auroc_by_defect)
    lines = ["## image AUROC by defect", "", f"| method | {' | '.join(f'{c}: {kind}' for c, kind in kinds)} |"]
    lines.append("|---" * (len(kinds) + 1) + "|")
    for label in _unique(result.label for result in results):
        cells = []
        for category, kind in kinds:
            rows = [r for r in results if r.label == label and r.category == category]
            cells.append(seeds_in_words([r.ranking.image_auroc_by_defect[kind] for r in rows]))
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def seed_means(results: "Sequence[Result]", measure: str, categories: Sequence[str]) -> list[float]:
    """The mean over all categories for each seed that has them all; empty for a method that lacks the measure."""
    means = []
    for seed in _unique(result.seed for result in results):
        values = [v for r in results if r.seed == seed and (v := value(r, measure)) is not None]
        if len(values) == len(categories):
            means.append(mean(values))
    return means


def as_csv(results: "Sequence[Result]") -> str:
    """A line for each figure: method, category, seed, measure, value."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["method", "category", "seed", "measure", "value"])
    for result in results:
        ranking = result.ranking
        figures = {measure: value(result, measure) for measure in MEASURES}
        figures |= {f"image_auroc:{kind}": number for kind, number in ranking.image_auroc_by_defect.items()}
        figures |= {"fit_s": result.fit_s, "inspect_s": result.inspect_s}
        for measure, number in figures.items():
            if number is not None:
                writer.writerow([result.label, result.category, result.seed, measure, f"{number:.6g}"])
    return buffer.getvalue()


def plot(results: "Sequence[Result]", measure: str, path: Path) -> bool:
    """A dot for each method and seed, the mean over the categories, and a bar across them at the mean over the seeds.

    Methods without the measure are left out; False when none is left, and then nothing is written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    categories = _unique(result.category for result in results)
    rows = [
        (label, means)
        for label in _unique(result.label for result in results)
        if (means := seed_means([r for r in results if r.label == label], measure, categories))
    ]
    if not rows:
        return False
    rows.sort(key=lambda row: mean(row[1]))
    figure: Any = Figure(figsize=(7, 0.9 + 0.32 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    for height, (_, means) in enumerate(rows):
        axes.plot([min(means), max(means)], [height, height], color=BLUE, linewidth=1)
        axes.plot(means, [height] * len(means), "o", color=BLUE, markersize=5)
        axes.plot([mean(means)], [height], "|", color=ORANGE, markersize=14, markeredgewidth=2.5)
    axes.set_yticks(range(len(rows)), [label for label, _ in rows])
    over = categories[0] if len(categories) == 1 else f"mean over {len(categories)} categories"
    axes.set_xlabel(f"{MEASURES[measure]}, {over}\n(dots: seeds; bar: their mean)")
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    write_atomically(path, buffer.getvalue())
    return True


def _values(results: "Sequence[Result]", measure: str, category: str) -> list[float]:
    return [v for r in results if r.category == category and (v := value(r, measure)) is not None]


def _unique(items: Any) -> list[Any]:
    """The different items, in order of first appearance."""
    return list(dict.fromkeys(items))

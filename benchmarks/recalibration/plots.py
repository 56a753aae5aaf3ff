"""The plot of what benchmarks.recalibration found.

::

    python -m benchmarks.recalibration.plots RESULT.json --out recalibration.svg
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from benchmarks.recalibration.measure import BEFORE, FULL, KEPT
from benchmarks.redraw import redraw
from runtime import cli
from runtime.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE_IN = (9.0, 5.6)
FIGURES: tuple[tuple[str, Callable[[dict[str, Any]], float]], ...] = (
    ("good parts rejected, %", lambda row: float(100 * row["rejected"] / row["good"])),
    ("defects found, %", lambda row: float(100 * row["found"] / row["defective"])),
    ("image AUROC", lambda row: float(row["image_auroc"])),
)


def recalibration_plot(document: dict[str, Any]) -> "Figure":
    """The plot of what benchmarks.recalibration writes with ``--json``. Raises `InputError` for another document."""
    from benchmarks.plots import panels

    try:
        drawn, grid = panels(len(document["lights"]), len(FIGURES), SIZE_IN)
        for light, places in zip(document["lights"], grid, strict=True):
            rows = [row for row in document["rows"] if row["light"] == light]
            for axes, (label, figure) in zip(places, FIGURES, strict=True):
                _draw(axes, f"{100 * light:.0f} % of the light", label, [(row, figure(row)) for row in rows])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"this is no result of benchmarks.recalibration ({error})") from error
    return drawn


def _draw(axes: Any, title: str, label: str, rows: list[tuple[dict[str, Any], float]]) -> None:
    """Each set as a point, and a line through the means of each size; the file as it was from side to side."""
    from benchmarks.plots import BLUE, GREY, VERMILLION, legend, line, logarithmic, points, style

    style(axes, "good parts given", label, title)
    sizes = sorted({row["given"] for row, _ in rows if row["mode"] != BEFORE})
    for mode, colour, dash in ((FULL, VERMILLION, 0), (KEPT, BLUE, 1)):
        found = {size: [v for row, v in rows if row["mode"] == mode and row["given"] == size] for size in sizes}
        each = [(size, value) for size, values in found.items() for value in values]
        points(axes, [size for size, _ in each], [value for _, value in each], "", colour)
        line(axes, sizes, [sum(values) / len(values) for values in found.values()], mode, colour, dash)
    (before,) = [value for row, value in rows if row["mode"] == BEFORE]
    line(axes, [sizes[0], sizes[-1]], [before, before], BEFORE, GREY, 2)
    logarithmic(axes, "x")
    axes.set_xticks(sizes)
    legend(axes)


if __name__ == "__main__":
    cli.run(lambda: redraw("benchmarks.recalibration.plots", recalibration_plot))

"""The plot of a growth measurement: time above, peak memory below, one column for each thing that was varied.

::

    python -m benchmarks.growth.plots RESULT.json --out growth.svg

Dashed lines are straight ones, fitted by least squares: what lies on them grows in proportion, plus a constant.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.redraw import redraw
from runtime import cli
from runtime.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LABELS = {
    "side": "pixels of a frame, millions",
    "students": "networks of a scale, M + 1",
    "scales": "multiply-adds of 1, 2, … scales, G",
    "batch": "frames a batch",
}
SIZE_IN = (10.0, 4.8)


def growth_plot(document: dict[str, Any]) -> "Figure":
    """The plot of what benchmarks.growth writes with ``--json``. Raises `InputError` for another document."""
    from benchmarks.plots import BLUE, GREY, VERMILLION, legend, line, panels, points, style

    try:
        measured = document["measured"]
        axes_of = {axis: [measured[index] for index in chosen] for axis, chosen in document["axes"].items()}
        drawn, grid = panels(2, len(axes_of), SIZE_IN)
        rows = (("time of a batch, s", "seconds_p50", BLUE), ("peak memory, MiB", "peak_mib", VERMILLION))
        for column, (axis, entries) in enumerate(axes_of.items()):
            x = [position(axis, entry) for entry in entries]
            for row, (label, field, colour) in enumerate(rows):
                y, plot = [entry[field] for entry in entries], grid[row][column]
                style(plot, LABELS[axis] if row else "", "" if column else label)
                if len(x) > 2:  # through two points any line is straight
                    fitted = straight_line(x, y)
                    line(plot, x, fitted.at(x), f"straight line, R² {fitted.explained:.3f}", GREY, dash=1)
                points(plot, x, y, "", colour, size=28)
                plot.set_ylim(0, 1.08 * max(y))
                plot.set_xlim(left=0)
                if len(x) > 2:
                    legend(plot, "lower right")
        drawn.suptitle(title(document), fontsize=9, x=0.01, ha="left")
    except (KeyError, TypeError, IndexError) as error:
        raise InputError(f"this is no result of benchmarks.growth ({error} is missing)") from error
    return drawn


class Line:
    """y = constant + slope · x, and the share of the variance of y that it explains."""

    def __init__(self, slope: float, constant: float, explained: float) -> None:
        self.slope, self.constant, self.explained = slope, constant, explained

    def at(self, x: Sequence[float]) -> list[float]:
        """Its values."""
        return [self.constant + self.slope * value for value in x]


def straight_line(x: Sequence[float], y: Sequence[float]) -> Line:
    """The least-squares line through two points or more."""
    slope, constant = np.polyfit(x, y, 1)
    left = np.asarray(y) - (constant + slope * np.asarray(x))
    spread = float(np.var(y))
    return Line(float(slope), float(constant), 1 - float(np.mean(left**2)) / spread if spread else 1.0)


def position(axis: str, entry: dict[str, Any]) -> float:
    """Where an entry stands on an axis: the quantity that its cost should be proportional to."""
    configuration = entry["configuration"]
    match axis:
        case "side":
            return float(configuration["side"] ** 2 / 1e6)
        case "students":
            return float(configuration["students"] + 1)
        case "scales":
            return float(entry["multiply_adds"] / 1e9)
    return float(configuration["batch"])


def title(document: dict[str, Any]) -> str:
    """What does not vary, and where it was measured."""
    base = document["measured"][0]["configuration"]
    fields = ", ".join(f"p = {patch_size}" for patch_size in base["patch_sizes"])
    return (
        f"From {base['side']}×{base['side']}, M = {base['students']}, {fields}, width {base['width']:g}, "
        f"stride {base['stride']}, batch {base['batch']}, one thing varied at a time; "
        f"{document['environment']['cpu']}, threads: {document['threads']}"
    )


def main() -> None:
    redraw("benchmarks.growth.plots", growth_plot)


if __name__ == "__main__":
    cli.run(main)

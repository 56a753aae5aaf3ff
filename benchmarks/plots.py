"""Plots in one style, from small functions: make a figure, draw on its axes, save it.

No global state: neither pyplot nor a changed default, so that plots may be made from any thread and within other
programs. The same data give the same file, byte for byte, with the same version of Matplotlib: no date is written, and
names inside an SVG come from its content. Text in an SVG is drawn as outlines, so that it looks the same everywhere.

Colours are those of Okabe and Ito ("Color Universal Design", 2008), told apart by colour-blind eyes; lines also differ
in their dashes, for paper.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import ArrayLike, NDArray

from runtime.atomic import write_atomically
from runtime.errors import InputError

BLACK, GREY = "#000000", "#767676"
ORANGE, SKY_BLUE, GREEN, YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILLION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"
CYCLE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY_BLUE, BLACK)  # by contrast on white; yellow is left out
DASHES: tuple[Any, ...] = ("-", "--", (0, (1, 1)), "-.")
FONT_PT = 8.0
PNG_DPI = 150
SIZE_IN = (4.4, 3.2)  # width, height: two side by side fill a page of A4
MOST_POINTS = 800  # of a line; more cannot be seen, and a curve over all pixels has millions
PICTURE_DPI = 200  # of what is drawn as pixels within an SVG
Format = Literal["svg", "png"]
Axes = Any  # matplotlib.axes.Axes; Matplotlib is untyped here


def figure(x_label: str, y_label: str, title: str = "", size_in: tuple[float, float] = SIZE_IN) -> tuple[Figure, Axes]:
    """An empty figure with one pair of labelled axes; units belong into the labels, the figure's point into `title`."""
    drawn, grid = panels(1, 1, size_in)
    style(grid[0][0], x_label, y_label, title)
    return drawn, grid[0][0]


def panels(rows: int, columns: int, size_in: tuple[float, float]) -> tuple[Figure, list[list[Axes]]]:
    """An empty figure with a grid of axes, by row and column; give each its `style`."""
    drawn = Figure(figsize=size_in, layout="constrained")
    FigureCanvasAgg(drawn)
    return drawn, [list(row) for row in drawn.subplots(rows, columns, squeeze=False)]


def style(axes: Axes, x_label: str, y_label: str, title: str = "") -> None:
    """Label a pair of axes and give them the style of all plots."""
    axes.set_xlabel(x_label, fontsize=FONT_PT)
    axes.set_ylabel(y_label, fontsize=FONT_PT)
    axes.set_title(title, fontsize=FONT_PT + 1, loc="left")
    axes.tick_params(labelsize=FONT_PT - 1)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, color="#E3E3E3", linewidth=0.6)
    axes.set_axisbelow(True)


def line(axes: Axes, x: ArrayLike, y: ArrayLike, label: str = "", colour: str | None = None, dash: int = 0) -> None:
    """A polyline; `dash` numbers the entries of DASHES. Long ones are thinned to what can be seen."""
    xs, ys = thinned(np.asarray(x, np.float64), np.asarray(y, np.float64))
    axes.plot(xs, ys, color=colour or _next(axes), linestyle=DASHES[dash % len(DASHES)], linewidth=1.5, label=label)


def points(
    axes: Axes,
    x: ArrayLike,
    y: ArrayLike,
    label: str = "",
    colour: str | None = None,
    marker: str = "o",
    size: float = 16,
) -> None:
    """Single points; `size` is a marker's area in square points. From 2,000 on they are drawn as pixels, not shapes."""
    xs = np.asarray(x)
    axes.scatter(
        xs,
        y,
        s=size,
        marker=marker,
        color=colour or _next(axes),
        label=label,
        linewidths=0,
        rasterized=len(xs) >= 2000,
    )


def histogram(
    axes: Axes,
    values: Mapping[str, ArrayLike],
    bins: int = 30,
    colours: Sequence[str] = CYCLE,
    percent: bool = False,
) -> NDArray[np.float64]:
    """Histograms of several samples over common bins, which are returned; each is outlined, so that none hides another.

    Heights are counts, or with `percent` the share of a sample's own values, so that samples of unlike size compare.
    Raises `InputError` where there is no value at all.
    """
    samples = {label: np.asarray(sample, np.float64) for label, sample in values.items()}
    together = np.concatenate([*samples.values(), np.empty(0)])
    if not together.size:
        raise InputError("a histogram of no values; expected one at least")
    edges = np.histogram_bin_edges(together, bins)
    for index, (label, sample) in enumerate(samples.items()):
        counts, _ = np.histogram(sample, edges)
        heights = 100 * counts / max(sample.size, 1) if percent else counts
        colour, dash = colours[index % len(colours)], DASHES[index % len(DASHES)]
        axes.stairs(heights, edges, fill=True, alpha=0.25, color=colour)
        axes.stairs(heights, edges, color=colour, linewidth=1.4, linestyle=dash, label=f"{label} ({sample.size:,})")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(bottom=0)
    return np.asarray(edges, np.float64)


def whiskers(axes: Axes, low: ArrayLike, high: ArrayLike, y: ArrayLike, colour: str) -> None:
    """Horizontal lines from `low` to `high`, each at its `y`: intervals of points that lie on them."""
    axes.hlines(y, low, high, color=colour, linewidth=1.4)


def band(axes: Axes, x: ArrayLike, low: ArrayLike, high: ArrayLike, colour: str) -> None:
    """A shaded interval around a line over `x`."""
    axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)


def mark_x(axes: Axes, x: float, label: str, colour: str = BLACK) -> None:
    """A vertical line at `x`."""
    axes.axvline(x, color=colour, linewidth=1.2, linestyle=DASHES[3], label=label)


def shade_x(axes: Axes, low: float, high: float, label: str, colour: str = SKY_BLUE) -> None:
    """A shaded band from `low` to `high`; bands that overlap add up."""
    axes.axvspan(low, high, color=colour, alpha=0.18, linewidth=0, label=label)


def legend(axes: Axes, place: str = "best", marker_scale: float = 1.0) -> None:
    """The legend of what has been drawn with a label, "beside" the axes where it would cover them.

    `marker_scale` enlarges the points that stand in it.
    """
    where = {"loc": "upper left", "bbox_to_anchor": (1, 1)} if place == "beside" else {"loc": place}
    axes.legend(
        **where, fontsize=FONT_PT - 1, markerscale=marker_scale, frameon=True, framealpha=0.85, edgecolor="none"
    )


def logarithmic(axes: Axes, which: Literal["x", "y"]) -> None:
    """An axis with plain numbers on a logarithmic scale: a decade holds few powers of ten."""
    axes.set(**{f"{which}scale": "log"})
    axis = {"x": axes.xaxis, "y": axes.yaxis}[which]
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def thinned(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """At most `MOST_POINTS` points of a polyline, ends included, spread evenly over its length as drawn."""
    if len(x) <= MOST_POINTS:
        return x, y
    steps = np.hypot(np.diff(x) / (np.ptp(x) or 1), np.diff(y) / (np.ptp(y) or 1))
    length = np.concatenate([[0.0], np.cumsum(steps)])
    wanted = np.linspace(0, length[-1], MOST_POINTS)
    chosen = np.unique(np.searchsorted(length, wanted).clip(0, len(x) - 1))
    chosen = np.union1d(chosen, [0, len(x) - 1])[-MOST_POINTS:]
    return x[chosen], y[chosen]


def encoded(drawn: Figure, form: Format) -> bytes:
    """The figure as the bytes of an SVG or PNG file."""
    metadata = {"svg": {"Date": None, "Creator": "Proctor"}, "png": {"Software": "Proctor"}}[form]
    buffer = io.BytesIO()
    # the salt, in place of a random one, makes the names inside an SVG follow from its content
    with matplotlib.rc_context({"svg.hashsalt": "proctor", "svg.fonttype": "path"}):
        dpi = PICTURE_DPI if form == "svg" else PNG_DPI
        drawn.savefig(buffer, format=form, metadata=metadata, dpi=dpi)
    return buffer.getvalue()


def save(drawn: Figure, path: Path) -> None:
    """Write the figure to a ``.svg`` or ``.png`` file, whole or not at all. Raises `InputError` for another ending."""
    write_atomically(path, encoded(drawn, format_of(path)))


def format_of(path: Path) -> Format:
    """The format that a file's name asks for. Raises `InputError` for one that is not ours."""
    match path.suffix.lower():
        case ".svg":
            return "svg"
        case ".png":
            return "png"
    raise InputError(f"{path} is no name for a plot; expected one ending in .svg or .png")


def _next(axes: Axes) -> str:
    drawn = len(axes.lines) + len(axes.collections)
    return CYCLE[drawn % len(CYCLE)]

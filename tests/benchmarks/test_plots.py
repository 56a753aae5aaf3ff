"""Plots: the same bytes twice, no state left behind, and lines that keep their shape when thinned."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from benchmarks import plots
from runtime.errors import InputError


def some_plot() -> Figure:
    drawn, axes = plots.figure("time (s)", "score", "It rises")
    plots.shade_x(axes, 0, 1, "warm-up")
    plots.line(axes, [0, 1, 2], [0, 1, 4], "line")
    plots.points(axes, [0, 1], [2, 3], "points")
    plots.mark_x(axes, 1.5, "mark")
    plots.legend(axes)
    return drawn


@pytest.mark.parametrize("form", ["svg", "png"])
def test_the_same_plot_is_the_same_file_and_bears_no_date(form: plots.Format) -> None:
    first = plots.encoded(some_plot(), form)
    assert first == plots.encoded(some_plot(), form)
    assert b"date" not in first.lower()
    assert b"http://matplotlib" not in first
    assert b"https://matplotlib" not in first


def test_a_plot_leaves_the_defaults_of_matplotlib_as_they_were() -> None:
    before = dict(matplotlib.rcParams)
    plots.encoded(some_plot(), "svg")
    assert dict(matplotlib.rcParams) == before


def test_files_are_written_in_the_format_of_their_name(tmp_path: Path) -> None:
    plots.save(some_plot(), tmp_path / "plot.svg")
    plots.save(some_plot(), tmp_path / "plot.png")
    assert ElementTree.parse(tmp_path / "plot.svg").getroot().tag.endswith("svg")
    picture = cv2.imread(str(tmp_path / "plot.png"))
    assert picture is not None
    assert picture.shape[1] == round(plots.SIZE_IN[0] * plots.PNG_DPI)
    with pytest.raises(InputError, match=r"ending in \.svg or \.png"):
        plots.save(some_plot(), tmp_path / "plot.pdf")


def test_a_long_line_keeps_its_ends_and_its_steps() -> None:
    x = np.linspace(0, 1, 200_001)
    y = (x > 0.3).astype(float)
    xs, ys = plots.thinned(x, y)
    assert len(xs) <= plots.MOST_POINTS
    assert (xs[0], xs[-1], ys[0], ys[-1]) == (0, 1, 0, 1)
    assert np.abs(np.interp(x, xs, ys) - y)[np.abs(x - 0.3) > 0.005].max() == 0


def test_a_vertical_step_of_many_points_is_not_lost() -> None:
    x, y = np.concatenate([np.zeros(100_000), [1.0]]), np.concatenate([np.linspace(0, 1, 100_000), [1.0]])
    xs, ys = plots.thinned(x, y)
    assert len(xs) <= plots.MOST_POINTS
    assert ys[xs == 0].min() == 0
    assert ys[xs == 0].max() == pytest.approx(1, abs=0.01)


def test_a_bend_of_few_points_is_kept_beside_a_stretch_of_many() -> None:
    bend = np.linspace(0, 0.5, 50)
    x = np.concatenate([bend, np.linspace(0.5, 1, 200_000)])
    y = np.concatenate([np.sqrt(bend), np.full(200_000, 0.5**0.5)])
    assert np.abs(np.interp(x, *plots.thinned(x, y)) - y).max() < 0.005


def test_samples_of_a_histogram_share_their_bins() -> None:
    _, axes = plots.figure("score", "images")
    edges = plots.histogram(axes, {"good": [0.0, 1.0], "defective": [9.0, 10.0, 10.0]}, bins=10)
    assert edges.tolist() == [float(edge) for edge in range(11)]
    drawn = [patch.get_data().values for patch in axes.patches]
    assert [int(counts.sum()) for counts in drawn] == [2, 2, 3, 3]  # each sample filled and outlined
    assert drawn[-1].tolist() == [0] * 9 + [3]  # the last bin includes both its ends
    with pytest.raises(InputError, match="no values"):
        plots.histogram(axes, {"good": []})


def test_samples_of_unlike_size_are_compared_in_percent() -> None:
    _, axes = plots.figure("score", "images (%)")
    plots.histogram(axes, {"good": [0.0, 1.0], "defective": [9.0, 9.5, 10.0, 10.0]}, bins=2, percent=True)
    drawn = [patch.get_data().values.tolist() for patch in axes.patches]
    assert drawn == [[100, 0], [100, 0], [0, 100], [0, 100]]


def test_lines_differ_in_colour_without_being_told() -> None:
    _, axes = plots.figure("x", "y")
    for _ in range(3):
        plots.line(axes, [0, 1], [0, 1])
    assert [line.get_color() for line in axes.lines] == list(plots.CYCLE[:3])

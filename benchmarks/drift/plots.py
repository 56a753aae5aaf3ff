"""The plot of what benchmarks.drift found.

::

    python -m benchmarks.drift.plots RESULT.json --out drift.svg
"""

from typing import TYPE_CHECKING, Any

from benchmarks.redraw import redraw
from runtime import cli
from runtime.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE_IN = (9.0, 3.4)


def drift_plot(document: dict[str, Any]) -> "Figure":
    """The plot of what benchmarks.drift writes with ``--json``. Raises `InputError` for another document."""
    from benchmarks.plots import panels

    try:
        drawn, ((alarms, fading),) = panels(1, 2, SIZE_IN)
        rows = [*document["quiet"]["rows"], document["fading"]["under_full_light"]]
        _draw_alarms(alarms, rows, document["quiet"]["alpha"])
        _draw_fading(fading, document["fading"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"this is no result of benchmarks.drift ({error})") from error
    return drawn


def _draw_alarms(axes: Any, quiet: list[dict[str, Any]], alpha: float) -> None:
    from benchmarks.plots import BLUE, VERMILLION, legend, mark_x, points, style, whiskers

    style(axes, "lines ever warned of, %", "", "Without drift it hardly warns")
    axes.set_ylim(-0.5, len(quiet) + 0.8)
    places = list(range(len(quiet)))[::-1]
    whiskers(axes, [0] * len(quiet), [100 * row["bound"] for row in quiet], places, BLUE)
    points(axes, [100 * row["warned"] / row["lines"] for row in quiet], places, "measured, to its 95 % bound", BLUE)
    mark_x(axes, 100 * alpha, "stated", VERMILLION)
    axes.set_yticks(places, [f"{row['kind']}, {row['calibration']}" for row in quiet])
    legend(axes, "upper right")


def _draw_fading(axes: Any, document: dict[str, Any]) -> None:
    from benchmarks.plots import BLUE, GREEN, VERMILLION, legend, line, mark_x, style

    style(axes, "part of the fading line", "%", "It warns before false rejects double")
    step = document["step_parts"]
    rates = [100 * level["rejected"] / level["parts"] for level in document["levels"]]
    places = [(index - 0.5) * step for index in range(len(rates))]  # the middle of each step; full light before 0
    line(axes, places, rates, "good parts rejected", VERMILLION)
    for name, label, colour, dash in (
        ("warned", "lines warned of / 10", BLUE, 1),
        ("warned_by_scores", "by their scores alone / 10", GREEN, 2),
    ):
        times = sorted(each[name] for each in document["runs"] if each[name] is not None)
        shares = [10 * (index + 1) / len(document["runs"]) for index in range(len(times))]
        line(axes, [0, *times], [0, *shares], label, colour, dash)
    mark_x(axes, document["before_part"], "twice the budget")
    axes.set_ylim(0, 12)
    legend(axes, "upper left")


if __name__ == "__main__":
    cli.run(lambda: redraw("benchmarks.drift.plots", drift_plot))

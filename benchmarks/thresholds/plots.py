"""The plot of what benchmarks.thresholds found.

::

    python -m benchmarks.thresholds.plots RESULT.json --out thresholds.svg
"""

from typing import TYPE_CHECKING, Any

from benchmarks.redraw import redraw
from runtime import cli
from runtime.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE_IN = (11.5, 3.6)
SHOWN = ("exponential tail", "Gumbel, 95 % confidence", "Gumbel, prediction", "normal, prediction")
RATES_OF, HEIGHTS_OF = "exponential", "Gumbel"  # the families of the two panels on few scores


def thresholds_plot(document: dict[str, Any]) -> "Figure":
    """The plot of what benchmarks.thresholds writes with ``--json``. Raises `InputError` for another document."""
    from benchmarks.plots import panels

    try:
        drawn, ((promise, rates, heights),) = panels(1, 3, SIZE_IN)
        _draw_promise(promise, document["left_out"])
        _draw_rates(rates, document["small_samples"], document["budget"])
        _draw_heights(heights, document["small_samples"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"this is no result of benchmarks.thresholds ({error})") from error
    return drawn


def _draw_promise(axes: Any, kept: list[dict[str, Any]]) -> None:
    from benchmarks.plots import GREY, legend, line, logarithmic, points, style

    style(axes, "promised on average, % of good parts", "rejected on average, %", "Left-out scores keep their promise")
    ways = dict.fromkeys(one["way"] for one in kept)
    for way, marker in zip(ways, "o^s", strict=False):
        chosen = [one for one in kept if one["way"] == way]
        x, y = ([100 * one[name] for one in chosen] for name in ("promised", "rate_mean"))
        points(axes, x, y, way, marker=marker)
    ends = [100 * bound(one["promised"] for one in kept) for bound in (min, max)]
    line(axes, ends, ends, "as promised", GREY)
    logarithmic(axes, "x")
    logarithmic(axes, "y")
    legend(axes)


def _draw_rates(axes: Any, rows: list[dict[str, Any]], budget: float) -> None:
    from benchmarks.plots import GREY, line, logarithmic, style

    style(axes, "scores", "rejected on average, %", f"Few scores of an {RATES_OF} tail")
    for dash, rule in enumerate(SHOWN):
        x, y = _over_sizes(rows, RATES_OF, rule, lambda row: 100 * row["rate_mean"])
        line(axes, x, y, rule, dash=dash)
    line(axes, [min(x), max(x)], [100 * budget] * 2, "budget", GREY)
    logarithmic(axes, "x")
    axes.set_ylim(bottom=0)


def _draw_heights(axes: Any, rows: list[dict[str, Any]]) -> None:
    from benchmarks.plots import legend, line, logarithmic, style

    style(axes, "scores", "median threshold / true one", f"The price, where scores are {HEIGHTS_OF}")
    for dash, rule in enumerate(SHOWN):
        x, y = _over_sizes(rows, HEIGHTS_OF, rule, lambda row: row["threshold_median"] / row["threshold_true"])
        line(axes, x, y, rule, dash=dash)
    logarithmic(axes, "x")
    axes.set_ylim(bottom=0)
    legend(axes)


def _over_sizes(rows: list[dict[str, Any]], family: str, rule: str, value: Any) -> tuple[list[int], list[float]]:
    chosen = [row for row in rows if (row["family"], row["rule"]) == (family, rule)]
    return [row["sample_size"] for row in chosen], [value(row) for row in chosen]


def main() -> None:
    redraw("benchmarks.thresholds.plots", thresholds_plot)


if __name__ == "__main__":
    cli.run(main)

"""``python -m benchmarks.stream.triggers_plot RESULT --out PLOT``: memory and overhead over a long stream."""

from typing import TYPE_CHECKING, Any

from benchmarks.redraw import redraw
from runtime.cli import run
from runtime.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(document: dict[str, Any]) -> "Figure":
    """Resident memory above, the p99 from picture to output below, over the triggers of what the benchmark wrote.

    Raises `InputError` for another document.
    """
    from benchmarks.plots import panels

    drawn, ((upper,), (lower,)) = panels(2, 1, (4.4, 4.6))
    try:
        _draw(upper, lower, document)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"this is no result of benchmarks.stream.triggers ({error})") from error
    return drawn


def _draw(upper: Any, lower: Any, document: dict[str, Any]) -> None:
    from benchmarks.plots import line, style

    seen, memory = document["seen"], document["seen"]["memory"]
    units = f"{document.get('unit', 'trigger')}s"
    growth = f"{document['growth_mib_per_1000']:+.3f} MiB per 1,000 {units} after warm-up"
    style(upper, units, "resident memory, MiB", growth)
    line(upper, memory["frames"], memory["resident_mib"])
    style(lower, units, "picture to output, p99, ms", f"p99 of all {seen['overall_p99_ms']:.2f} ms")
    line(lower, memory["frames"], seen["p99_ms"])
    for axes in (upper, lower):
        axes.set_ylim(bottom=0)


def main() -> None:
    redraw("benchmarks.stream.triggers_plot", draw)


if __name__ == "__main__":
    run(main)

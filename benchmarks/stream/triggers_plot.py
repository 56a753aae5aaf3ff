"""``python -m benchmarks.stream.triggers_plot RESULT --out PLOT``: memory and overhead over a long stream."""

from typing import TYPE_CHECKING, Any

from benchmarks.redraw import redraw
from runtime.cli import run

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(document: dict[str, Any]) -> "Figure":
    """Resident memory above, the p99 from picture to output below, over the triggers of what the benchmark wrote."""
    from benchmarks.plots import line, panels, style

    seen, memory = document["seen"], document["seen"]["memory"]
    drawn, grid = panels(2, 1, (4.4, 4.6))
    (upper,), (lower,) = grid
    units = f"{document.get('unit', 'trigger')}s"
    growth = f"{document['growth_mib_per_1000']:+.3f} MiB per 1,000 {units} after warm-up"
    style(upper, units, "resident memory, MiB", growth)
    line(upper, memory["frames"], memory["resident_mib"])
    style(lower, units, "picture to output, p99, ms", f"p99 of all {seen['overall_p99_ms']:.2f} ms")
    line(lower, memory["frames"], seen["p99_ms"])
    for axes in (upper, lower):
        axes.set_ylim(bottom=0)
    return drawn


def main() -> None:
    redraw("benchmarks.stream.triggers_plot", draw)


if __name__ == "__main__":
    run(main)

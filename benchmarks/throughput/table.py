"""The result as tables: on a CPU the ratios first, since absolute times say more of a machine than of code."""

from collections.abc import Sequence

from benchmarks.throughput.measure import Limit, Result, Row
from benchmarks.throughput.timing import P95_SAMPLES, P99_SAMPLES

GIGA, TERA = 1e9, 1e12


def tables(result: Result, machine: str, load: float | None) -> str:
    """All tables in Markdown, with the machine that the absolute times are good for and what was left out.

    `load` is the machine's load average before, None where the system does not say.
    """
    busy = "nobody knows what else ran" if load is None else f"load {load:.1f} before"
    ratio = f"**Time as a ratio** to the median of `{result.reference}`, more is slower; throughput, more is faster."
    ratio += f" {_note(busy)}"
    absolute = f"**Absolute times**, good for this machine alone: {machine}."
    first, second = (ratio, _ratios(result.rows)), (absolute, _absolute(result.rows))
    if any(row.device != "cpu" for row in result.rows):
        first, second = second, first
    parts = [
        *first,
        *second,
        "**Arithmetic** and the machine's own limit, at a batch of one and at the best.",
        _arithmetic(result.rows),
    ]
    parts += ["**Limits** measured in the same turns.", _limits(result.limits)]
    if result.notes:
        parts.append("\n".join(f"- {note}" for note in result.notes))
    return "\n\n".join(parts)


def _ratios(rows: Sequence[Row]) -> str:
    header = ("row", "engine", "precision", "frame", "p50", "p95", "p99", "max", "throughput", "samples")
    body = []
    for row in rows:
        x = row.latency_ratio
        figures = [_shown(value, 2) for value in (x.p50, x.p95, x.p99, x.max)]
        size = f"{row.size_hw[0]}×{row.size_hw[1]}"
        rate = _shown(row.frames_per_s_ratio, 2)
        body.append([_label(row), row.engine, row.precision, size, *figures, rate, str(x.samples)])
    return markdown(header, body)


def _absolute(rows: Sequence[Row]) -> str:
    header = ("row", "p50 ms", "p95 ms", "p99 ms", "max ms", "samples", "best batch", "frames/s")
    body = []
    for row in rows:
        x = row.latency_ms
        figures = [_fixed(value) for value in (x.p50, x.p95, x.p99, x.max)]
        rate = _shown(row.best_frames_per_s, 1)
        body.append([_label(row), *figures, str(x.samples), str(row.best_batch), rate])
    return markdown(header, body)


def _arithmetic(rows: Sequence[Row]) -> str:
    header = ("row", "multiply-adds a frame", "rate", "share of limit", "best batch: rate", "share", "limit")
    body = []
    for row in rows:
        counted = f"{row.multiply_adds / GIGA:.2f} G" if row.multiply_adds else "–"
        figures = [
            _rate(row.operations_per_s),
            _share(row.share),
            _rate(row.best_operations_per_s),
            _share(row.best_share),
        ]
        body.append([_label(row), counted, *figures, f"{row.limit}, {_rate(row.limit_operations_per_s)}"])
    return markdown(header, body)


def _limits(limits: Sequence[Limit]) -> str:
    body = []
    for limit in limits:
        unit = "GB/s" if limit.kind == "copy" else "Gop/s"
        figures = [f"{value / GIGA:.1f} {unit}" for value in (limit.per_s, limit.best_per_s)]
        body.append([f"{limit.kind} on {limit.device}", limit.how, *figures, str(limit.samples)])
    return markdown(("limit", "by", "p50", "best", "samples"), body)


def _note(busy: str) -> str:
    return f"Percentiles are left out of fewer samples than {P95_SAMPLES} (p95) and {P99_SAMPLES} (p99); {busy}."


def _fixed(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _shown(value: float | None, decimals: int) -> str:
    """With so many decimals, or with two figures where these would show one or none; a dash of what is not known."""
    if value is None:
        return "–"
    return f"{value:.{decimals}f}" if value * 10**decimals >= 10 else f"{value:.2g}"


def _label(row: Row) -> str:
    return row.name if row.random is None else f"{row.name} (random weights)"


def markdown(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, columns of equal width."""
    rows = [list(header), *(list(line) for line in body)]
    widths = [max(3, *(len(row[index]) for row in rows)) for index in range(len(header))]
    lines = ["| " + " | ".join(cell.ljust(n) for cell, n in zip(row, widths, strict=True)) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "|".join("-" * (n + 2) for n in widths) + "|", *lines[1:]])


def _rate(operations_per_s: float | None) -> str:
    if operations_per_s is None:
        return "–"
    if operations_per_s >= TERA:
        return f"{operations_per_s / TERA:.2f} Top/s"
    return f"{operations_per_s / GIGA:.1f} Gop/s"


def _share(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"

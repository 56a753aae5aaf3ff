"""The tables of an accuracy report, in words: for the terminal and for the page."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.accuracy.auroc_interval import AurocInterval
from benchmarks.accuracy.by_region import RegionRow
from benchmarks.accuracy.decisions import Rate, percent
from benchmarks.accuracy.image_evidence import EvidenceRow
from benchmarks.accuracy.proof import Proof
from benchmarks.accuracy.shortcuts import Shortcuts
from benchmarks.accuracy.thresholds import Row, ThresholdTable, shown

SIZED = (
    "The detector's own row has its decisions: regions that are too small or beyond the picture do not count. "
    "In the other rows all regions count: set to one of these thresholds, the detector rejects as many parts or fewer."
)


@dataclass(frozen=True)
class Table:
    """Cells under a head."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def as_text(self, indent: str = "  ") -> str:
        """Lines of aligned columns."""
        lines = [self.header, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        cells = ([cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines)
        return "\n".join(f"{indent}{'  '.join(line)}".rstrip() for line in cells)


def shortcut_table(shortcuts: Shortcuts, detector: AurocInterval) -> Table:
    """The AUROC of each plain value beside the detector's."""
    rows = [(each.name, *_auroc(each.auroc), each.direction) for each in shortcuts.values]
    return Table(
        ("told apart by", "image AUROC", "95 % interval", "defective ones are"),
        [("the detector", *_auroc(detector), ""), *rows],
    )


def thresholds_table(table: ThresholdTable) -> Table:
    """What each threshold finds, beside what is proven of it."""
    header = (
        "threshold",
        "which",
        f"{_apart(table)} above",
        "good parts rejected, proven",
        "defects found",
        "good test images rejected",
    )
    return Table(header, [_cells(row, table.sample_size) for row in shown(table)])


def threshold_notes(table: ThresholdTable) -> list[str]:
    """What there is to know about the table of thresholds, in sentences."""
    notes = ["A lower threshold finds more defects and rejects more good parts.", f"Known from {table.source}."]
    if table.sized:
        notes.append(SIZED)
    if table.own.proof is None:
        notes.append("Nothing is proven of the detector's own threshold: it was set by hand, or nobody vouches for it.")
    if table.proven:
        notes.append(
            "Each row holds by itself: choose the budget first, then read its row. A row picked afterwards proves less."
        )
    if table.unproven and table.sample_size:
        takes = ", ".join(
            percent(budget) + (f" (takes {needed:,})" if needed else "") for budget, needed in table.unproven.items()
        )
        notes.append(f"{table.sample_size:,} {_apart(table)} images prove no threshold for a budget of {takes}.")
    if table.not_kept:
        kept = ", ".join(percent(budget) for budget in table.not_kept)
        notes.append(f"The file alone does not keep the thresholds for {kept}. Name its run folder with --run.")
    return notes


def evidence_rows(rows: Sequence[EvidenceRow]) -> Table:
    """What each kind of evidence tells alone."""
    header = ("evidence", "image AUROC alone", "95 % interval", "rejects owed to it", "defective", "good")
    cells = [
        (
            row.name,
            *_auroc(row.auroc),
            "none" if row.share is None else percent(row.share),
            str(row.defective_rejects),
            str(row.good_rejects),
        )
        for row in rows
    ]
    return Table(header, cells)


def region_rows(rows: Sequence[RegionRow]) -> Table:
    """What each named region of interest rejects."""
    cells = [(row.name, str(row.defective_rejects), str(row.good_rejects)) for row in rows]
    return Table(("region of interest", "defective images rejected in it", "good images rejected in it"), cells)


def interval(auroc: AurocInterval) -> str:
    """The interval of an AUROC in words."""
    bound = ", a cautious bound" if auroc.method == "hoeffding" else ""
    return f"{auroc.low:.3f} to {auroc.high:.3f}{bound}"


def short_rate(rate: Rate) -> str:
    """A rate with its interval, short."""
    return f"{rate.count} of {rate.total} ({percent(rate.low)} to {percent(rate.high)})"


def in_words(proof: Proof | None) -> str:
    """What is proven, short."""
    if proof is None:
        return "nothing"
    sure = "on average" if proof.confidence is None else f"{100 * proof.confidence:g} % sure"
    return f"at most {percent(proof.rate)} ({sure})"


def _apart(table: ThresholdTable) -> str:
    """How the good images were kept apart: of those that were left out in turn averages alone are proven."""
    on_average = any(row.proof is not None and row.proof.confidence is None for row in table.rows)
    return "left-out" if on_average else "held-out"


def _auroc(auroc: AurocInterval) -> tuple[str, str]:
    return f"{auroc.auroc:.4f}", interval(auroc)


def _cells(row: Row, sample_size: int) -> tuple[str, ...]:
    budgets = f"budget {', '.join(percent(budget) for budget in row.budgets)}" if row.budgets else ""
    above = "" if row.above is None else f"{row.above}" + (f" of {sample_size:,}" if sample_size else "")
    return (
        f"{row.threshold:.4f}",
        "the detector's" if row.own else budgets,
        above,
        in_words(row.proof),
        short_rate(row.found),
        short_rate(row.false_rejects),
    )

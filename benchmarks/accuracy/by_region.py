"""Which named regions of interest reject the images of a test set."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.accuracy.evaluation import Inspection


@dataclass(frozen=True)
class RegionRow:
    """One region; an image that is rejected in several counts in each."""

    name: str
    defective_rejects: int
    good_rejects: int


def rejects_by_region(inspections: Sequence[Inspection]) -> list[RegionRow]:
    """The rejects in each region, in the detector's order; none where regions have no names."""
    inspected = inspections[0].verdict.inspected
    rejects = [(name, each.image.label) for each in inspections for name in each.verdict.rejected_in]
    names = () if inspected is None else inspected.names
    return [RegionRow(name, rejects.count((name, True)), rejects.count((name, False))) for name in names]

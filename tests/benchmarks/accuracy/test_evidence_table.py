"""What each kind of evidence tells alone, and which kind rejects are owed to."""

import numpy as np
import pytest

from benchmarks.accuracy.auroc_interval import auroc_interval
from benchmarks.accuracy.image_evidence import COMBINED, ImageEvidence, evidence_table
from runtime.errors import InputError

LABELS = np.array([False, False, False, True, True, True, True])
SCORES = np.array([[1, 2], [2, 1], [5, 0], [6, 1], [1, 7], [4.5, 4.5], [0, 1]])


def test_each_kind_is_judged_alone_and_all_by_their_maximum() -> None:
    rows = evidence_table(ImageEvidence(("map", "histogram"), SCORES), LABELS, 4)
    assert [row.name for row in rows] == ["map", "histogram", COMBINED]
    assert rows[0].auroc == auroc_interval(SCORES[:, 0], LABELS)
    assert rows[1].auroc == auroc_interval(SCORES[:, 1], LABELS)
    assert rows[2].auroc == auroc_interval(SCORES.max(axis=1), LABELS)


def test_a_reject_is_owed_to_the_highest_kind_and_to_the_first_of_equals() -> None:
    rows = evidence_table(ImageEvidence(("map", "histogram"), SCORES), LABELS, 4)
    assert [(row.defective_rejects, row.good_rejects, row.share) for row in rows] == [
        (2, 1, 0.75),
        (1, 0, 0.25),
        (3, 1, 1.0),
    ]


def test_without_rejects_nothing_is_owed() -> None:
    rows = evidence_table(ImageEvidence(("map", "histogram"), SCORES), LABELS, 100)
    assert [(row.defective_rejects, row.share) for row in rows] == [(0, None)] * 3


@pytest.mark.parametrize("names", [(), ("map",), ("map", "histogram", "third")])
def test_names_that_do_not_fit_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=rf"evidence of shape \(7, 2\) for 7 images and {len(names)} kinds; expected"):
        evidence_table(ImageEvidence(names, SCORES), LABELS, 4)


def test_evidence_that_is_not_finite_is_refused() -> None:
    with pytest.raises(InputError, match="NaN or infinite"):
        evidence_table(ImageEvidence(("map", "histogram"), np.full((7, 2), np.inf)), LABELS, 4)

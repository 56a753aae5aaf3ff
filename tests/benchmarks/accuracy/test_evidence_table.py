"""What each kind of evidence tells alone, and which kind rejects are owed to."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.accuracy.auroc_interval import auroc_interval
from benchmarks.accuracy.evaluation import inspect_all, scores_and_labels
from benchmarks.accuracy.image_evidence import COMBINED, ImageEvidence, evidence_table, image_evidence_of
from runtime.detector import Detector
from runtime.engines.base import Output
from runtime.engines.fake import deviation_from_grey
from runtime.engines.threaded import ThreadedEngine
from runtime.errors import InputError
from runtime.recipe import ImageEvidence as KindOfFrame
from runtime.recipe import Recipe
from runtime.scoring import Scoring
from train.datasets import read_test_set

LABELS = np.array([False, False, False, True, True, True, True])
SCORES = np.array([[1, 2], [2, 1], [5, 0], [6, 1], [1, 7], [4.5, 4.5], [0, 1]])


def test_each_kind_is_judged_alone_and_all_by_their_maximum() -> None:
    rows = evidence_table(ImageEvidence(("map", "histogram"), SCORES, SCORES > 4), LABELS)
    assert [row.name for row in rows] == ["map", "histogram", COMBINED]
    assert rows[0].auroc == auroc_interval(SCORES[:, 0], LABELS)
    assert rows[1].auroc == auroc_interval(SCORES[:, 1], LABELS)
    assert rows[2].auroc == auroc_interval(SCORES.max(axis=1), LABELS)


def test_a_reject_is_owed_to_the_highest_kind_and_to_the_first_of_equals() -> None:
    rows = evidence_table(ImageEvidence(("map", "histogram"), SCORES, SCORES > 4), LABELS)
    assert [(row.defective_rejects, row.good_rejects, row.share) for row in rows] == [
        (2, 1, 0.75),
        (1, 0, 0.25),
        (3, 1, 1.0),
    ]


def test_a_reject_is_not_owed_to_a_kind_that_does_not_reject() -> None:
    rejects = SCORES > 4
    rejects[2:4] = False  # two maps, of a good and a defective image, whose regions are too small to count
    rejects[5, 0] = False  # and one beside a histogram that rejects
    rows = evidence_table(ImageEvidence(("map", "histogram"), SCORES, rejects), LABELS)
    assert [(row.defective_rejects, row.good_rejects, row.share) for row in rows] == [
        (0, 0, 0.0),
        (2, 0, 1.0),
        (2, 0, 1.0),
    ]


def test_a_part_that_the_detector_passes_as_small_is_no_reject_of_its_map(test_set: Path, recipe: Recipe) -> None:
    kind = KindOfFrame("whole frame", "nothing", 1.0, 1.0)
    sized = replace(
        recipe,
        method=replace(recipe.method, image_evidence=(kind,)),
        scoring=Scoring(by_position=True, smallest_area=2.0),  # a good part's spot has one pixel, the dent three
    )

    def infer(frames: NDArray[np.uint8]) -> Output:
        maps = deviation_from_grey(frames)
        scores = np.stack([maps.max(axis=(1, 2)), np.zeros(len(maps), np.float32)], axis=1)
        return Output(maps, scores.max(axis=1), maps.copy(), scores)

    with Detector(sized, ThreadedEngine(infer, sized.size_hw, 8, 2, "fake engine")) as detector:
        inspections = list(inspect_all(detector, read_test_set(test_set)))
    assert [each.verdict.passed_as_small for each in inspections] == [False, True, False, False]
    evidence = image_evidence_of(inspections, sized)
    assert evidence is not None
    rows = evidence_table(evidence, scores_and_labels(inspections)[1])
    assert [(row.name, row.defective_rejects, row.good_rejects) for row in rows] == [
        ("the map", 1, 0),
        ("the whole frame", 0, 0),
        (COMBINED, 1, 0),
    ]


def test_without_rejects_nothing_is_owed() -> None:
    rows = evidence_table(ImageEvidence(("map", "histogram"), SCORES, SCORES > 100), LABELS)
    assert [(row.defective_rejects, row.share) for row in rows] == [(0, None)] * 3


@pytest.mark.parametrize("names", [(), ("map",), ("map", "histogram", "third")])
def test_names_that_do_not_fit_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=rf"evidence of shape \(7, 2\) for 7 images and {len(names)} kinds; expected"):
        evidence_table(ImageEvidence(names, SCORES, SCORES > 4), LABELS)


def test_evidence_that_is_not_finite_is_refused() -> None:
    with pytest.raises(InputError, match="NaN or infinite"):
        evidence_table(ImageEvidence(("map", "histogram"), np.full((7, 2), np.inf), SCORES > 4), LABELS)

"""Which kind of evidence tells defective images, of a detector whose score is the highest of several.

The kinds come in one unit, and the image's score is their maximum. Each kind may then be judged alone. A reject is owed
to the highest of the kinds that reject the image, as its verdict names them; where two are equal, to the first. The map
is none of them where no region above the threshold counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.auroc_interval import AurocInterval, auroc_interval
from benchmarks.accuracy.evaluation import Inspection
from runtime.errors import InputError
from runtime.recipe import MAP, Recipe

COMBINED = "all together"


@dataclass(frozen=True)
class ImageEvidence:
    """The evidence of a test set, as a detector gave it."""

    names: Sequence[str]
    scores: NDArray[np.floating]  # [images, kinds]
    rejects: NDArray[np.bool_]  # [images, kinds]: whether this kind rejects the image; none rejects what is undecided


def image_evidence_of(inspections: Sequence[Inspection], recipe: Recipe) -> ImageEvidence | None:
    """What a detector said of each image by kind; None of one that gives one score alone."""
    found = [each.evidence_scores for each in inspections if each.evidence_scores is not None]
    if not recipe.method.image_evidence:
        return None
    names = [MAP, *(kind.name for kind in recipe.method.image_evidence)]
    rejects = np.array([[name in each.verdict.rejected_by for name in names] for each in inspections], bool)
    return ImageEvidence([f"the {name}" for name in names], np.stack(found), rejects)


@dataclass(frozen=True)
class EvidenceRow:
    """What one kind of evidence tells alone, and what it is the reason of."""

    name: str
    auroc: AurocInterval
    defective_rejects: int  # defective images rejected that it scores highest of the kinds that reject them
    good_rejects: int  # good ones likewise
    share: float | None  # of all rejects; None where there are none


def evidence_table(evidence: ImageEvidence, labels: NDArray[np.bool_]) -> list[EvidenceRow]:
    """A row for each kind, and one for the maximum of all; `labels` [images] is true for defective.

    Raises `InputError` for numbers that do not fit, for evidence that is not finite, and unless good and defective
    images are there.
    """
    names, scores = evidence.names, np.asarray(evidence.scores, np.float64)
    if not names or scores.shape != (len(labels), len(names)):
        raise InputError(
            f"evidence of shape {scores.shape} for {len(labels)} images and {len(names)} kinds; expected "
            f"({len(labels)}, {len(names)}), one kind at least"
        )
    combined, rejected = scores.max(axis=1), np.asarray(evidence.rejects.any(axis=1), bool)
    highest = np.where(evidence.rejects, scores, -np.inf).argmax(axis=1)
    owed = [(name, scores[:, kind], rejected & (highest == kind)) for kind, name in enumerate(names)]
    return [
        _row(name, values, labels, which, rejected) for name, values, which in [*owed, (COMBINED, combined, rejected)]
    ]


def _row(
    name: str,
    values: NDArray[np.float64],
    labels: NDArray[np.bool_],
    owed: NDArray[np.bool_],
    rejected: NDArray[np.bool_],
) -> EvidenceRow:
    share = float(owed.sum() / rejected.sum()) if rejected.any() else None
    found, false = int((owed & labels).sum()), int((owed & ~labels).sum())
    return EvidenceRow(name, auroc_interval(values, labels), found, false, share)

"""The evidence of students as a graph: teacher and students folded, equations 8 to 10 in fewer operations."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from calibration.methods.students import StudentsRun, relative
from export.folding import FoldedNetwork
from train.backbones.features import Pooling
from train.dense import FORMS, Form, descriptors_of_padded, forms_differ, reflect_padded
from train.ensemble import Scale

REFLECTED = 40  # pixels; the halo of the largest receptive field, 65, has fewer


class ScaleEvidence(nn.Module):
    """One receptive field: the students' error and, of several students, their variance."""

    def __init__(self, scale: Scale, stride: int, form: Form, half: bool, in_relation: bool) -> None:
        super().__init__()
        self.teacher = FoldedNetwork(scale.teacher.network, half).standardized(scale.teacher).finished()
        self.students = nn.ModuleList(FoldedNetwork(student, half).finished() for student in scale.students)
        self.stride, self.form, self.in_relation = stride, form, in_relation

    def forward(self, pixels: Tensor) -> tuple[list[Tensor], Tensor]:
        """Evidence [N, h, w] at every `stride`-th position of raw pixels [N, 3, H, W]; the teacher's descriptors."""
        padded = reflect_padded(self.teacher.layers, pixels, self.stride)

        def dense(network: FoldedNetwork) -> Tensor:
            return descriptors_of_padded(network, padded, self.stride, self.form, pixels.shape)

        students = [dense(student) for student in self.students]  # type: ignore[arg-type]
        teacher = dense(self.teacher)
        found = error_and_variance(students, teacher)
        return [relative(term, teacher) for term in found] if self.in_relation else found, teacher


class StudentsEvidence(nn.Module):
    """All receptive fields; see `export.graphs.EvidenceGraph`."""

    def __init__(self, scales: Sequence[ScaleEvidence], pooling: Pooling | None, stride: int) -> None:
        """`pooling` where there is image evidence."""
        super().__init__()
        self.scales = nn.ModuleList(scales)
        self.pooling = pooling
        self.step, self.narrow = stride, 2 * REFLECTED

    def forward(self, pixels: Tensor) -> tuple[Tensor, list[Tensor]]:
        """See `EvidenceGraph`."""
        found = [scale(pixels) for scale in self.scales]
        evidence = torch.stack([term for terms, _ in found for term in terms], dim=1)
        return evidence, [] if self.pooling is None else [teacher for _, teacher in found]


def evidence_graph(trained: StudentsRun, form: Form, half: bool) -> StudentsEvidence:
    """See `export.graphs.evidence_graph`."""
    stride, in_relation = trained.stride, trained.config.relative
    scales = [ScaleEvidence(scale, stride, form, half, in_relation) for scale in trained.scales]
    return StudentsEvidence(scales, trained.pooling if trained.config.image_evidence else None, stride)


def different_forms(trained: StudentsRun) -> tuple[Form, ...]:
    """See `export.graphs.different_forms`."""
    differ = any(forms_differ(scale.teacher.network.layers, trained.stride) for scale in trained.scales)
    return FORMS if differ else FORMS[:1]


def error_and_variance(students: Sequence[Tensor], teacher: Tensor) -> list[Tensor]:
    """Equations 8 to 10: the error [N, h, w] of students' descriptors [N, D, h, w] and, of several, their variance.

    Two passes, as calibration.methods.students has it: the difference of squares loses 15 to 170 % in FP16.
    """
    mean = _mean(students)
    found = [(mean - teacher).square().sum(dim=1)]
    if len(students) > 1:
        found.append(_mean([(student - mean).square().sum(dim=1) for student in students]))
    return found


def _mean(maps: Sequence[Tensor]) -> Tensor:
    return maps[0] if len(maps) == 1 else torch.stack(list(maps)).mean(dim=0)

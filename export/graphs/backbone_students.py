"""The evidence of a backbone's students as a graph: one pass of the backbone, its standardization and the whitening
written into convolutions as far as that is exact."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from calibration.methods.backbone_students import BackboneStudentsRun
from export.folding import FoldedBackbone
from export.graphs.students import error_and_variance
from train.backbones.features import descriptors, stage_names
from train.dense import Form
from train.student_forms import Student, head_of


class BackboneStudentsEvidence(nn.Module):
    """See `export.graphs.EvidenceGraph`."""

    mean: Tensor
    factor: Tensor
    whitening: Tensor

    def __init__(self, run: BackboneStudentsRun, half: bool) -> None:
        super().__init__()
        trained = run.trained
        self.network = FoldedBackbone(run.features, half)
        self.compared, self.pooled = run.features.compared, run.features.pooled
        self.pooling = copy.deepcopy(run.features.pooling) if run.features.pooled else None
        strides = [stage.stride for stage in (*self.compared, *self.pooled)]
        # a student that reads pixels works at half the resolution of its teacher's map
        self.step = self.narrow = max(*strides, 2 * run.features.stride if run.config.student == "pixels" else 1)
        self.students = nn.ModuleList(_folded(each, trained.whitening, half) for each in trained.students)
        self.register_buffer("mean", trained.standard.mean[:, None, None])
        self.register_buffer("factor", 1 / trained.standard.deviation[:, None, None])
        whitening = trained.whitening[:, :, None, None] if run.config.whitened else None
        self.register_buffer("whitening", whitening)

    def forward(self, pixels: Tensor) -> tuple[Tensor, list[Tensor]]:
        """See `EvidenceGraph`."""
        normal = self.network.normalized(pixels)
        maps = self.network.maps(normal, stage_names(self.compared, self.pooled))
        target = (descriptors(maps, self.compared) - self.mean) * self.factor
        found = [student(normal if student.reads_pixels else target) for student in self.students]
        teacher = target if self.whitening is None else functional.conv2d(target, self.whitening)
        terms = error_and_variance(found, teacher)
        return torch.stack(terms, dim=1), [maps[stage.name] for stage in self.pooled]


def _folded(student: Student, whitening: Tensor, half: bool) -> Student:
    """A student of raw colour order, BGR, whose last convolution gives whitened descriptors."""
    found = copy.deepcopy(student)
    convs = [module for module in found.modules() if isinstance(module, nn.Conv2d)]
    if found.reads_pixels:
        convs[0].weight = _frozen(convs[0].weight.detach().flip(1))
    head, double = head_of(found), whitening.double()
    assert head.bias is not None
    head.weight = _frozen(torch.einsum("ij,jkab->ikab", double, head.weight.detach().double()))
    head.bias = _frozen(double @ head.bias.detach().double())
    if half:
        for conv in convs[1:-1]:  # whitening stretches: the last one stays in float32, as the distances do
            conv.half()
    return found


def evidence_graph(trained: BackboneStudentsRun, form: Form, half: bool) -> BackboneStudentsEvidence:
    """See `export.graphs.evidence_graph`."""
    return BackboneStudentsEvidence(trained, half)


def different_forms(trained: BackboneStudentsRun) -> tuple[Form, ...]:
    """See `export.graphs.different_forms`. A backbone has its natural stride: nothing is evaluated densely."""
    return ()


def _frozen(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor.float().contiguous(), requires_grad=False)

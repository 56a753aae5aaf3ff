"""Detectors that nobody trained: the graphs that ``python -m export.onnx`` writes, of random students or descriptors.

Speed and memory do not depend on weights, so that these stand for trained detectors where nothing else is measured.
They find no defect.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from calibration.calibrated import CalibratedRun
from calibration.image_evidence import fit_image_evidence
from calibration.maps import Positions
from calibration.methods.backbone_students import BackboneStudentsRun
from calibration.methods.memory_bank import MemoryBankRun
from calibration.methods.students import StudentsRun
from calibration.statistics import Moments
from export.detector import ExportOptions, recipe_of_run
from export.fused import FusedDetector
from export.graph import export_graph
from runtime.onnx_file import with_metadata
from runtime.recipe import HealthLimits
from train.backbone_ensemble import Standard, Trained, first_students
from train.backbones.features import features_of
from train.data import Split, file_sha256
from train.ensemble import Scale, Standardized, teacher_path
from train.files import load_network
from train.memory_bank import MemoryBank
from train.method import TrainedRun
from train.networks import DESCRIPTOR_SIZE, PatchNetwork
from train.options import BackboneStudentsConfig, MemoryBankConfig, StudentsConfig
from train.run_folder import RunFolder
from train.student_training import new_students

# of no image: any frame may be scored, and the threshold promises nothing
ANY_FRAME = HealthLimits(0.0, 255.0, 1.0, 1e-6, 1e6)


@dataclass(frozen=True)
class Teacher:
    """A scale's teacher and the hash of its file."""

    network: PatchNetwork
    sha256: str


@dataclass(frozen=True)
class Untrained:
    """A run as it would be after training and calibration, of no folder and no images."""

    run: CalibratedRun

    def graph(self, half: bool = False) -> bytes:
        """The ONNX graph in Bailer's form, without a recipe. Raises `InputError` for a frame too small for a scale."""
        return export_graph(FusedDetector(self.run, half=half), self.run.trained.size_hw)

    def detector(self, half: bool = False) -> bytes:
        """A whole ``detector.onnx``, whose recipe says that it was made from no image. Raises as `graph`."""
        graph, options = self.graph(half), ExportOptions("fp16" if half else "fp32")
        recipe = recipe_of_run(self.run, graph, "bailer", options, b"")
        return with_metadata(graph, recipe.metadata)


def untrained(config: StudentsConfig, teachers: Sequence[Teacher]) -> Untrained:
    """The detector of `config` before any training, with these teachers in place of those that it names.

    Students are those that training would begin with, but for their biases. These, the teachers' statistics, those of
    equation 11 and those by position are random, since the exporter leaves what is 0 or 1 out of the graph.
    """
    with torch.random.fork_rng(devices=[]):
        scales = tuple(_scale(config, teacher) for teacher in teachers)
        trained = StudentsRun(RunFolder(Path()), config, Split((), (), (), {}), scales, torch.device("cpu"))
        return Untrained(_with_random_statistics(trained))


def untrained_memory_bank(config: MemoryBankConfig) -> Untrained:
    """The detector of `config` with its backbone, and random descriptors and statistics. Raises `InputError` for a
    backbone or stages that are not there."""
    with torch.random.fork_rng(devices=[]):
        features = features_of(config)
        owners = torch.zeros(config.coreset, dtype=torch.int32)
        memory = MemoryBank(torch.randn(config.coreset, features.dimensions), owners, ("none",))
        nothing = Split((), (), (), {})
        trained = MemoryBankRun(RunFolder(Path()), config, nothing, features, memory, torch.device("cpu"))
        return Untrained(_with_random_statistics(trained))


def untrained_backbone_students(config: BackboneStudentsConfig) -> Untrained:
    """The detector of `config` with its backbone, and students as training begins with, but for what is 0 in them;
    that and all statistics are random. Raises `InputError` for a backbone or stages that are not there."""
    with torch.random.fork_rng(devices=[]):
        features = features_of(config)
        students = first_students(config, features)
        for student in students:
            for values in (values for values in student.parameters() if not bool(values.any())):
                torch.nn.init.normal_(values, std=0.1)
            student.eval().requires_grad_(False)
        dimensions = features.dimensions
        standard = Standard(torch.randn(dimensions), 0.5 + torch.rand(dimensions))
        made = Trained(standard, students, torch.randn(dimensions, dimensions) / dimensions**0.5, None)
        nothing = Split((), (), (), {})
        trained = BackboneStudentsRun(RunFolder(Path()), config, nothing, features, made, torch.device("cpu"))
        return Untrained(_with_random_statistics(trained))


def _with_random_statistics(trained: TrainedRun) -> CalibratedRun:
    size_hw = trained.size_hw
    moments = tuple(Moments(*(1.5 + torch.rand(2)).tolist()) for _ in trained.kinds)
    by_position = trained.scoring.by_position
    positions = Positions(torch.randn(size_hw), 0.5 + torch.rand(size_hw)) if by_position else None
    image = None
    if trained.pooled is not None:
        features = trained.pooled_features(np.zeros((1, *size_hw, 3), np.uint8)).shape[1]
        image = fit_image_evidence(torch.randn(4, features), slice(None))
    return CalibratedRun(trained, moments, positions, image, ANY_FRAME, 1.0, 0.95)


def shipped_or_file(name: str) -> Teacher:
    """The teacher that `StudentsConfig.teachers` names. Raises `InputError` where there is none."""
    path = teacher_path(name)
    return Teacher(load_network(path)[0], file_sha256(path))


def with_biases(network: PatchNetwork) -> PatchNetwork:
    """The network with random biases in place of its own, which are 0 before any training."""
    for index in range(len(network.convs)):
        bias = network.conv(index).bias
        assert bias is not None
        torch.nn.init.normal_(bias, std=0.1)
    return network


def _scale(config: StudentsConfig, teacher: Teacher) -> Scale:
    students = tuple(with_biases(student) for student in new_students(config, teacher.network))
    for network in (teacher.network, *students):
        network.eval().requires_grad_(False)
    standardized = Standardized(teacher.network, torch.randn(DESCRIPTOR_SIZE), 0.5 + torch.rand(DESCRIPTOR_SIZE))
    return Scale(teacher.network.patch_size, standardized, teacher.sha256, students)

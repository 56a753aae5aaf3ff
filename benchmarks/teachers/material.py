"""What teachers of one patch size are measured on: patches of photographs, P's output for them, and triplets."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from benchmarks.teachers.figures import DescriptorFigures, figures_of
from benchmarks.teachers.views import MapFigures, Views, gather_views
from train.descriptor import DescriptorNetwork, Standardization
from train.held_out import TripletMeasure, described, measure_triplets, unexplained_variance
from train.networks import PatchNetwork
from train.patches import Triplets
from train.photographs import read_photographs
from train.seeds import TEACHER_HELD_OUT, generator

if TYPE_CHECKING:
    from train.options import TeacherConfig


@dataclass(frozen=True)
class Counts:
    """How many patches and views decoders are fitted on, how many they are measured on, and how many triplets."""

    training: int = 8192
    held_out: int = 2048
    triplets: int = 1024
    views: int = 256
    held_out_views: int = 96


@dataclass(frozen=True)
class Material:
    """Patches [N, 3, p, p] with P's standardized output [N, D], of training and of held-out photographs."""

    training: Tensor
    training_target: Tensor
    held_out: Tensor
    held_out_target: Tensor
    triplets: Triplets
    views: Views
    margin: float
    card: dict[str, object]  # of the photographs, as in a teacher's file

    def measure(self, teacher: PatchNetwork) -> tuple[DescriptorFigures, TripletMeasure, MapFigures]:
        """A teacher's figures. The decoders see training photographs only."""
        training, held_out = (described(teacher, patches).cpu() for patches in (self.training, self.held_out))
        figures = figures_of(training, self.training_target, held_out, self.held_out_target)
        return figures, measure_triplets(teacher, self.triplets, self.margin), self.views.measure(teacher)

    def mean_explains(self) -> float:
        """The explained variance of the training patches' mean as the answer to everything: 0, or just below."""
        mean = self.training_target.mean(dim=0).expand_as(self.held_out_target)
        return 1 - unexplained_variance(mean, self.held_out_target)


def gather(config: "TeacherConfig", counts: Counts, dense_descriptor: str) -> Material:
    """The material for teachers of `config.patch_size`; the maps are those of `dense_descriptor`.

    Photographs are split as `train.teacher` splits them with the same seed, and the held-out patches are the ones it
    measures its error on. Raises `InputError` for photographs or weights that cannot be used.
    """
    device = torch.device(config.device)
    weights = Path(config.descriptor_weights) if config.descriptor_weights else None
    network = DescriptorNetwork(config.descriptor, config.descriptor_input, weights).to(device)
    split = read_photographs(config, device)
    training = split.training.patches(counts.training, generator(config.seed, TEACHER_HELD_OUT, 1))
    held_out = split.held_out.patches(counts.held_out, generator(config.seed, TEACHER_HELD_OUT))
    outputs = [described(network, patches).cpu() for patches in (training, held_out)]
    standardize = Standardization.of(outputs[0])
    return Material(
        training,
        standardize(outputs[0]),
        held_out,
        standardize(outputs[1]),
        split.held_out.triplets(counts.triplets, generator(config.seed, TEACHER_HELD_OUT, 2)),
        gather_views(split, config, dense_descriptor, counts.views, counts.held_out_views),
        config.margin,
        split.card,
    )


def random_teacher(patch_size: int, seed: int) -> PatchNetwork:
    """A teacher that was never trained."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return PatchNetwork(patch_size).eval()

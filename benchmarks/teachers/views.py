"""What teachers of one patch size are measured on as maps: views of photographs, with P's map of each."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from benchmarks.teachers.figures import effective_rank, eigenvalue_shares
from train.dense_distillation import DenseDescriptor, DenseTeacher, Grid
from train.descriptor import Standardization
from train.held_out import CHUNK_OF_VIEWS, described, unexplained_variance
from train.linear_decoder import LinearDecoder
from train.networks import PatchNetwork
from train.options import TeacherConfig
from train.photographs import PhotographSplit, sampler_of
from train.seeds import TEACHER_HELD_OUT, generator

SIDES = {17: 128, 33: 128, 65: 192}  # pixels of a view, by p
ZOOM_CAP = 1.5  # frames of parts are sharp, and photographs that are enlarged more are not


@dataclass(frozen=True)
class MapFigures:
    """`explained_variance` is the share of the variance of P's map, on held-out photographs, that the best linear
    decoder of the teacher's map on training photographs explains; `effective_rank` is that of the teacher's
    descriptors there, at all positions together."""

    explained_variance: float
    effective_rank: float


@dataclass(frozen=True)
class Views:
    """Views [N, 3, S, S] with P's standardized map as rows [N·h·w, D], of training and of held-out photographs."""

    grid: Grid
    training: Tensor
    training_target: Tensor
    held_out: Tensor
    held_out_target: Tensor

    def measure(self, teacher: PatchNetwork) -> MapFigures:
        """A teacher's figures."""
        network = DenseTeacher(teacher, self.grid)
        with torch.no_grad():
            training, held_out = (
                described(network, views, CHUNK_OF_VIEWS).cpu() for views in (self.training, self.held_out)
            )
        decoded = LinearDecoder.fit(training, self.training_target)(held_out)
        return MapFigures(
            explained_variance=1 - unexplained_variance(decoded, self.held_out_target.double()),
            effective_rank=effective_rank(eigenvalue_shares(held_out)),
        )


def gather_views(split: PhotographSplit, config: TeacherConfig, network: str, training: int, held_out: int) -> Views:
    """So many views of either part of the photographs, for teachers of `config.patch_size`; P is `network`.

    A training on views of the same side and cap, with the same seed, measures its error on the same held-out ones.
    """
    side = SIDES[config.patch_size]
    config = replace(config, dense=side, descriptor=network, descriptor_weights=None, zoom_cap=ZOOM_CAP)
    descriptor = DenseDescriptor(network, config.patch_size, side).to(config.device)

    def views(part: int, count: int) -> Tensor:
        photographs = (split.training if part else split.held_out).photographs
        where = (TEACHER_HELD_OUT, part) if part else (TEACHER_HELD_OUT,)
        return sampler_of(photographs, config).patches(count, generator(config.seed, *where))

    found = views(1, training), views(0, held_out)
    outputs = [described(descriptor, each, CHUNK_OF_VIEWS).cpu() for each in found]
    standardize = Standardization.of(outputs[0])
    return Views(descriptor.grid, found[0], standardize(outputs[0]), found[1], standardize(outputs[1]))

"""STFPM (Wang et al., *Student-Teacher Feature Pyramid Matching for Anomaly Detection*, BMVC 2021; arXiv 2103.04257).

The teacher is a pretrained ResNet-18, the student the same network with random weights. The student learns the
teacher's layer1 to layer3 on good frames, each feature vector scaled to length 1: the loss is half the squared
distance, averaged over the positions and summed over the layers (eq. 1 to 3). The map is the product of the layers'
distances, each enlarged bilinearly to the frame; the score is its highest value. SGD with momentum 0.9, weight decay
1e-4.

Deviations, so that a CPU can train it: 500 steps of 4 frames in place of 100 epochs of batches of 32, since many
steps of few frames get further in the same time (a quarter of a second a step at 256×256 on one core). The last student
is taken, not the one that does best on a fifth of the good frames: so it learns from all of them. Frames are prepared
as for all methods here. As in the paper: `batch_size` = 32 and `steps` = 100·n/32 for n good frames.

Memory: the teacher's features of all good frames, computed once: 1.8 MB for a frame of 256×256.

Checked against the authors' code (github.com/gdwang08/STFPM): the layers, the optimizer, the distances, the product.
There, the loss lacks the paper's factor ½, and maps are multiplied at layer1's resolution. Not checked
against the paper's text: its numbers of equations.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torchvision.models
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from benchmarks.methods.base import Frames, MapMethod, Maps, Setting, as_pixels, at_frame_size, check_frames, fitted
from benchmarks.methods.bounds import above_zero, at_least
from benchmarks.methods.features import PROBE, ResNetStages, Stages, stage_maps
from benchmarks.methods.training import WEIGHTS, minimize, seeded
from train.ensemble import channels_last

MOMENTUM = 0.9


@dataclass(frozen=True)
class Options:
    """Options of STFPM."""

    layers: tuple[str, ...] = ("layer1", "layer2", "layer3")
    steps: int = 500
    batch_size: int = 4
    learning_rate: float = 0.4
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        at_least(self, steps=1, batch_size=2, weight_decay=0)
        above_zero(self, "learning_rate")


class StudentStages(nn.Module):
    """A ResNet-18 of random weights: pixels [n, 3, H, W], RGB in [0, 1], to the outputs of the named stages."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.network, self.names = torchvision.models.resnet18(weights=None), tuple(names)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        return stage_maps(self.network, pixels, self.names)


def level_distances(teacher: Sequence[Tensor], student: Sequence[Tensor]) -> list[Tensor]:
    """½‖t̂ − ŝ‖² at each position (eq. 1), [n, h, w] for each pair of maps [n, C, h, w]; 0 to 2."""
    pairs = zip(teacher, student, strict=True)
    return [(functional.normalize(t) - functional.normalize(s)).square().sum(dim=1) / 2 for t, s in pairs]


def pyramid_loss(teacher: Sequence[Tensor], student: Sequence[Tensor]) -> Tensor:
    """The mean distance of each level (eq. 2), summed over the levels (eq. 3, with weights of 1)."""
    return torch.stack([distances.mean() for distances in level_distances(teacher, student)]).sum()


class FeaturePyramidMatching(MapMethod):
    """A student that is as its teacher on good frames. `make_student` gives an untrained one."""

    def __init__(
        self,
        teacher: Stages,
        make_student: Callable[[], nn.Module],
        options: Options,
        seed: int,
        device: str = "cpu",
    ) -> None:
        self.teacher, self.make_student, self.options = teacher, make_student, options
        self.seed, self.device = seed, device
        self.size_hw: tuple[int, int] | None = None

    def fit(self, good: Frames) -> None:
        """See `Method`. Raises `InputError` when the training diverges."""
        size_hw, options = check_frames(good), self.options
        bar = tqdm(good, "features", unit="image", leave=False, disable=None)
        described = [[x.cpu() for x in self.teacher(frame[None], options.layers)] for frame in bar]
        with seeded(self.seed, WEIGHTS):
            student = self.make_student().to(self.device).train()
        channels_last(student)

        def loss(indices: Tensor, step: int) -> Tensor:
            chosen = [described[index] for index in indices.tolist()]
            wanted = [torch.cat(level).to(self.device) for level in zip(*chosen, strict=True)]
            return pyramid_loss(wanted, student(as_pixels(good[indices.numpy()], self.device)))

        minimize(
            loss, student.parameters(), len(good), steps=options.steps, batch_size=options.batch_size,
            learning_rate=options.learning_rate, weight_decay=options.weight_decay, momentum=MOMENTUM, seed=self.seed,
            name="stfpm",
        )  # fmt: skip
        self.student, self.size_hw = student.eval(), size_hw

    @torch.no_grad()
    def maps(self, frames: Frames) -> Maps:
        """See `MapMethod`."""
        size_hw = fitted(self.size_hw)
        check_frames(frames, size_hw)
        return np.concatenate([self._map(frame[None], size_hw) for frame in frames])

    def _map(self, frame: Frames, size_hw: tuple[int, int]) -> Maps:
        student = self.student(as_pixels(frame, self.device))
        levels = level_distances(self.teacher(frame, self.options.layers), student)
        return np.asarray(np.prod([at_frame_size(level, size_hw) for level in levels], axis=0), np.float32)


def make(options: Options, setting: Setting) -> MapMethod:
    """The method over ResNet-18. Raises `InputError` for stages that it does not have."""
    teacher = ResNetStages(setting)
    teacher(PROBE, options.layers)
    return FeaturePyramidMatching(teacher, lambda: StudentStages(options.layers), options, setting.seed, setting.device)

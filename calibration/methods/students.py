"""Students (*Uninformed Students*, Bergmann et al., CVPR 2020): equations 8 to 10, written plainly.

Two kinds of evidence for each receptive field: the students' regression error and, of several students, their
predictive variance. Equation 12 takes the mean over the receptive fields of the sum of both.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibration.methods.options import OfOptions
from runtime.alignment import Alignment
from runtime.schema1 import error_name, looks_at, variance_name
from train.alignment import alignment_of_run
from train.backbones.features import Pooling
from train.data import Split
from train.device import device_of_run
from train.ensemble import Scale, load_scales
from train.method import Kind
from train.options import StudentsConfig
from train.run_folder import RunFolder
from train.student_training import CLOSE_TO_MEAN, MEANS_LOSS


@dataclass(frozen=True)
class StudentsRun(OfOptions):
    """A finished run of ``python -m train.students``; see `train.method.TrainedRun`."""

    folder: RunFolder
    config: StudentsConfig
    split: Split
    scales: tuple[Scale, ...]
    device: torch.device
    alignment: Alignment | None = None

    method = StudentsConfig.METHOD
    leaves_out = False  # each image has a part in all weights; students err on those they were trained on, if less

    def without(self, image: Path) -> "StudentsRun":
        """See `TrainedRun`."""
        return self

    def on(self, device: str) -> "StudentsRun":
        """See `TrainedRun`."""
        place = torch.device(device)
        return replace(self, scales=tuple(scale.to(place) for scale in self.scales), device=place)

    @property
    def stride(self) -> int:
        """See `TrainedRun`."""
        return self.config.output_stride

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """See `TrainedRun`. By receptive field, its error before its variance."""
        names = (error_name, variance_name) if self.config.students > 1 else (error_name,)
        weight = 1 / len(self.scales)
        return tuple(Kind(name(scale.patch_size), weight) for scale in self.scales for name in names)

    @property
    def concerns(self) -> tuple[str, ...]:
        """See `TrainedRun`. Students that predict little better than the mean have learnt nothing to contradict."""
        return tuple(
            f"the students of p = {scale.patch_size} predict {'no' if max(scale.losses) >= MEANS_LOSS else 'hardly'} "
            f"better than the mean (loss "
            f"{max(scale.losses):.3g}, the mean's is {MEANS_LOSS}): a defect can hardly surprise them; "
            "give them more --steps"
            for scale in self.scales
            if max(scale.losses, default=0.0) >= CLOSE_TO_MEAN * MEANS_LOSS
        )

    @property
    def looks_at(self) -> str:
        """See `TrainedRun`."""
        return looks_at(self._patch_sizes, self.config.students, self.config.output_stride, self.config.relative)

    @property
    def settings(self) -> dict[str, object]:
        """See `TrainedRun`."""
        return {
            "patch_sizes": self._patch_sizes,  # p of each receptive field, pixels of the prepared frame
            "teachers_sha256": [scale.teacher_sha256 for scale in self.scales],  # of each teacher's file
            "students": self.config.students,  # M, of each receptive field
            "output_stride": self.config.output_stride,  # every s-th position has a descriptor
            "relative": self.config.relative,  # whether evidence is `relative`
        }

    @property
    def _patch_sizes(self) -> list[int]:
        return [scale.patch_size for scale in self.scales]

    def evidence(self, frames: NDArray[np.uint8]) -> Tensor:
        """See `TrainedRun`."""
        pixels = self.pixels_of(frames, self.device)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        return torch.stack([term for scale in self.scales for term in self._terms(scale, pixels)], dim=1)

    @property
    def pooled(self) -> str | None:
        """See `TrainedRun`."""
        if not self.config.image_evidence:
            return None
        return f"descriptors of {', '.join(f'p = {size}' for size in self._patch_sizes)}"

    def pooled_features(self, frames: NDArray[np.uint8]) -> Tensor:
        """See `TrainedRun`."""
        pixels = self.pixels_of(frames, self.device)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        pooling, stride = self.pooling.to(self.device), self.config.output_stride
        found: Tensor = pooling(scale.target(pixels, stride) for scale in self.scales)
        return found

    @property
    def pooling(self) -> Pooling:
        """How the descriptors of all scales are pooled."""
        return Pooling.of(self.scoring, self.size_hw, [self.config.output_stride] * len(self.scales))

    def _terms(self, scale: Scale, pixels: Tensor) -> list[Tensor]:
        teacher, students = scale.descriptors(pixels, self.config.output_stride)
        found = [regression_error(students, teacher)]
        if len(students) > 1:
            found.append(predictive_variance(students))
        return [relative(term, teacher) for term in found] if self.config.relative else found


def regression_error(students: Tensor, teacher: Tensor) -> Tensor:
    """Equations 8 and 9: ‖mean_i S_i − T‖², [N, h, w].

    Of students [M, N, 128, h, w] and the standardized teacher [N, 128, h, w].
    """
    return (students.mean(dim=0) - teacher).square().sum(dim=1)


def predictive_variance(students: Tensor) -> Tensor:
    """Equation 10: 1/M Σ_i ‖S_i − mean‖², [N, h, w], of students [M, N, 128, h, w].

    In two passes, which equals the paper's mean of squares minus square of the mean and loses nothing in cancellation.
    """
    return (students - students.mean(dim=0)).square().sum(dim=2).mean(dim=0)


def relative(term: Tensor, teacher: Tensor) -> Tensor:
    """A term [N, h, w] in relation to how far the standardized teacher [N, 128, h, w] lies from its mean.

    Divided by 1 + ‖T‖² / 128, where ‖T‖² is 128 on average over the training images. Ours: descriptors grow with the
    contrast of an image, and errors with them, so that a good part of high contrast outshines a defect of low contrast.
    """
    return term / (1 + teacher.square().mean(dim=1))


def open_run(folder: RunFolder, device: str | None = None) -> StudentsRun:
    """See `calibration.methods.open_run`."""
    config = folder.config(StudentsConfig)
    split = Split.load(folder.split_path)
    place = device_of_run(folder.path, config.device, device)
    scales = load_scales(folder.path, len(config.teachers), config.students)
    return StudentsRun(
        folder, config, split, tuple(scale.to(place) for scale in scales), place, alignment_of_run(folder, config)
    )

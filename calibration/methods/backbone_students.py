"""Students of a backbone (`train.backbone_students`): equations 8 to 10, of whitened descriptors, written plainly."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibration.methods.options import OfOptions
from calibration.methods.students import predictive_variance, regression_error
from runtime.alignment import Alignment
from train.alignment import alignment_of_run
from train.backbone_ensemble import Trained, load_trained
from train.backbones.features import Features
from train.data import Split
from train.device import device_of_run
from train.method import Kind
from train.options import BackboneStudentsConfig
from train.run_folder import RunFolder
from train.whitening import mapped

MEANS_LOSS = 1.0  # of students that predict the mean, where they learn from all numbers alike
CLOSE_TO_MEAN = 0.95


@dataclass(frozen=True)
class BackboneStudentsRun(OfOptions):
    """A finished run of ``python -m train --method backbone-students``; see `train.method.TrainedRun`."""

    folder: RunFolder
    config: BackboneStudentsConfig
    split: Split
    features: Features
    trained: Trained
    device: torch.device
    alignment: Alignment | None = None

    method = BackboneStudentsConfig.METHOD
    leaves_out = False  # each image has a part in all weights

    def without(self, image: Path) -> "BackboneStudentsRun":
        """See `TrainedRun`."""
        return self

    def on(self, device: str) -> "BackboneStudentsRun":
        """See `TrainedRun`."""
        place, trained = torch.device(device), self.trained
        moved = replace(
            trained,
            standard=trained.standard.to(place),
            students=tuple(student.to(place) for student in trained.students),
            whitening=trained.whitening.to(place),
        )
        return replace(self, features=self.features.to(place), trained=moved, device=place)

    @property
    def stride(self) -> int:
        """See `TrainedRun`."""
        return self.features.stride

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """See `TrainedRun`. The error before the variance."""
        names = ("regression error", "predictive variance")[: min(self.config.students, 2)]
        return tuple(Kind(name, 1.0) for name in names)

    @property
    def concerns(self) -> tuple[str, ...]:
        """See `TrainedRun`. Students that predict little better than the mean have learnt nothing to contradict."""
        loss = self.trained.loss
        if loss is None or self.config.hardest < 1 or loss < CLOSE_TO_MEAN * MEANS_LOSS:
            return ()
        return (
            f"the students predict hardly better than the mean (loss {loss:.3g}, the mean's is {MEANS_LOSS:g}): a "
            "defect can hardly surprise them; give them more --steps",
        )

    @property
    def looks_at(self) -> str:
        """See `TrainedRun`."""
        of = f"{self.config.students} small networks" if self.config.students > 1 else "a small network"
        return (
            f"features of a pretrained network ({self.features.name}), every {self.stride} pixels, beside those that "
            f"{of} would expect, having seen good parts alone"
        )

    @property
    def settings(self) -> dict[str, object]:
        """See `TrainedRun`."""
        return {
            "backbone": self.features.name,  # its architecture
            "backbone_sha256": self.features.sha256,  # of the file whose network is the teacher
            "stages": [stage.name for stage in self.features.compared],  # whose maps are imitated
            "student": self.config.student,  # what a student reads
            "students": self.config.students,  # M
            "whitened": self.config.whitened,  # whether errors are in deviations of good images' errors
            "output_stride": self.stride,  # every s-th position has a descriptor
        }

    @property
    def pooled(self) -> str | None:
        """See `TrainedRun`."""
        stages = ", ".join(stage.name for stage in self.features.pooled)
        return f"{self.features.name} ({stages})" if stages else None

    @torch.no_grad()
    def evidence(self, frames: NDArray[np.uint8]) -> Tensor:
        """See `TrainedRun`."""
        pixels, whitening = self.pixels_of(frames, self.device), self.trained.whitening
        target = self.trained.standard(self.features(pixels)[0])
        normal = self.features.normalized(pixels)
        found = [student(normal if student.reads_pixels else target) for student in self.trained.students]
        teacher, students = mapped(target, whitening), torch.stack([mapped(each, whitening) for each in found])
        terms = [regression_error(students, teacher)]
        if len(students) > 1:
            terms.append(predictive_variance(students))
        return torch.stack(terms, dim=1)

    def pooled_features(self, frames: NDArray[np.uint8]) -> Tensor:
        """See `TrainedRun`."""
        found: Tensor = self.features(self.pixels_of(frames, self.device))[1]
        return found


def open_run(folder: RunFolder, device: str | None = None) -> BackboneStudentsRun:
    """See `calibration.methods.open_run`."""
    config = folder.config(BackboneStudentsConfig)
    split = Split.load(folder.split_path)
    place = device_of_run(folder.path, config.device, device)
    run = BackboneStudentsRun(
        folder, config, split, *load_trained(folder.path, config), place, alignment_of_run(folder, config)
    )
    return run.on(str(place))

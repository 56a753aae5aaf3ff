"""A memory bank (`train.memory_bank`): the distance to the nearest good descriptor, written plainly."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibration.methods.options import OfOptions
from runtime.alignment import Alignment
from train.alignment import alignment_of_run
from train.backbones.features import Features
from train.data import Split
from train.device import device_of_run
from train.memory_bank import MemoryBank, load_memory_bank
from train.method import Kind
from train.neighbours import nearest
from train.options import MemoryBankConfig
from train.run_folder import RunFolder


@dataclass(frozen=True)
class MemoryBankRun(OfOptions):
    """A finished run of ``python -m train --method memory-bank``; see `train.method.TrainedRun`."""

    folder: RunFolder
    config: MemoryBankConfig
    split: Split
    features: Features
    memory: MemoryBank
    device: torch.device
    alignment: Alignment | None = None

    method = MemoryBankConfig.METHOD
    leaves_out = True  # the nearest of fewer descriptors is no nearer
    concerns = ()  # nothing was learned that could have failed
    kinds = (Kind("distance to the nearest good descriptor", 1.0),)

    def without(self, image: Path) -> "MemoryBankRun":
        """See `TrainedRun`."""
        return replace(self, memory=self.memory.without(self.split.picture(image)))

    def on(self, device: str) -> "MemoryBankRun":
        """See `TrainedRun`."""
        memory = replace(self.memory, bank=self.memory.bank.to(device), owners=self.memory.owners.to(device))
        return replace(self, features=self.features.to(device), memory=memory, device=torch.device(device))

    @property
    def stride(self) -> int:
        """See `TrainedRun`."""
        return self.features.stride

    @property
    def looks_at(self) -> str:
        """See `TrainedRun`."""
        return (
            f"features of a pretrained network ({self.features.name}), every {self.stride} pixels, beside a memory of "
            f"{len(self.memory.bank):,} good ones"
        )

    @property
    def settings(self) -> dict[str, object]:
        """See `TrainedRun`."""
        return {
            "backbone": self.features.name,  # its architecture
            "backbone_sha256": self.features.sha256,  # of the file whose network describes
            "stages": [stage.name for stage in self.features.compared],  # whose maps are compared
            "bank": len(self.memory.bank),  # descriptors
            "output_stride": self.stride,  # every s-th position has a descriptor
        }

    @property
    def pooled(self) -> str | None:
        """See `TrainedRun`."""
        stages = ", ".join(stage.name for stage in self.features.pooled)
        return f"{self.features.name} ({stages})" if stages else None

    def evidence(self, frames: NDArray[np.uint8]) -> Tensor:
        """See `TrainedRun`."""
        descriptors = self._features(frames)[0]
        count, _, height, width = descriptors.shape
        vectors = descriptors.permute(0, 2, 3, 1).flatten(0, 2)
        return nearest(vectors, self.memory.bank, 1)[0].view(count, 1, height, width)

    def pooled_features(self, frames: NDArray[np.uint8]) -> Tensor:
        """See `TrainedRun`."""
        return self._features(frames)[1]

    def _features(self, frames: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        found: tuple[Tensor, Tensor] = self.features(self.pixels_of(frames, self.device))
        return found


def open_run(folder: RunFolder, device: str | None = None) -> MemoryBankRun:
    """See `calibration.methods.open_run`."""
    config = folder.config(MemoryBankConfig)
    split = Split.load(folder.split_path)
    place = device_of_run(folder.path, config.device, device)
    run = MemoryBankRun(
        folder, config, split, *load_memory_bank(folder.path, config), place, alignment_of_run(folder, config)
    )
    return run.on(str(place))

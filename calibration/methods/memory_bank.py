"""A memory bank (`train.memory_bank`): the distance to the nearest good descriptor, written plainly."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibration.methods.options import OfOptions
from train.data import Split
from train.device import device_of_run
from train.ensemble import pixels_from_frames
from train.memory_bank import MemoryBank, MemoryBankConfig, describe, load_memory_bank
from train.method import Kind
from train.neighbours import nearest
from train.run_folder import RunFolder


@dataclass(frozen=True)
class MemoryBankRun(OfOptions):
    """A finished run of ``python -m train --method memory-bank``; see `train.method.TrainedRun`."""

    folder: RunFolder
    config: MemoryBankConfig
    split: Split
    memory: MemoryBank
    device: torch.device

    method = MemoryBankConfig.METHOD
    knows_training_images = True  # their descriptors are in the bank, at a distance of zero
    concerns = ()  # nothing was learned that could have failed
    kinds = (Kind("distance to the nearest good descriptor", 1.0),)

    def on(self, device: str) -> "MemoryBankRun":
        """See `TrainedRun`."""
        network, bank = self.memory.network.to(device), self.memory.bank.to(device)
        return replace(self, memory=replace(self.memory, network=network, bank=bank), device=torch.device(device))

    @property
    def looks_at(self) -> str:
        """See `TrainedRun`."""
        size = self.memory.network.patch_size
        spacing = "every pixel" if self.stride == 1 else f"every {self.stride} pixels"
        return f"patches of {size}×{size} pixels, one {spacing}, beside a memory of {len(self.memory.bank):,} good ones"

    @property
    def settings(self) -> dict[str, object]:
        """See `TrainedRun`."""
        return {
            "patch_size": self.memory.network.patch_size,  # p, pixels of the prepared frame
            "teacher_sha256": self.memory.teacher_sha256,  # of the file whose network describes
            "bank": len(self.memory.bank),  # descriptors
            "output_stride": self.stride,  # every s-th position has a descriptor
        }

    @torch.no_grad()
    def evidence(self, frames: NDArray[np.uint8]) -> Tensor:
        """See `TrainedRun`."""
        pixels = pixels_from_frames(torch.from_numpy(frames).to(self.device))
        descriptors = describe(self.memory.network, pixels, self.stride)
        count, _, height, width = descriptors.shape
        vectors = descriptors.permute(0, 2, 3, 1).flatten(0, 2)
        return nearest(vectors, self.memory.bank, 1)[0].view(count, 1, height, width)


def open_run(folder: RunFolder, device: str | None = None) -> MemoryBankRun:
    """See `calibration.methods.open_run`."""
    config = folder.config(MemoryBankConfig)
    split = Split.load(folder.split_path)
    place = device_of_run(folder.path, config.device, device)
    run = MemoryBankRun(folder, config, split, load_memory_bank(folder.path), place)
    return run.on(str(place))

"""What a finished run says of itself by its options, whichever method it is of."""

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from runtime.interest import blinded
from runtime.scoring import Scoring
from train.ensemble import pixels_from_frames


class Options(Protocol):
    """What the options of every method have."""

    @property
    def frame_hw(self) -> tuple[int, int]:
        """The prepared frame, pixels."""

    @property
    def scoring(self) -> Scoring:
        """How the map becomes a score."""

    @property
    def shaped_by_statistics(self) -> bool:
        """Whether images of the statistics have a part in the evidence itself."""


class OfOptions:
    """The part of `train.method.TrainedRun` that stands in a run's `config`."""

    config: Options

    @property
    def size_hw(self) -> tuple[int, int]:
        """See `TrainedRun`."""
        return self.config.frame_hw

    @property
    def scoring(self) -> Scoring:
        """See `TrainedRun`."""
        return self.config.scoring

    @property
    def shaped_by_statistics(self) -> bool:
        """See `TrainedRun`."""
        return self.config.shaped_by_statistics

    def pixels_of(self, frames: NDArray[np.uint8], device: torch.device) -> Tensor:
        """Prepared frames [N, H, W, 3] as networks see them: float32 [N, 3, H, W], RGB in [0, 1]; see `blinded`."""
        seen = blinded(frames, self.scoring.in_regions(self.size_hw))
        return pixels_from_frames(torch.from_numpy(seen).to(device))

"""What a finished run says of itself by its options, whichever method it is of."""

from typing import Protocol

from runtime.scoring import Scoring


class Options(Protocol):
    """What the options of every method have."""

    @property
    def frame_hw(self) -> tuple[int, int]:
        """The prepared frame, pixels."""

    @property
    def scoring(self) -> Scoring:
        """How the map becomes a score."""


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

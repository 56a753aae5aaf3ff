"""The engine interface. It is asynchronous, so that the next frame's upload can overlap the work on this one."""

import itertools
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from runtime.errors import EngineError

TICKETS = itertools.count()  # no two alike in a process: one of another engine's is never taken for one's own


@dataclass(frozen=True)
class Output:
    """What an engine computes of a batch. The arrays belong to the caller."""

    anomaly_map: NDArray[np.float32]  # [n, H, W], equation 12
    anomaly_score: NDArray[np.float32]  # [n]
    deviation_map: NDArray[np.float32] | None = None  # [n, H, W], where the score is `by_position`
    # [n, 1 + J], of the map and of each image evidence, where there is any; the highest of a row is the score
    evidence_scores: NDArray[np.float32] | None = None
    evidence: NDArray[np.float32] | None = None  # [n, K, H, W], raw, of each kind, where the file explains itself
    regression_error: NDArray[np.float32] | None = None  # [n, L, H, W], normalized, in a file of schema 1
    predictive_variance: NDArray[np.float32] | None = None  # the same
    recipe_sha256: NDArray[np.float32] | None = None  # [n, 32], of a served graph alone: see `runtime.served`

    @property
    def scored_map(self) -> NDArray[np.float32]:
        """The map that score, threshold and regions are of, [n, H, W]."""
        return self.anomaly_map if self.deviation_map is None else self.deviation_map


class Engine(Protocol):
    """One detector's graph on one device. For one thread at a time.

    `slots` batches may be under way at once; results may be taken in any order, each once.
    """

    @property
    def max_batch(self) -> int:
        """Most frames in a batch."""

    @property
    def slots(self) -> int:
        """Most batches under way."""

    @property
    def description(self) -> str:
        """Library, device and threads, in words."""

    def submit(self, frames: NDArray[np.uint8]) -> int:
        """Start on a batch, uint8 [n, H, W, 3], BGR, and return its ticket.

        The frames are copied before this returns. Raises `EngineError` for a wrong shape or type, or when all slots
        are under way.
        """

    def result(self, ticket: int, timeout_s: float = 30.0) -> Output:
        """Wait for a batch. Raises `ResultTimeout` when it takes longer (the ticket stays valid), `EngineError` when
        the batch failed or the ticket is unknown."""

    def close(self) -> None:
        """Wait for what is under way and free the engine. Closing twice is allowed. `ThreadedEngine` gives up a call
        that hangs."""


def check_frames(frames: NDArray[np.uint8], size_hw: tuple[int, int], max_batch: int) -> None:
    """Raise `EngineError` unless `frames` are uint8 [n, H, W, 3] of `size_hw`, with n from 1 to `max_batch`."""
    height, width = size_hw
    if frames.dtype != np.uint8 or frames.shape[1:] != (height, width, 3) or not 1 <= len(frames) <= max_batch:
        raise EngineError(
            f"got frames {list(frames.shape)} of {frames.dtype}; "
            f"expected uint8 [n, {height}, {width}, 3] with n from 1 to {max_batch}"
        )

"""A run with its statistics: from prepared frames to maps and scores by the plain formulas, whatever the method."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from calibration.maps import Moments, Positions, anomaly_map, anomaly_score, by_position, normalized, upsampled
from calibration.positions import load_positions, save_positions
from runtime.atomic import write_atomically
from runtime.errors import InputError
from runtime.recipe import HealthLimits
from runtime.typed import build
from train.method import TrainedRun

STATISTICS, POSITIONS = "statistics.json", "positions.safetensors"


@dataclass(frozen=True)
class CalibratedRun:
    """Everything that turns frames into scores, and what the threshold is to keep. Opened once, and handed on."""

    trained: TrainedRun
    moments: tuple[Moments, ...]  # of each kind of evidence, in the order of `trained.kinds`
    positions: Positions | None  # where scores are by position
    health: HealthLimits
    budget: float  # share of good parts that may be rejected
    confidence: float  # of the budget's bound

    @property
    def threshold_images(self) -> tuple[Path, ...]:
        """Those whose scores the threshold is fitted to; see `Split.threshold_images`."""
        return threshold_images(self.trained)

    def maps(self, frames: NDArray[np.uint8]) -> Tensor:
        """Anomaly maps [N, H, W] of prepared frames [N, H, W, 3] (equation 12, smoothed)."""
        return maps(self.trained, self.moments, frames)

    def scored(self, maps: Tensor) -> Tensor:
        """The maps [N, H, W] that scores and regions are of, from anomaly maps."""
        return maps if self.positions is None else by_position(maps, self.positions)

    def maps_and_scores(self, frames: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        """Anomaly maps [N, H, W] and scores [N] of prepared frames [N, H, W, 3]."""
        found = self.maps(frames)
        return found, anomaly_score(self.scored(found), self.trained.scoring)

    def save(self) -> None:
        """Write ``statistics.json`` into the run folder, positions beside it with their hash in the JSON."""
        path = self.trained.folder.path
        kept = save_positions(path / POSITIONS, self.positions) if self.positions is not None else None
        kinds = {kind.name: moments for kind, moments in zip(self.trained.kinds, self.moments, strict=True)}
        document = _Document(tuple(kinds), self.moments, self.health, self.budget, self.confidence, kept)
        write_atomically(path / STATISTICS, json.dumps(asdict(document), indent=1).encode())


def pixel_evidence(trained: TrainedRun, frames: NDArray[np.uint8]) -> Tensor:
    """Raw evidence of each pixel, [N, K, H, W], of prepared frames [N, H, W, 3]."""
    return upsampled(trained.evidence(frames), trained.size_hw, trained.stride)


def maps(trained: TrainedRun, moments: Sequence[Moments], frames: NDArray[np.uint8]) -> Tensor:
    """Anomaly maps [N, H, W] of prepared frames [N, H, W, 3]."""
    weights = [kind.weight for kind in trained.kinds]
    return anomaly_map(normalized(pixel_evidence(trained, frames), moments), weights, trained.scoring)


def threshold_images(trained: TrainedRun) -> tuple[Path, ...]:
    """The images of a run whose scores its threshold is fitted to; see `Split.threshold_images`."""
    return trained.split.threshold_images(len(trained.kinds), trained.scoring.by_position)


@dataclass(frozen=True)
class _Document:
    """``statistics.json``."""

    kinds: tuple[str, ...]
    moments: tuple[Moments, ...]
    health: HealthLimits
    budget: float
    confidence: float
    positions_sha256: str | None = None

    def check(self, trained: TrainedRun) -> None:
        """Raise `InputError` unless these are statistics of this run."""
        names = tuple(kind.name for kind in trained.kinds)
        if self.kinds != names or len(self.moments) != len(names):
            raise InputError(f"it has {len(self.moments)} moments of {', '.join(self.kinds)}")
        if (self.positions_sha256 is not None) != trained.scoring.by_position:
            raise InputError("the run's option by_position was changed since")


def with_statistics(trained: TrainedRun) -> CalibratedRun:
    """An open run with the statistics in its folder. Raises `InputError` when there are none or they are damaged."""
    path = trained.folder.path / STATISTICS
    again = f"run python -m calibration.fit {path.parent}"
    try:
        kept = build(_Document, json.loads(path.read_text()))
        kept.check(trained)
        positions = load_positions(path.with_name(POSITIONS), kept.positions_sha256) if kept.positions_sha256 else None
    except FileNotFoundError as error:
        raise InputError(f"{path.parent} is not calibrated; {again}") from error
    except (OSError, ValueError, RecursionError, InputError) as error:
        raise InputError(f"{path} is damaged, or of an earlier version ({error}); {again}") from error
    return CalibratedRun(trained, kept.moments, positions, kept.health, kept.budget, kept.confidence)

"""A run with its statistics: from prepared frames to maps and scores by the plain formulas, whatever the method."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibration.image_evidence import ImageEvidence, image_evidence_from
from calibration.maps import Positions, anomaly_map, anomaly_score, by_position, normalized, upsampled
from calibration.statistics import Moments
from calibration.tensors import load_tensors, save_tensors
from runtime.atomic import write_atomically
from runtime.errors import InputError
from runtime.recipe import HealthLimits
from runtime.typed import build
from train.method import TrainedRun

STATISTICS, POSITIONS, IMAGE_EVIDENCE = "statistics.json", "positions.safetensors", "image-evidence.safetensors"


@dataclass(frozen=True)
class CalibratedRun:
    """Everything that turns frames into scores, and what the threshold is to keep. Opened once, and handed on."""

    trained: TrainedRun
    moments: tuple[Moments, ...]  # of each kind of evidence, in the order of `trained.kinds`
    positions: Positions | None  # where scores are by position
    image: ImageEvidence | None  # where a frame is judged as a whole, too
    health: HealthLimits
    budget: float  # share of good parts that may be rejected
    confidence: float  # of the budget's bound

    @property
    def threshold_images(self) -> tuple[Path, ...]:
        """Those whose scores the threshold is fitted to; see `Split.threshold_images`."""
        return threshold_images(self.trained)

    def maps(self, frames: NDArray[np.uint8]) -> Tensor:
        """Anomaly maps [N, H, W] of prepared frames [N, H, W, 3] (equation 12, smoothed)."""
        return self.maps_of(self.trained.evidence(frames))

    def maps_of(self, evidence: Tensor) -> Tensor:
        """Anomaly maps [N, H, W] of raw evidence [N, K, h, w]."""
        weights = [kind.weight for kind in self.trained.kinds]
        normal = normalized(of_pixels(self.trained, evidence), self.moments)
        return anomaly_map(normal, weights, self.trained.scoring)

    def scored(self, maps: Tensor) -> Tensor:
        """The maps [N, H, W] that scores and regions are of, from anomaly maps."""
        return maps if self.positions is None else by_position(maps, self.positions)

    def score_of_map(self, scored: Tensor) -> Tensor:
        """The score [N] of the maps that scores are of, [N, H, W]."""
        return anomaly_score(scored, self.trained.scoring)

    def maps_and_scores(self, frames: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        """Anomaly maps [N, H, W], and the scores by evidence [N, 1 + J] of prepared frames [N, H, W, 3].

        The first score is the map's, the others are of the whole frame; the highest is the frame's score.
        """
        found = self.maps(frames)
        scores = [self.score_of_map(self.scored(found))]
        if self.image is not None:
            scores.append(self.image.score(self.trained.pooled_features(frames).cpu()).to(found))
        return found, torch.stack(scores, dim=1)

    def save(self) -> None:
        """Write ``statistics.json`` into the run folder, positions beside it with their hash in the JSON."""
        path = self.trained.folder.path
        kept = {
            file: save_tensors(path / file, as_tensors(values))
            for file, values in ((POSITIONS, self.positions), (IMAGE_EVIDENCE, self.image))
            if values is not None
        }
        kinds = tuple(kind.name for kind in self.trained.kinds)
        hashes = kept.get(POSITIONS), kept.get(IMAGE_EVIDENCE)
        document = _Document(kinds, self.moments, self.health, self.budget, self.confidence, *hashes)
        write_atomically(path / STATISTICS, json.dumps(asdict(document), indent=1).encode())


def of_pixels(trained: TrainedRun, evidence: Tensor) -> Tensor:
    """Raw evidence [N, K, h, w] of each pixel, [N, K, H, W]."""
    return upsampled(evidence, trained.size_hw, trained.stride)


def as_tensors(values: Positions | ImageEvidence) -> dict[str, Tensor]:
    """Statistics by name, each as a tensor; plain numbers in float64, so that they come back as they were."""
    return {
        name: value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
        for name, value in vars(values).items()
    }


def threshold_images(trained: TrainedRun) -> tuple[Path, ...]:
    """The images of a run whose scores its threshold is fitted to; see `Split.threshold_images`."""
    return trained.split.threshold_images(len(trained.kinds), trained.scoring.by_position, trained.shaped_by_statistics)


@dataclass(frozen=True)
class _Document:
    """``statistics.json``."""

    kinds: tuple[str, ...]
    moments: tuple[Moments, ...]
    health: HealthLimits
    budget: float
    confidence: float
    positions_sha256: str | None = None
    image_sha256: str | None = None

    def check(self, trained: TrainedRun) -> None:
        """Raise `InputError` unless these are statistics of this run."""
        names = tuple(kind.name for kind in trained.kinds)
        if self.kinds != names or len(self.moments) != len(names):
            raise InputError(f"it has {len(self.moments)} moments of {', '.join(self.kinds)}")
        if (self.positions_sha256 is not None) != trained.scoring.by_position:
            raise InputError("the run's option by_position was changed since")
        if (self.image_sha256 is not None) != (trained.pooled is not None):
            raise InputError("the run's option image_evidence was changed since")


def with_statistics(trained: TrainedRun) -> CalibratedRun:
    """An open run with the statistics in its folder. Raises `InputError` when there are none or they are damaged."""
    path = trained.folder.path / STATISTICS
    again = f"run python -m calibration.fit {path.parent}"
    try:
        kept = build(_Document, json.loads(path.read_text()))
        kept.check(trained)
        positions, image = None, None
        if kept.positions_sha256:
            positions = Positions(**load_tensors(path.with_name(POSITIONS), kept.positions_sha256))
        if kept.image_sha256:
            image = image_evidence_from(load_tensors(path.with_name(IMAGE_EVIDENCE), kept.image_sha256))
    except FileNotFoundError as error:
        raise InputError(f"{path.parent} is not calibrated; {again}") from error
    except (OSError, ValueError, TypeError, RecursionError, InputError) as error:
        raise InputError(f"{path} is damaged, or of an earlier version ({error}); {again}") from error
    return CalibratedRun(trained, kept.moments, positions, image, kept.health, kept.budget, kept.confidence)

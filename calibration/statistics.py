"""What calibration finds, as ``statistics.json`` of a run folder keeps it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from calibration.positions import load_positions, save_positions
from calibration.scoring import Moments, Positions
from runtime.atomic import write_atomically
from runtime.errors import InputError
from runtime.recipe import HealthLimits, Threshold
from runtime.typed import build

POSITIONS = "positions.safetensors"


@dataclass(frozen=True)
class _Document:
    """``statistics.json``."""

    moments: tuple[Moments, ...]
    patch_sizes: tuple[int, ...]
    threshold: Threshold
    score_quantiles: dict[str, float]
    health: HealthLimits
    positions_sha256: str | None = None
    concerns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Statistics:
    """Everything that turns descriptors into decisions."""

    moments: tuple[Moments, ...]  # of each scale, in the order of the run's teachers
    patch_sizes: tuple[int, ...]
    threshold: Threshold
    score_quantiles: dict[str, float]
    health: HealthLimits
    positions: Positions | None = None  # where scores are by position
    concerns: tuple[str, ...] = ()  # see `calibration.concerns`; none in runs from before it

    def save(self, path: Path) -> None:
        """Write as JSON, `positions` as ``positions.safetensors`` beside it with its hash in the JSON."""
        kept = save_positions(path.with_name(POSITIONS), self.positions) if self.positions is not None else None
        found = self.moments, self.patch_sizes, self.threshold, self.score_quantiles, self.health
        document = _Document(*found, kept, self.concerns)
        write_atomically(path, json.dumps(asdict(document), indent=1).encode())

    @classmethod
    def load(cls, path: Path) -> "Statistics":
        """Read from JSON. Raises `InputError` when there is none or it is damaged."""
        try:
            kept = build(_Document, json.loads(path.read_text()))
            positions = None
            if kept.positions_sha256 is not None:
                positions = load_positions(path.with_name(POSITIONS), kept.positions_sha256)
            found = kept.moments, kept.patch_sizes, kept.threshold, kept.score_quantiles, kept.health
            return cls(*found, positions, kept.concerns)
        except FileNotFoundError as error:
            raise InputError(f"{path.parent} is not calibrated; run python -m calibration.fit {path.parent}") from error
        except (OSError, ValueError, RecursionError, InputError) as error:
            raise InputError(f"{path} is damaged ({error}); run python -m calibration.fit {path.parent}") from error

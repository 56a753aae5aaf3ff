"""What calibration finds, as ``statistics.json`` of a run folder keeps it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from calibration.scoring import Moments
from runtime.atomic import write_atomically
from runtime.errors import InputError
from runtime.recipe import HealthLimits, Threshold
from runtime.typed import build


@dataclass(frozen=True)
class Statistics:
    """Everything that turns descriptors into decisions."""

    moments: tuple[Moments, ...]  # of each scale, in the order of the run's teachers
    patch_sizes: tuple[int, ...]
    threshold: Threshold
    score_quantiles: dict[str, float]
    health: HealthLimits

    def save(self, path: Path) -> None:
        """Write as JSON."""
        write_atomically(path, json.dumps(asdict(self), indent=1).encode())

    @classmethod
    def load(cls, path: Path) -> "Statistics":
        """Read from JSON. Raises `InputError` when there is none or it is damaged."""
        try:
            return build(cls, json.loads(path.read_text()))
        except FileNotFoundError as error:
            raise InputError(f"{path.parent} is not calibrated; run python -m calibration.fit {path.parent}") from error
        except (OSError, ValueError, InputError) as error:
            raise InputError(f"{path} is damaged ({error}); run python -m calibration.fit {path.parent}") from error

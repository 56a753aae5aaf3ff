"""The answer to one frame: OK, NG or NO_DECISION, with its reason."""

import json
from dataclasses import asdict, dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from runtime.recipe import MAP


class Decision(str, Enum):
    """An output stage treats NO_DECISION as it treats NG: the part is rejected."""

    OK = "OK"
    NG = "NG"
    NO_DECISION = "NO_DECISION"


@dataclass(frozen=True)
class Region:
    """A connected part of the anomaly map above the threshold, in pixels of the original frame."""

    area: float  # pixels
    center_xy: tuple[float, float]
    box_xywh: tuple[int, int, int, int]
    peak_xy: tuple[float, float]
    peak_score: float
    area_mm2: float | None = None  # where the recipe has the scale, `mm_per_pixel`


@dataclass(frozen=True)
class Verdict:
    """What a detector says of one frame, and all that is needed to trace it."""

    decision: Decision
    reason: str
    frame_id: int
    part_id: str | None
    captured_s: float  # monotonic clock
    decided_s: float  # monotonic clock
    captured_at: float  # wall clock, seconds since 1970 UTC
    decided_at: float  # wall clock
    score: float | None  # none where nothing was scored
    threshold: float
    regions: tuple[Region, ...]  # those that count
    recipe_sha256: str
    name: str | None = None
    # by kind of evidence, the map's first, where a frame is judged as a whole, too; the highest is the score
    evidence_scores: dict[str, float] = field(default_factory=dict)
    rejected_by: tuple[str, ...] = ()  # the names among these that reject the part
    # float32 [H, W] at the size of the prepared frame; owned by the caller
    anomaly_map: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    deviation_map: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)  # where scores are of it
    # bool [H, W]: where regions above the threshold lie that are too small to count; none where there are none
    ignored: NDArray[np.bool_] | None = field(default=None, repr=False, compare=False)

    @property
    def scored_map(self) -> NDArray[np.float32] | None:
        """The map that score, threshold and regions are of."""
        return self.anomaly_map if self.deviation_map is None else self.deviation_map

    @property
    def rejected_by_frame(self) -> bool:
        """Whether evidence of the whole frame rejects the part, which no place on the map shows."""
        return any(name != MAP for name in self.rejected_by)

    @property
    def passed_as_small(self) -> bool:
        """Whether the score is above the threshold, and the part is OK since no region is large enough to count."""
        return self.decision is Decision.OK and self.score is not None and self.score > self.threshold

    @property
    def latency_ms(self) -> float:
        """From capture to decision."""
        return (self.decided_s - self.captured_s) * 1e3

    def to_json(self) -> str:
        """One line, without the maps."""
        apart = ("anomaly_map", "deviation_map", "ignored", "regions")
        document = {name: value for name, value in vars(self).items() if name not in apart}
        if not self.evidence_scores:
            del document["evidence_scores"], document["rejected_by"]
        document |= {"decision": self.decision.value, "regions": [asdict(region) for region in self.regions]}
        document["latency_ms"] = round(self.latency_ms, 3)
        return json.dumps(document)

"""The answer to one frame: OK, NG or NO_DECISION, with its reason."""

import json
from dataclasses import asdict, dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from runtime.explain import Explanation
from runtime.health import Measured
from runtime.interest import Inspected
from runtime.placement import Placement
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
    within: tuple[str, ...] = ()  # the named regions of interest that it lies in, where there are any, the peak's first

    @property
    def document(self) -> dict[str, object]:
        """What a line of JSON holds."""
        document = asdict(self)
        return document if self.within else {name: value for name, value in document.items() if name != "within"}


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
    camera: str | None = None  # which one, on a line of several
    counter: int | None = None  # the camera's own number of the frame, where it has one
    camera_ns: int | None = None  # the camera's own time stamp, nanoseconds on its clock
    triggered_s: float | None = None  # monotonic clock; None in free run
    output_s: float | None = None  # when a triggered frame's verdict was handed to the sinks, monotonic clock
    # by kind of evidence, the map's first, where a frame is judged as a whole, too; the highest is the score
    evidence_scores: dict[str, float] = field(default_factory=dict)
    rejected_by: tuple[str, ...] = ()  # the names among these that reject the part
    # the named regions of interest in which the map rejects the part, the highest peak's first; none without names
    rejected_in: tuple[str, ...] = ()
    # float32 [H, W] over the picture as it came, at the size of the prepared frame; owned by the caller. Where frames
    # are aligned it is turned back, for showing: score and regions are of the values before that
    anomaly_map: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    deviation_map: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)  # where scores are of it
    # bool [H, W]: where regions above the threshold lie that are too small to count; none where there are none
    ignored: NDArray[np.bool_] | None = field(default=None, repr=False, compare=False)
    # of the prepared frame, what is inspected; none for all of it. Where frames are `aligned` it is of the aligned one,
    # which lies in the picture as `placed` says; a part that was not found is not placed
    inspected: Inspected | None = field(default=None, repr=False, compare=False)
    aligned: bool = field(default=False, repr=False, compare=False)
    placed: Placement | None = field(default=None, repr=False, compare=False)
    # what each kind of evidence has to do with it; none where the file does not explain itself
    explanation: Explanation | None = field(default=None, repr=False, compare=False)
    # brightness and sharpness of the frame, for the drift watch; none where nothing was scored
    measured: Measured | None = field(default=None, repr=False, compare=False)
    # whether the engine said nothing of the frame: it failed, hangs or cannot be reached. What it says of the next one
    # may be right; where it said what cannot be, such as NaN, this is False
    unanswered: bool = field(default=False, repr=False, compare=False)

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
        """Whether the score is above the threshold, and the part is OK since no region counts: none is
        large enough, or they lie where an aligned frame reaches beyond the picture."""
        return self.decision is Decision.OK and self.score is not None and self.score > self.threshold

    @property
    def latency_ms(self) -> float:
        """From capture to decision."""
        return (self.decided_s - self.captured_s) * 1e3

    def to_json(self) -> str:
        """One line, without the maps."""
        apart = (
            "anomaly_map", "deviation_map", "ignored", "inspected", "aligned", "placed", "measured", "regions",
            "unanswered", "explanation",
        )  # fmt: skip
        document = {name: value for name, value in vars(self).items() if name not in apart}
        if self.camera is None:
            del document["camera"]
        for name in ("counter", "camera_ns", "triggered_s", "output_s"):
            if document[name] is None:
                del document[name]
        if not self.evidence_scores:
            del document["evidence_scores"], document["rejected_by"]
        if self.inspected is None or not self.inspected.names:
            del document["rejected_in"]
        document |= {"decision": self.decision.value, "regions": [region.document for region in self.regions]}
        document["latency_ms"] = round(self.latency_ms, 3)
        return json.dumps(document)

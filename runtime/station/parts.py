"""One verdict for a part that several cameras see: the worst of their verdicts, and none that came too late."""

import json
import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from threading import Condition, Thread
from typing import Any

from runtime.outputs import say
from runtime.printable import printable
from runtime.summary import LatencyHistogram
from runtime.verdict import Decision, Verdict

REMEMBERED = 1024  # parts that had their verdict, so that a view that comes later changes nothing
WORST_FIRST = (Decision.NG, Decision.NO_DECISION, Decision.OK)


@dataclass(frozen=True)
class PartVerdict:
    """What all cameras say of one part. An output stage treats NO_DECISION as it treats NG."""

    part_id: str
    decision: Decision  # the worst of the cameras'
    reason: str
    cameras: dict[str, Decision]  # in the order of the line's description; one without a view in time is NO_DECISION
    captured_s: float  # of the first picture, or of the trigger before it; monotonic clock
    decided_s: float  # monotonic clock
    captured_at: float  # of the same, wall clock, seconds since 1970 UTC
    decided_at: float  # wall clock

    @property
    def rejected_by(self) -> tuple[str, ...]:
        """The cameras that reject the part: NG, NO_DECISION or no view in time."""
        return tuple(camera for camera, decision in self.cameras.items() if decision is not Decision.OK)

    @property
    def latency_ms(self) -> float:
        """From the trigger or first picture to the decision."""
        return (self.decided_s - self.captured_s) * 1e3

    def to_json(self) -> str:
        """One line; unlike a frame's verdict it has `cameras`, and no `frame_id`."""
        cameras = {camera: decision.value for camera, decision in self.cameras.items()}
        document = vars(self) | {"decision": self.decision.value, "cameras": cameras, "rejected_by": self.rejected_by}
        return json.dumps(document | {"latency_ms": round(self.latency_ms, 3)})

    def headline(self) -> str:
        """One line for a person, whatever the part is called."""
        return printable(f"{self.decision.value:11} part {self.part_id}: {self.reason}")


@dataclass
class PartsSummary:
    """Adds up verdicts on parts."""

    decisions: Counter[Decision] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)  # parts without a view in time, by camera
    late: Counter[str] = field(default_factory=Counter)  # views of parts that had their verdict already, by camera
    unnamed: Counter[str] = field(default_factory=Counter)  # frames that do not say of which part they are, by camera
    latencies: LatencyHistogram = field(default_factory=LatencyHistogram)

    def as_dict(self) -> dict[str, Any]:
        """Everything, as plain numbers."""
        probabilities = {"p50": 0.5, "p99": 0.99} if self.latencies.count else {}
        latency_ms = {name: round(self.latencies.quantile_ms(each), 3) for name, each in probabilities.items()}
        return {
            "parts": self.decisions.total(),
            **{decision.value: self.decisions[decision] for decision in Decision},
            "missing_views": dict(self.missing),
            "late_views": dict(self.late),
            "frames_without_part": dict(self.unnamed),
            "latency_ms": {**latency_ms, "max": round(self.latencies.largest_ms, 3)} if latency_ms else None,
        }

    def lines(self) -> list[str]:
        """The same in words."""
        total = self.decisions.total()
        counts = ", ".join(f"{self.decisions[decision]} {decision.value}" for decision in Decision)
        lines = [f"{total:,} part{'' if total == 1 else 's'}: {counts}"]
        for found, what in (
            (self.missing, "parts had no view in time"),
            (self.late, "views came after the part's verdict, and changed nothing"),
            (self.unnamed, "frames did not say of which part they are"),
        ):
            if found:
                lines.append(f"{what}: {', '.join(f'{count:,} of {camera}' for camera, count in found.items())}")
        return lines


@dataclass
class _Open:
    """A part that waits for its last view."""

    captured_s: float
    captured_at: float
    views: dict[str, tuple[Decision, str]] = field(default_factory=dict)  # by camera: its decision, and why


class Parts:
    """Gathers the views of parts by their ids and decides on each, once: when its last view is there, or at the
    deadline.

    The deadline counts from the trigger, where it is known, else from the first picture among the views that came. A
    part that is expected has its verdict even when no camera delivers anything of it. A view in time is the camera's
    verdict; one that came later, or never, is NO_DECISION. A camera that has ended is not waited for. Verdicts come as
    soon as they can be given, so not always in the order of the parts. An id must not come again within 1,024 parts:
    its views would be taken for late ones of the part before, and that one keeps its verdict.
    """

    def __init__(self, cameras: Iterable[str], deadline_s: float, deliver: Callable[[PartVerdict], None]) -> None:
        """`deliver` is called once for each part, from the thread of the last view or one here, and must not raise."""
        self.summary = PartsSummary()
        self._cameras, self._deadline_s, self._deliver = tuple(cameras), deadline_s, deliver
        self._open: dict[str, _Open] = {}
        self._decided: OrderedDict[str, None] = OrderedDict()
        self._ended: set[str] = set()
        self._closed = False
        self._changed = Condition()
        self._thread = Thread(target=self._watch, name="parts", daemon=True)
        self._thread.start()

    def expect(self, part_id: str) -> None:
        """Say that the cameras are told now to take pictures of a part. From any thread."""
        with self._changed:
            if part_id not in self._decided and not self._closed:
                self._open.setdefault(part_id, _Open(time.monotonic(), time.time()))
                self._changed.notify()

    def forget(self, part_id: str) -> None:
        """Expect a part no longer: no camera was told of it."""
        with self._changed:
            self._open.pop(part_id, None)

    def add(self, camera: str, verdict: Verdict) -> None:
        """Take one camera's verdict. From any thread."""
        with self._changed:
            now_s = time.monotonic()
            self._expire(now_s)
            part_id = verdict.part_id
            if part_id is None:
                self._count_odd(self.summary.unnamed, camera, "a frame that does not say of which part it is")
            elif part_id in self._decided or self._closed:
                self._count_odd(self.summary.late, camera, f"a view of part {part_id} after the verdict on the part")
            else:
                self._take(camera, part_id, verdict, now_s)

    def end(self, camera: str) -> None:
        """Say that a camera will deliver no more: parts that wait for it alone are decided now, and later ones at
        once."""
        with self._changed:
            self._ended.add(camera)
            for part_id in list(self._open):
                self._decide_if_complete(part_id)

    def close(self) -> None:
        """Decide on what is open, without waiting. Closing twice is allowed."""
        with self._changed:
            self._closed = True
            for part_id in list(self._open):
                self._decide(part_id)
            self._changed.notify()
        self._thread.join()

    def _take(self, camera: str, part_id: str, verdict: Verdict, now_s: float) -> None:
        begun_s = verdict.captured_s if verdict.triggered_s is None else verdict.triggered_s
        begun_at = verdict.captured_at - (verdict.captured_s - begun_s)
        part = self._open.setdefault(part_id, _Open(begun_s, begun_at))
        if begun_s < part.captured_s:
            part.captured_s, part.captured_at = begun_s, begun_at
        view = verdict.decision, verdict.reason
        late_s = now_s - part.captured_s - self._deadline_s
        if late_s >= 0 and verdict.decision is Decision.OK:
            view = Decision.NO_DECISION, f"its verdict came {1e3 * late_s:.0f} ms after the deadline"
        before = part.views.get(camera)
        if before is None or WORST_FIRST.index(view[0]) < WORST_FIRST.index(before[0]):  # a pass takes back no reject
            part.views[camera] = view
        if late_s >= 0:
            self._decide(part_id)
        else:
            self._decide_if_complete(part_id)
            self._changed.notify()

    def _decide_if_complete(self, part_id: str) -> None:
        if all(camera in self._open[part_id].views or camera in self._ended for camera in self._cameras):
            self._decide(part_id)

    def _expire(self, now_s: float) -> None:
        for part_id in [each for each, part in self._open.items() if now_s >= part.captured_s + self._deadline_s]:
            self._decide(part_id)

    def _decide(self, part_id: str) -> None:
        part = self._open.pop(part_id)
        views = {camera: part.views.get(camera) or self._missing(camera) for camera in self._cameras}
        decision = min((view[0] for view in views.values()), key=WORST_FIRST.index)
        rejects = [
            f"{camera} {view[0].value} ({view[1]})" for camera, view in views.items() if view[0] is not Decision.OK
        ]
        verdict = PartVerdict(
            part_id=part_id,
            decision=decision,
            reason="; ".join(rejects) or f"{len(views)} cameras say OK",
            cameras={camera: view[0] for camera, view in views.items()},
            captured_s=part.captured_s,
            decided_s=time.monotonic(),
            captured_at=part.captured_at,
            decided_at=time.time(),
        )
        self._decided[part_id] = None
        if len(self._decided) > REMEMBERED:
            self._decided.popitem(last=False)
        self.summary.decisions[decision] += 1
        self.summary.latencies.add(verdict.latency_ms)
        self._deliver(verdict)

    def _missing(self, camera: str) -> tuple[Decision, str]:
        self.summary.missing[camera] += 1
        if camera in self._ended:
            return Decision.NO_DECISION, "no view, since the camera has ended"
        if self._closed:
            return Decision.NO_DECISION, "no view before the line was stopped"
        return Decision.NO_DECISION, f"no view within {1e3 * self._deadline_s:g} ms"

    def _count_odd(self, found: Counter[str], camera: str, what: str) -> None:
        found[camera] += 1
        if found[camera] == 1:
            say(f"warning: camera {camera} delivered {what}; it counts for no part, and the summary says how many did")

    def _watch(self) -> None:
        """Decide on parts whose deadline has come."""
        with self._changed:
            while not self._closed:
                first_s = min((part.captured_s for part in self._open.values()), default=math.inf)
                wait_s = first_s + self._deadline_s - time.monotonic()
                self._changed.wait(None if wait_s == math.inf else max(0.0, wait_s))
                if not self._closed:
                    self._expire(time.monotonic())

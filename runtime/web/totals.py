"""What is counted of each camera since the stream began. It lives in the stream's process: no count is ever lost."""

from bisect import bisect_left
from collections import Counter
from typing import Any

from runtime.pause import PAUSED
from runtime.verdict import Decision, Verdict

ONLY = "camera"  # the name of the one camera of a stream, which has none
LATENCY_MS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0)  # upper ends of buckets
# what a reason of NO_DECISION begins with; a metric's label must not hold every number that a reason has
KINDS = (
    "late", "missed", "incomplete", "overrun", "engine error", "frozen", "black", "over-exposed", "wrong size",
    "blurred", "no part in view", "part not found", "part not in its place", "part not all in the picture",
    "damaged picture", "camera lost", "no picture", "no result", "the line is held", "trigger refused", PAUSED,
)  # fmt: skip


def kind_of(decision: Decision, reason: str) -> str:
    """The reason of a verdict as one of few words."""
    if decision is Decision.OK:
        return ""
    if decision is Decision.NG:
        return "judged"
    return next((kind for kind in KINDS if reason.startswith(kind)), "other")


class Totals:
    """One camera's counts. For one thread at a time."""

    def __init__(self) -> None:
        self.verdicts: Counter[tuple[str, str]] = Counter()
        self._buckets = [0] * (len(LATENCY_MS) + 1)
        self._sum_ms = 0.0
        self.last_s: float | None = None  # monotonic clock, of the last decision

    def add(self, verdict: Verdict, latency_ms: float | None) -> None:
        """Count a verdict; `latency_ms` is None where no picture came."""
        decision = verdict.decision
        self.verdicts[decision.value, kind_of(decision, verdict.reason)] += 1
        self.last_s = verdict.decided_s
        if latency_ms is not None:
            self._buckets[bisect_left(LATENCY_MS, latency_ms)] += 1
            self._sum_ms += latency_ms

    def as_dict(self) -> dict[str, Any]:
        """Plain values: verdicts as [decision, kind, count], latencies by bucket, the last one without an end."""
        return {
            "verdicts": [[*key, count] for key, count in self.verdicts.items()],
            "latency_ms": {"counts": list(self._buckets), "sum": round(self._sum_ms, 3)},
        }

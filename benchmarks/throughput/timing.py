"""Timing by turns: what is compared takes turns within each repeat, so that a busy moment meets it all."""

import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from runtime.errors import InputError

Seconds = NDArray[np.float64]
Key = TypeVar("Key", bound=Hashable)
LEAST_TURNS = 3  # that even the slowest takes
PAUSE_S = 0.01  # between two turns: threads of the one before spin for a moment before they sleep
# samples that a percentile takes: of fewer, hardly one lies beyond it, and the longest says as much
P95_SAMPLES, P99_SAMPLES = 100, 300
SETTLING_CALLS = 2  # of 1 to 8: after one INT8 takes 1.22 times what it takes after eight, after two 1.03 times
SETTLE_S = 1.0  # a call that takes longer gains nothing by what the one before left in the caches


@dataclass(frozen=True)
class Percentiles:
    """Of a sample of times or ratios; the unit is the sample's. None of too few samples."""

    p50: float
    p95: float | None
    p99: float | None
    max: float
    samples: int

    @classmethod
    def of(cls, values: Seconds, scale: float = 1.0) -> "Percentiles":
        """Those of `values`, each times `scale`."""
        p50, p95, p99, longest = (float(each) for each in np.quantile(values, (0.5, 0.95, 0.99, 1.0)) * scale)
        count = len(values)
        return cls(p50, p95 if count >= P95_SAMPLES else None, p99 if count >= P99_SAMPLES else None, longest, count)


@dataclass(frozen=True)
class Turns:
    """How often, and when one has had enough.

    A call that has taken `seconds` in all leaves after its turn, but not before `LEAST_TURNS`: a slow one then has
    fewer samples, and they say how many. In each turn a call shorter than `settle_s` is made twice before it is timed:
    a line runs one detector, frame after frame, and does not find its weights pushed out of the caches by another's.
    """

    repeats: int = P95_SAMPLES
    seconds: float = 60.0
    warm_up: int = 3
    pause_s: float = PAUSE_S
    settle_s: float = SETTLE_S

    def __post_init__(self) -> None:
        if self.repeats < LEAST_TURNS:
            raise InputError(f"--repeats is {self.repeats}; expected {LEAST_TURNS} or more")
        if not self.seconds > 0:
            raise InputError(f"--seconds is {self.seconds}; expected more than 0")


def in_turns(calls: Mapping[Key, Callable[[], object]], turns: Turns) -> dict[Key, Seconds]:
    """Seconds of each call on the monotonic clock, in the order of the turns.

    Every second round runs backwards, so that nobody always follows the same one. The warm-up of each comes first and
    is not counted; a call slower than a tenth of `turns.seconds` is warm after its first.
    """
    last = dict.fromkeys(calls, 0.0)
    for name, call in calls.items():
        for _ in range(turns.warm_up):
            last[name] = seconds_of(call)
            if last[name] > turns.seconds / 10:
                break
    taken: dict[Key, list[float]] = {name: [] for name in calls}
    for repeat in range(turns.repeats):
        for name in list(calls) if repeat % 2 == 0 else reversed(list(calls)):
            if sum(taken[name]) > turns.seconds and len(taken[name]) >= LEAST_TURNS:
                continue
            time.sleep(turns.pause_s)
            if last[name] < turns.settle_s:
                for _ in range(SETTLING_CALLS):
                    calls[name]()
            last[name] = seconds_of(calls[name])
            taken[name].append(last[name])
    return {name: np.array(seconds) for name, seconds in taken.items()}


def ratios(seconds: Seconds, reference: Seconds) -> Percentiles:
    """Percentiles of `seconds` over the median of `reference` in the turns that both took part in."""
    both = min(len(seconds), len(reference))
    return Percentiles.of(seconds[:both] / float(np.median(reference[:both])))


def seconds_of(call: Callable[[], object]) -> float:
    """Of one call, on the monotonic clock."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start

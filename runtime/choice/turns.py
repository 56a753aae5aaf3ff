"""Timing alternatives in turns: a busy moment of the machine meets all of them."""

import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from runtime.engines.base import Engine
from runtime.parity import FRAME_TIMEOUT_S

BUDGET_S = 3.0
FEWEST, MOST = 5, 50  # turns
# what is less than this much faster is not faster: medians of a few turns on a machine with other work vary by as much
MARGIN = 0.05


def seconds_in_turns(
    works: Sequence[Callable[[], object]], budget_s: float = BUDGET_S, clock: Callable[[], float] = time.perf_counter
) -> NDArray[np.float64]:
    """Seconds [turns, works] that each takes, one after the other and in the other order every second turn.

    One turn before warms up. As many turns as start within `budget_s`, 5 to 50.
    """
    for work in works:
        work()
    turns: list[list[float]] = []
    begun = clock()
    while len(turns) < FEWEST or (len(turns) < MOST and clock() - begun < budget_s):
        taken = [0.0] * len(works)
        order = range(len(works)) if len(turns) % 2 == 0 else reversed(range(len(works)))
        for index in order:
            start = clock()
            works[index]()
            taken[index] = clock() - start
        turns.append(taken)
    return np.array(turns)


def one_inference(engine: Engine, frames: NDArray[np.uint8]) -> Callable[[], object]:
    """Work for `seconds_in_turns`: one batch through an engine, uint8 [n, H, W, 3], there and back."""
    return lambda: engine.result(engine.submit(frames), FRAME_TIMEOUT_S)


def ratios(seconds: NDArray[np.float64]) -> list[float]:
    """Median time of each alternative, of that of the first; `seconds` are [turns, alternatives]."""
    medians = np.median(seconds, axis=0)
    return [float(median / medians[0]) for median in medians]


def fastest(found: Sequence[float]) -> int:
    """Which of `ratios` to take: the first unless another is faster by more than `MARGIN`."""
    best = min(range(len(found)), key=lambda index: found[index])
    return best if found[best] < 1 - MARGIN else 0

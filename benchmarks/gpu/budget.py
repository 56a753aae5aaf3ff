"""How a few minutes are shared out among the parts."""

import time
from collections.abc import Callable, Sequence

WEIGHTS = {"tests": 2.0, "teacher": 4.0, "paper": 3.0, "presets": 3.0}  # of the parts, in their order
SOFT = 0.9  # of a share, after which a part is asked to end: the rest is for what it does then


class Budget:
    """Hands out shares of `seconds`, which run from now on. What a part leaves over falls to those after it."""

    def __init__(self, seconds: float, parts: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._parts, self._clock = tuple(parts), clock
        self._end = clock() + seconds

    def share(self, part: str) -> float:
        """Seconds of `part`, which begins now; 0 where nothing is left."""
        later = self._parts[self._parts.index(part) :]
        left = max(0.0, self._end - self._clock())
        return left * WEIGHTS[part] / sum(WEIGHTS[each] for each in later)

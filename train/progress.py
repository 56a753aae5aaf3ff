"""How far long work has come: a bar on a terminal; in a log a line a minute, with figures and the time left."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from runtime.outputs import say

T = TypeVar("T")

FIRST_S, EVERY_S = 10.0, 60.0  # the first line comes early: it tells whether all is well, and how long it will take


class Progress(Generic[T]):
    """Iterates over `items`, and shows on stderr how many of `total` are done: tqdm's bar where that is a terminal.

    Where it is none, a line is printed after 10 s, then once a minute, and at the end if there was one before. Work
    that goes on begins at `start`; the time left is by the pace since then. With `leave` the bar stays when it is full.
    """

    def __init__(
        self,
        items: Iterable[T],
        name: str,
        total: int,
        *,
        start: int = 0,
        unit: str = "step",
        leave: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._items, self._name, self._total, self._start = items, name, total, start
        self._unit, self._clock = unit, clock
        self._figures: dict[str, float] = {}
        self._began_s = clock()
        self._next_s = self._began_s + FIRST_S
        self._bar: Any = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(items, name, total, initial=start, unit=unit, leave=leave)

    def __iter__(self) -> Iterator[T]:
        if self._bar is not None:
            yield from self._bar
            return
        done, said = self._start, None
        for item in self._items:
            yield item
            done += 1
            if self.is_due():
                self._say(done)
                said = done
                self._next_s = self._clock() + EVERY_S
        if said not in (None, done):
            self._say(done)

    def is_due(self) -> bool:
        """Whether the item at hand will be followed by a line in a log, for figures that are dear to have."""
        return self._bar is None and self._clock() >= self._next_s

    def show(self, **figures: float) -> None:
        """Figures to stand beside the count from now on."""
        self._figures = figures
        if self._bar is not None:
            self._bar.set_postfix({name: f"{value:.3g}" for name, value in figures.items()})

    def write(self, text: str) -> None:
        """Print a line to stdout without breaking the bar."""
        if self._bar is not None:
            self._bar.write(text)
        else:
            print(text, flush=True)

    def _say(self, done: int) -> None:
        figures = "".join(f", {name} {value:.3g}" for name, value in self._figures.items())
        pace_s = (self._clock() - self._began_s) / (done - self._start)
        left = f", {duration(pace_s * (self._total - done))} left" if done < self._total else ""
        say(f"{self._name}: {self._unit} {done:,} of {self._total:,}{figures}{left}")


def duration(seconds: float) -> str:
    """A time as a person says it: ``40 s``, ``12 min``, ``3 h 05 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"

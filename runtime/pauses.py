"""Pauses between attempts that failed: each twice as long as the one before, up to a longest, with jitter."""

import random
from threading import Event


class Pauses:
    """Of one owner of a connection. For one thread."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s, self._longest_s = first_s, longest_s
        self._next_s = first_s

    def wait(self, closing: Event) -> bool:
        """Pause; whether `closing` ended it. Jitter keeps stations that lost the same peer from coming back at once."""
        pause_s = self._next_s * random.uniform(0.5, 1.0)
        self._next_s = min(2 * self._next_s, self._longest_s)
        return closing.wait(pause_s)

    def reset(self) -> None:
        """An attempt worked: begin with the first again."""
        self._next_s = self._first_s

    def lengthen(self) -> None:
        """Pause for longest next."""
        self._next_s = self._longest_s

"""A stream that somebody has paused: it goes on inspecting, and every part is rejected."""

import threading
from typing import Protocol

PAUSED = "paused by"  # what the reason of every verdict begins with meanwhile


class Pausable(Protocol):
    """What can be held at reject, by name: a stream, or the handshake of a line. From any thread."""

    @property
    def paused_by(self) -> str | None:
        """Who paused it; None while nobody did."""

    def pause(self, by: str) -> None:
        """Let no part pass from now on."""

    def resume(self) -> None:
        """End a pause."""


class Pause:
    """A stream's pause, which `Pipeline` looks at right before each output. From any thread."""

    def __init__(self) -> None:
        self._by: str | None = None
        self._lock = threading.Lock()

    @property
    def paused_by(self) -> str | None:
        """See `Pausable`."""
        with self._lock:
            return self._by

    def pause(self, by: str) -> None:
        """See `Pausable`."""
        with self._lock:
            self._by = by

    def resume(self) -> None:
        """See `Pausable`."""
        with self._lock:
            self._by = None

    @property
    def reason(self) -> str | None:
        """Why no part passes now; None where parts do."""
        by = self.paused_by
        return None if by is None else f"{PAUSED} {by}"

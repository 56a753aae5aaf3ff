"""The sink interface: what takes the verdicts of a stream."""

from typing import Protocol, runtime_checkable

from runtime.frames import Frame
from runtime.verdict import Verdict


class Sink(Protocol):
    """Takes each frame with its verdict, in order. One thread calls it; `runtime.sinks.Sinks` says what a failure does.

    An `essential` sink is one that the line must not go on without: when it raises, the stream ends. Any other may
    fail, and hang, without stopping anything: what it could not take is counted.
    """

    @property
    def name(self) -> str:
        """What it takes, as a summary says it: "overlays"."""

    @property
    def essential(self) -> bool:
        """Whether the stream ends when it fails."""

    def write(self, frame: Frame, verdict: Verdict) -> None:
        """Take one. Raises `OSError` or `ProctorError` when it cannot; it is then asked again with a later one."""

    def close(self) -> None:
        """Finish what was taken. Closing twice is allowed."""


@runtime_checkable
class LosingSink(Sink, Protocol):
    """One that takes every verdict at once, and counts itself those that it loses later."""

    @property
    def lost(self) -> int:
        """How many so far."""

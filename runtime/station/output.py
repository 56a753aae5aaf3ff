"""What a line prints: one output for all its cameras, a line at a time."""

from collections.abc import Callable
from threading import Lock

from runtime.errors import ProctorError
from runtime.frames import Frame
from runtime.outputs import say
from runtime.sinks.base import LosingSink, Sink
from runtime.sinks.lines import Headlines, JsonLines
from runtime.station.parts import PartVerdict
from runtime.verdict import Decision, Verdict


class LineOutput:
    """Prints the verdicts of several cameras, and those on parts, each line whole. From any thread.

    Essential: when it fails, `failed` is called once, and nothing is printed from then on: the line must not go on.
    """

    def __init__(self, lines: JsonLines | Headlines, failed: Callable[[], None]) -> None:
        self.error: BaseException | None = None
        self._lines, self._failed = lines, failed
        self._lock = Lock()

    def frame(self, frame: Frame, verdict: Verdict) -> None:
        """Print one camera's verdict. Raises what printing raised, now or before."""
        self._print(lambda: self._lines.write(frame, verdict))
        if self.error is not None:
            raise self.error

    def part(self, verdict: PartVerdict) -> None:
        """Print the verdict on a part: every one as JSON, a reject as a headline. Raises nothing; see `error`."""
        if isinstance(self._lines, JsonLines):
            self._print(lambda: self._lines.say(verdict.to_json()))
        elif verdict.decision is not Decision.OK:
            self._print(lambda: self._lines.say(verdict.headline()))

    def close(self) -> None:
        """See `Sink.close`."""
        self._lines.close()

    def _print(self, write: Callable[[], None]) -> None:
        with self._lock:
            if self.error is not None:
                return
            try:
                write()
            except BaseException as error:  # kept for whoever runs the line
                self.error = error
                self._failed()


class CameraLines:
    """A `Sink`: one camera's part of the line's output."""

    name, essential = "lines", True

    def __init__(self, output: LineOutput) -> None:
        self._output = output

    def write(self, frame: Frame, verdict: Verdict) -> None:
        """See `Sink.write`."""
        self._output.frame(frame, verdict)

    def close(self) -> None:
        """Nothing is left to write; the output is the line's."""


class SharedSink:
    """A sink that takes the verdicts of several cameras, one at a time. From any thread; `end` closes it for all."""

    def __init__(self, sink: Sink) -> None:
        self.name, self.essential = sink.name, sink.essential
        self._sink, self._lock = sink, Lock()

    def write(self, frame: Frame, verdict: Verdict) -> None:
        """See `Sink.write`."""
        with self._lock:
            self._sink.write(frame, verdict)

    @property
    def lost_of_all(self) -> int:
        """What the sink lost, of all cameras: no camera's own sinks count it."""
        return self._sink.lost if isinstance(self._sink, LosingSink) else 0

    def close(self) -> None:
        """One camera has ended; the sink is open for the others."""

    def end(self) -> None:
        """Close it, after all cameras. What it could not write is said."""
        try:
            self._sink.close()
        except (OSError, ProctorError) as error:
            say(f"warning: {self.name} may lack the last that was handed over ({error})")

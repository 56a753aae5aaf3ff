"""Sinks: what takes the verdicts of a stream, and what happens when one of them fails.

A sink is a file here and a row in `ROWS`: the option of the stream that asks for it, and what opens it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from runtime.cli import some_path
from runtime.closing import Closing
from runtime.frames import Frame
from runtime.sinks.base import Sink
from runtime.sinks.guarded import Guarded
from runtime.sinks.overlays import OverlayFolder
from runtime.verdict import Verdict

__all__ = ["ROWS", "Sink", "SinkRow", "Sinks", "open_sinks"]


@dataclass(frozen=True)
class SinkRow:
    """A sink that an option of the stream asks for."""

    option: str  # without the dashes
    metavar: str
    help: str
    type: Callable[[str], Any]  # of the option's value, as argparse takes it
    open: Callable[[Any], Sink]  # of that value; raises `InputError` where it cannot be used


ROWS = (
    SinkRow(
        "save",
        "DIR",
        "write an overlay of every frame into this folder, of a second run into DIR/run-2",
        some_path,
        OverlayFolder,
    ),
)


class Sinks(Closing):
    """Several sinks as one: essential ones first, in this thread; each other one `Guarded`. A context manager."""

    def __init__(self, sinks: Iterable[Sink]) -> None:
        self._essential, others = list[Sink](), list[Guarded]()
        for sink in sinks:
            if sink.essential:
                self._essential.append(sink)
            else:
                others.append(Guarded(sink))
        self._others = others

    def __call__(self, frame: Frame, verdict: Verdict) -> None:
        """Hand a frame and its verdict to all. Raises what an essential sink raises, and nothing else."""
        for sink in self._essential:
            sink.write(frame, verdict)
        for guarded in self._others:
            guarded.write(frame, verdict)

    @property
    def losses(self) -> dict[str, int]:
        """How many verdicts each sink could not take, by its name; those that took all are left out."""
        return {guarded.sink.name: guarded.lost for guarded in self._others if guarded.lost}

    def close(self) -> None:
        """Finish what was taken."""
        for guarded in self._others:
            guarded.close()
        for sink in self._essential:
            sink.close()


def open_sinks(options: Mapping[str, Any]) -> list[Sink]:
    """The sinks that a stream's options ask for, in the order of `ROWS`. Raises what opening one raises."""
    asked = [(row, options.get(row.option.replace("-", "_"))) for row in ROWS]
    return [row.open(value) for row, value in asked if value is not None]

"""Sinks: what takes the verdicts of a stream, and what happens when one of them fails.

A sink is a file here and a row in `ROWS`: the option of the stream that asks for it, and what opens it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from runtime.cli import some_path
from runtime.closing import Closing
from runtime.frames import Frame
from runtime.sinks.base import LosingSink, Sink
from runtime.sinks.guarded import Guarded
from runtime.sinks.overlays import OverlayFolder
from runtime.sinks.records import RecordsSink
from runtime.verdict import Verdict

__all__ = ["ROWS", "Sink", "SinkRow", "Sinks", "open_shared_sinks", "open_sinks", "open_sinks_of_camera"]


@dataclass(frozen=True)
class SinkRow:
    """A sink that an option of the stream asks for."""

    option: str  # without the dashes
    metavar: str
    help: str
    type: Callable[[str], Any]  # of the option's value, as argparse takes it
    open: Callable[[Any], Sink]  # of that value; raises `InputError` where it cannot be used
    # the value for one camera of a line, by its name; None: one sink takes the verdicts of all, which say their camera
    for_camera: Callable[[Any, str], Any] | None = None


def _opener(name: str) -> Callable[[Any], Sink]:
    """``module:function``, imported when it is called: its packages may be an extra's."""
    module, _, function = name.partition(":")

    def opened(value: Any) -> Sink:
        sink: Sink = getattr(import_module(module), function)(value)
        return sink

    return opened


ROWS = (
    SinkRow(
        "save",
        "DIR",
        "write an overlay of every frame into this folder, of a second run into DIR/run-2",
        some_path,
        OverlayFolder,
        lambda folder, camera: folder / camera,
    ),
    SinkRow(
        "records",
        "DIR",
        "record every verdict, and pictures of rejects, in this folder; also as DIR?days=365&images=10GB",
        str,
        RecordsSink,
    ),
    SinkRow(
        "mqtt",
        "HOST:PORT?…",
        "publish verdicts to an MQTT broker; as in broker:1883?site=north&line=3&station=cap",
        str,
        _opener("runtime.sinks.mqtt:open_mqtt"),
    ),
    SinkRow(
        "webhook",
        "URL#…",
        "post rejects to a URL; as in https://mes.example/hook#key_file=FILE&site=north&line=3&station=cap",
        str,
        _opener("runtime.sinks.webhook:open_webhook"),
    ),
)


class Sinks(Closing):
    """Several sinks as one: essential ones first, in this thread; each other one `Guarded`. A context manager."""

    def __init__(self, sinks: Iterable[Sink], camera: str | None = None) -> None:
        """`camera` is whose verdicts they take, on a line of several, for messages."""
        self._essential, others = list[Sink](), list[Guarded]()
        for sink in sinks:
            if sink.essential:
                self._essential.append(sink)
            else:
                others.append(Guarded(sink, camera=camera))
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
        lost = {sink.name: sink.lost for sink in self._essential if isinstance(sink, LosingSink) and sink.lost}
        return lost | {guarded.sink.name: guarded.lost for guarded in self._others if guarded.lost}

    def close(self) -> None:
        """Finish what was taken."""
        for guarded in self._others:
            guarded.close()
        for sink in self._essential:
            sink.close()


def open_sinks(options: Mapping[str, Any]) -> list[Sink]:
    """The sinks that a stream's options ask for, in the order of `ROWS`. Raises what opening one raises."""
    return [row.open(value) for row, value in _asked(options)]


def open_shared_sinks(options: Mapping[str, Any]) -> list[Sink]:
    """Of the sinks that a line of several cameras asks for, those that take the verdicts of all its cameras."""
    return [row.open(value) for row, value in _asked(options) if row.for_camera is None]


def open_sinks_of_camera(options: Mapping[str, Any], camera: str) -> list[Sink]:
    """Of the sinks that a line of several cameras asks for, those that one camera has for itself."""
    return [row.open(row.for_camera(value, camera)) for row, value in _asked(options) if row.for_camera is not None]


def _asked(options: Mapping[str, Any]) -> list[tuple[SinkRow, Any]]:
    found = [(row, options.get(row.option.replace("-", "_"))) for row in ROWS]
    return [(row, value) for row, value in found if value is not None]

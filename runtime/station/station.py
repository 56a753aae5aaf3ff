"""A station at work: every camera's stream side by side, one that breaks down leaves the others running."""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from threading import Thread

from runtime.cameras.base import Source
from runtime.cameras.triggered import TooManyWait
from runtime.closing import Closing
from runtime.detector import Detector
from runtime.drift import DriftWatch
from runtime.errors import ProctorError, SourceError
from runtime.frames import Frame
from runtime.outputs import say
from runtime.pause import Pause
from runtime.pipeline import Pipeline
from runtime.sinks import Sink, Sinks
from runtime.sinks.lines import Headlines, JsonLines
from runtime.station.output import CameraLines, LineOutput, SharedSink
from runtime.station.parts import Parts
from runtime.station.summary import LineSummary
from runtime.threads import run_to_the_end
from runtime.verdict import Verdict

log = logging.getLogger("proctor.station")


@dataclass(frozen=True)
class Camera:
    """A camera that is open, the detector that judges it, and the sinks of its own, which `Station` closes."""

    source: Source
    detector: Detector
    sinks: tuple[Sink, ...] = ()
    drift: DriftWatch | None = None  # that knows something already; None: a new one


@dataclass(frozen=True)
class PartsRule:
    """Which cameras see every part, and how long a part waits for its last view."""

    cameras: tuple[str, ...]
    deadline_s: float


@dataclass
class _Stream:
    """One camera's way from its source to its verdicts."""

    name: str
    pipeline: Pipeline
    sinks: Sinks
    error: BaseException | None = None
    thread: Thread = field(init=False)


class Station(Closing):
    """Runs cameras side by side, once. Sources and detectors stay the caller's, to be closed after.

    Verdicts of a line of several cameras say their `camera`. A camera that breaks down is said and counted, and `run`
    raises at its end; the others go on. What is printed is essential: when nobody takes it any more, all end.
    """

    def __init__(
        self,
        cameras: Mapping[str, Camera],
        lines: JsonLines | Headlines,
        parts: PartsRule | None = None,
        max_frames: int | None = None,
        sinks: Sequence[Sink] = (),
    ) -> None:
        """`max_frames` ends each camera's stream. `sinks` take the verdicts of all cameras, and are closed here."""
        self.pause = Pause()  # of all cameras
        self._shared = [SharedSink(sink) for sink in sinks]
        self._output = LineOutput(lines, self.stop)
        self._parts = Parts(parts.cameras, parts.deadline_s, self._output.part) if parts else None
        self._judged = parts.cameras if parts else ()
        self._sources = {name: camera.source for name, camera in cameras.items()}
        self._streams = [self._stream(name, camera, len(cameras) > 1, max_frames) for name, camera in cameras.items()]

    def run(self) -> LineSummary:
        """Work until every stream has ended or `stop` is called, and return the summary.

        Raises, once all has ended, what the output raised; else a fault of ours in a camera's stream; else
        `SourceError`, which names the cameras that broke down. In the main thread, a KeyboardInterrupt gives up what is
        under way, as in `Pipeline.run`.
        """
        run_to_the_end([stream.thread for stream in self._streams], self._give_up)
        if self._parts:
            self._parts.close()
        self._raise()
        return self.summary

    @property
    def summary(self) -> LineSummary:
        """What was delivered so far: to be asked once `run` has ended, also where it raised."""
        summaries = {}
        for stream in self._streams:
            summaries[stream.name] = stream.pipeline.summary
            summaries[stream.name].losses = stream.sinks.losses
        losses = {shared.name: shared.lost_of_all for shared in self._shared if shared.lost_of_all}
        return LineSummary(summaries, self._failures(), self._parts.summary if self._parts else None, losses)

    def _give_up(self) -> None:
        for stream in self._streams:
            stream.pipeline.give_up()

    def stop(self) -> None:
        """Let every stream end, as `Pipeline.stop`. From any thread or signal handler."""
        for stream in self._streams:
            stream.pipeline.stop()

    def drops(self, camera: str) -> int:
        """Frames of a camera that nobody took in time, so far. From any thread."""
        return next(stream.pipeline.drops for stream in self._streams if stream.name == camera)

    def trigger(self, part_id: str) -> None:
        """Have the cameras that see every part take a picture of one, now. From any thread.

        The part has its verdict by its deadline, whatever the cameras deliver. A camera that has ended is left out.
        Raises `SourceError` where none takes triggers any more, or parts are not judged; `TooManyWait` where one will.
        """
        if self._parts is None:
            raise SourceError("this line judges no parts; describe them, with the cameras that see them")
        self._parts.expect(part_id)
        errors = []
        for name in self._judged:
            try:
                self._sources[name].trigger(part_id)
            except SourceError as error:
                errors.append(error)
        if len(errors) == len(self._judged):
            self._parts.forget(part_id)
            # a camera that has no room now may take the next one
            raise next((each for each in errors if isinstance(each, TooManyWait)), errors[0])

    def close(self) -> None:
        """Finish what the sinks took, of all cameras at once: each may have one that hangs."""
        if self._parts:
            self._parts.close()
        with ThreadPoolExecutor(len(self._streams)) as pool:
            list(pool.map(lambda stream: stream.sinks.close(), self._streams))
        for shared in self._shared:
            shared.end()
        self._output.close()

    def _stream(self, name: str, camera: Camera, named: bool, max_frames: int | None) -> _Stream:
        own: list[Sink] = [CameraLines(self._output)]
        if self._parts and name in self._judged:
            own.append(_PartViews(self._parts, name))
        sinks = Sinks([*own, *self._shared, *camera.sinks], name if named else None)

        def deliver(frame: Frame, verdict: Verdict) -> None:
            sinks(frame, replace(verdict, camera=name) if named else verdict)

        pipeline = Pipeline(camera.source, camera.detector, deliver, max_frames, drift=camera.drift, pause=self.pause)
        stream = _Stream(name, pipeline, sinks)
        stream.thread = Thread(target=self._run, args=(stream,), name=f"stream {name}", daemon=True)
        return stream

    def _run(self, stream: _Stream) -> None:
        try:
            stream.pipeline.run()
        except BaseException as error:
            if error is not self._output.error:
                self._fail(stream, error)
        finally:
            if self._parts:
                self._parts.end(stream.name)

    def _fail(self, stream: _Stream, error: BaseException) -> None:
        stream.error = error
        if not isinstance(error, ProctorError | OSError):
            log.error("camera %s failed", stream.name, exc_info=error)
        others = [each.name for each in self._streams if each is not stream and each.thread.is_alive()]
        goes_on = f"{', '.join(others)} go{'' if len(others) > 1 else 'es'} on" if others else "no other is left"
        say(f"error: camera {stream.name} broke down, {goes_on}: {error}")

    def _failures(self) -> dict[str, str]:
        return {stream.name: str(stream.error) for stream in self._streams if stream.error is not None}

    def _raise(self) -> None:
        if self._output.error is not None:
            raise self._output.error
        for stream in self._streams:
            if stream.error is not None and not isinstance(stream.error, ProctorError | OSError):
                raise stream.error
        failures = self._failures()
        if failures:
            count = f"{len(failures)} of {len(self._streams)} cameras broke down"
            raise SourceError(f"{count}: {'; '.join(f'{name}: {why}' for name, why in failures.items())}")


class _PartViews:
    """A `Sink`: one camera's views of parts. Essential, and never late because of another sink."""

    name, essential = "views of parts", True

    def __init__(self, parts: Parts, camera: str) -> None:
        self._parts, self._camera = parts, camera

    def write(self, frame: Frame, verdict: Verdict) -> None:
        self._parts.add(self._camera, verdict)

    def close(self) -> None:
        """The parts are the line's."""

"""A line's description opened: its detectors, cameras and sinks, for a `Station`; or checked without its cameras."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from runtime.cameras import Source, open_camera
from runtime.cameras.capture import without_password
from runtime.cameras.live import LiveSource
from runtime.cameras.still import WatchedSource
from runtime.cameras.triggered import TriggeredSource
from runtime.detector import Detector
from runtime.drift.keeper import kept_watches
from runtime.outputs import say
from runtime.printable import printable
from runtime.sinks import Sink, open_shared_sinks, open_sinks, open_sinks_of_camera
from runtime.sinks.lines import Headlines, JsonLines
from runtime.sinks.records import records_of
from runtime.station.description import LineDescription
from runtime.station.detectors import close_all, contents_of, open_detectors
from runtime.station.station import Camera, PartsRule, Station
from runtime.web.page import Page
from runtime.web.totals import ONLY


def check_files(line: LineDescription) -> list[str]:
    """Read the detectors of a line, and say in words what the line is. Opens no camera, no engine and no sink.

    Raises `DetectorError` for a file that is no detector, after its place in the line's description.
    """
    contents = contents_of(line)
    engines = len(set(contents.values()))
    found = [f"{line.document.path}: {_count(len(line.cameras), 'camera')}, {_count(engines, 'engine')}"]
    for name, camera in line.cameras.items():
        shared = [other for other in contents if other != name and contents[other] == contents[name]]
        with_others = f", whose engine it shares with {', '.join(shared)}" if shared else ""
        detector = line.detector_of(name).file
        found.append(f"{name}: camera {without_password(camera.uri)}, detector {detector}{with_others}")
    if line.parts:
        cameras, deadline_ms = ", ".join(line.part_cameras), line.parts.deadline_ms
        pace = f", triggered every {line.parts.every_ms:g} ms" if line.parts.every_ms else ""
        found.append(f"one verdict for each part that {cameras} see, within {deadline_ms:g} ms{pace}")
    return [printable(text) for text in found]


@contextmanager
def opened_station(
    line: LineDescription,
    lines: JsonLines | Headlines,
    max_frames: int | None,
    page: Page | None = None,
    drift: Path | None = None,
) -> Iterator[Station]:
    """A line opened, and closed again; the `Station` itself is to be closed before that. With `page` it is shown there.
    What its watches of drift know is kept beside `drift`, as `kept_watches` says.

    Raises what opening a sink, a detector or a camera raises, after its place in the line's description.
    """
    shared, own = _open_sinks(line)
    with ExitStack() as stack:
        with _closed_on_error([*shared, *itertools.chain(*own.values())]):
            detectors = open_detectors(line)
            stack.callback(close_all, detectors.values())
            sources = _open_cameras(line)
            stack.callback(_close_cameras, sources)
            watches = kept_watches({name: each.recipe for name, each in detectors.items()}, drift, stack)
        for name, source in sources.items():
            _say_open(line, name, source, detectors[name])
        cameras = {
            name: Camera(sources[name], detectors[name], tuple(own[name]), watches[name]) for name in line.cameras
        }
        rule = PartsRule(line.part_cameras, line.parts.deadline_ms / 1e3) if line.parts else None
        station = Station(cameras, lines, rule, max_frames, [*shared, *([page] if page else [])])
        if page is not None:
            # a single camera has no name in its verdicts
            shown = {name: name if len(cameras) > 1 else ONLY for name in cameras}
            for name, camera in cameras.items():
                drops, file = partial(station.drops, name), line.detector_of(name).location
                page.watch(shown[name], line.cameras[name].uri, file, camera.detector, camera.source, drops)
            found = {shown[name]: watch for name, watch in watches.items()}
            parts = {"drift": lambda: {name: watch.state.figures() for name, watch in found.items()}}
            page.start(station.pause, records_of(shared), parts)
        yield station


def _open_sinks(line: LineDescription) -> tuple[list[Sink], dict[str, list[Sink]]]:
    """Those of all cameras, and those of each. A line of a single camera has them as the camera alone would."""
    with line.document.at("sinks"):
        if len(line.cameras) == 1:
            return open_sinks(line.sinks), {name: [] for name in line.cameras}
        shared = open_shared_sinks(line.sinks)
        with _closed_on_error(shared):
            return shared, {name: open_sinks_of_camera(line.sinks, name) for name in line.cameras}


@contextmanager
def _closed_on_error(sinks: Sequence[Sink]) -> Iterator[None]:
    """Close sinks when what follows their opening fails; else whoever runs them does."""
    try:
        yield
    except BaseException:
        for sink in sinks:
            sink.close()
        raise


def _open_cameras(line: LineDescription) -> dict[str, Source]:
    """All at once: each may take seconds to answer. The first in the description that fails is the one that is told."""

    def opened(name: str) -> Source | BaseException:
        try:
            with line.document.at("cameras", name):
                return open_camera(line.cameras[name].uri, line.cameras[name].options)
        except BaseException as error:
            return error

    with ThreadPoolExecutor(len(line.cameras)) as pool:
        found = dict(zip(line.cameras, pool.map(opened, line.cameras), strict=True))
    sources = {name: each for name, each in found.items() if not isinstance(each, BaseException)}
    for each in found.values():
        if isinstance(each, BaseException):
            _close_cameras(sources)
            raise each
    return sources


def _close_cameras(sources: Mapping[str, Source]) -> None:
    """All at once: each may hang in a driver for a while."""
    if sources:
        with ThreadPoolExecutor(len(sources)) as pool:
            list(pool.map(lambda source: source.close(), sources.values()))


def _say_open(line: LineDescription, name: str, source: Source, detector: Detector) -> None:
    camera, file = without_password(line.cameras[name].uri), line.detector_of(name).file
    say(f"{name}: {file} on {detector.engine.description} ({detector.why}); camera {camera}")
    if isinstance(source, LiveSource | TriggeredSource | WatchedSource) and (reason := source.waits_for):
        say(f"{name}: waiting for the camera: {reason}")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"

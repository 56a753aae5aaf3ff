"""``python -m runtime.stream``: a camera through a detector, verdicts out, until the stream or somebody ends it."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from functools import partial
from typing import Protocol

from runtime.arguments import given_options
from runtime.atomic import check_writable, write_atomically
from runtime.camera_options import add_camera_options, camera_options
from runtime.cameras import KNOWN, STILL_LIMIT, open_camera
from runtime.cameras.base import EXTERNAL, SOFTWARE, TRIGGERS
from runtime.cameras.capture import without_password
from runtime.cameras.live import LiveSource
from runtime.cameras.pacer import Pacer
from runtime.cameras.still import WatchedSource
from runtime.cameras.triggered import TriggeredSource
from runtime.cli import as_flag, positive, program, run, some_path
from runtime.default_detector import choose_detector
from runtime.detector import Detector
from runtime.drift import DriftWatch
from runtime.drift.keeper import DRIFT_HELP, DriftKeeper
from runtime.engine_options import add_engine_options, open_detector, open_sealed, some_location
from runtime.errors import BrokeDown, EngineError, InputError, OutputLost, ProctorError, SourceError
from runtime.log_file import add_log_option, logging_to
from runtime.opencv_log import quiet_opencv
from runtime.outputs import delivering, say
from runtime.pause import Pause
from runtime.pipeline import Pipeline
from runtime.priority import inspecting
from runtime.recipes.at_work import AtWork
from runtime.recipes.store import RecipeStore
from runtime.signals import stopping_on_signals
from runtime.sinks import ROWS, Sink, Sinks, open_sinks
from runtime.sinks.lines import Headlines, JsonLines
from runtime.sinks.records import records_of
from runtime.summary import Summary
from runtime.web.options import add_page_options, asked_page
from runtime.web.totals import ONLY

BESIDE_LINE = (
    "line",
    "check",
    "frames",
    "json",
    "summary",
    "drift",
    "serve",
    "thermal",
    "log_file",
)  # all other options stand in its description


class Published(Protocol):
    """What is published at the end of a stream: `Summary`, or that of a line."""

    def to_json(self) -> str: ...

    def lines(self) -> list[str]: ...


def main() -> None:
    parser = _parser()
    arguments = parser.parse_args()
    if arguments.summary:
        check_writable(arguments.summary)
    with logging_to(arguments.log_file), inspecting():
        _stream(arguments, parser)


def _stream(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    lines = JsonLines(sys.stdout) if arguments.json else Headlines()
    if arguments.line:
        _refuse_beside_line(arguments, parser)
        _run_line(arguments, lines)
    elif arguments.check:
        raise InputError("--check is for a line's description; give --line FILE")
    else:
        _run_camera(arguments, lines)


def _run_camera(arguments: argparse.Namespace, lines: Sink) -> None:
    _check_pace(arguments)
    location = choose_detector(arguments.detector, arguments.camera)
    asked = open_sinks(vars(arguments))
    pause = Pause()
    opened, sealed = (partial(each, arguments=arguments) for each in (open_detector, open_sealed))
    with (
        asked_page(arguments) as page,
        quiet_opencv,
        AtWork(location, opened, sealed) as work,
        open_camera(arguments.camera, camera_options(arguments) | _frame_options(arguments), as_flag) as source,
    ):
        detector = work.detector
        say(
            f"{location} on {detector.engine.description} ({detector.why}); camera {without_password(arguments.camera)}"
        )
        watch = DriftWatch(detector.recipe)
        kept = nullcontext() if arguments.drift is None else DriftKeeper(watch, arguments.drift)
        sinks = Sinks([lines, *asked, *([page] if page else [])])
        pipeline = Pipeline(source, detector, sinks, arguments.frames, drift=watch, pause=pause)
        # before engine and camera are closed, which may hang in a driver
        with (
            publishing(lambda: _summary(pipeline, sinks), arguments),
            closing(sinks),
            kept,
            stopping_on_signals(pipeline.stop),
        ):
            if isinstance(source, LiveSource | TriggeredSource | WatchedSource) and (reason := source.waits_for):
                say(f"waiting for the camera: {reason}")
            if page:
                shown = page

                def show(work: AtWork) -> None:
                    shown.watch(None, arguments.camera, work.location, work.detector, source, lambda: pipeline.drops)

                show(work)
                parts = {"drift": lambda: {ONLY: watch.state.figures()}}
                page.start(pause, records_of(asked), parts, _taking_over(page.recipes, work, pipeline, show))
            with _pacing(source.trigger, arguments.every_ms, arguments.frames), _at_work():
                pipeline.run()


def _taking_over(
    store: RecipeStore | None, work: AtWork, pipeline: Pipeline, show: Callable[[AtWork], None]
) -> Callable[[], None] | None:
    """What lets the recipe in force take over while the stream runs; None without a folder of recipes."""
    if store is None:
        return None

    def take() -> Detector:
        detector = work.take(store)
        show(work)
        return detector

    return lambda: pipeline.change(take)


def _check_pace(arguments: argparse.Namespace) -> None:
    """Raises `InputError` where nobody would trigger, and for a pace that nothing keeps."""
    trigger, paced = arguments.trigger, arguments.every_ms is not None
    if trigger == EXTERNAL:
        raise InputError(
            "--trigger external is for a line controller, which python -m runtime.line serves; or give "
            "--trigger software --every-ms N"
        )
    if trigger == SOFTWARE and not paced:
        raise InputError("--trigger software needs a pace; give --every-ms N, too")
    if paced and trigger != SOFTWARE:
        raise InputError("--every-ms is the pace of --trigger software; give both or none")


def _pacing(
    trigger: Callable[[str], None], every_ms: float | None, count: int | None
) -> AbstractContextManager[object]:
    """What triggers cameras meanwhile, where this command does."""
    return nullcontext() if every_ms is None else Pacer(trigger, every_ms / 1e3, count)


def _run_line(arguments: argparse.Namespace, lines: JsonLines | Headlines) -> None:
    from runtime.station.description import read_line  # not before: a single camera needs no YAML
    from runtime.station.opening import check_files, opened_station

    line = read_line(arguments.line)
    if arguments.check:
        print("\n".join(check_files(line)))
        return
    with (
        quiet_opencv,
        asked_page(arguments) as page,
        opened_station(line, lines, arguments.frames, page, arguments.drift) as station,
        publishing(lambda: station.summary, arguments),
        closing(station),
        stopping_on_signals(station.stop),
        _pacing(station.trigger, line.parts.every_ms if line.parts else None, arguments.frames),
        _at_work(),
    ):
        station.run()


@contextmanager
def _at_work() -> Iterator[None]:
    """Around a stream that has begun: what ends it did work, and may do so again after another start."""
    try:
        yield
    except (SourceError, EngineError) as error:
        raise BrokeDown(str(error)) from error


def _refuse_beside_line(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Raise `InputError` when an option was given that stands in the line's description: it would be ignored unseen."""
    foreign = [name for name, value in vars(arguments).items() if value != parser.get_default(name)]
    foreign = [as_flag(name) for name in foreign if name not in BESIDE_LINE]
    if foreign:
        raise InputError(f"{', '.join(foreign)} cannot stand beside --line; write it into {arguments.line}")


def _frame_options(arguments: argparse.Namespace) -> dict[str, object]:
    """The options that were given of when a camera takes its frames, and of which are frozen, by name."""
    deadline_s = None if arguments.deadline_ms is None else arguments.deadline_ms / 1e3
    named = {"trigger": arguments.trigger, "deadline_s": deadline_s, STILL_LIMIT: arguments.still_limit}
    return given_options(named)


@contextmanager
def publishing(summary: Callable[[], Published], arguments: argparse.Namespace) -> Iterator[None]:
    """Print the summary so far and write it as asked, whatever ends the stream; what ended it is raised on."""
    try:
        yield
    except BaseException as ended:
        try:
            _publish(summary(), arguments, on_stderr=isinstance(ended, OutputLost))
        except (ProctorError, OSError) as error:  # what ended the stream is the news
            say(f"error: {error}")
        raise
    _publish(summary(), arguments)


def _summary(pipeline: Pipeline, sinks: Sinks) -> Summary:
    summary = pipeline.summary
    summary.losses = sinks.losses
    return summary


def _publish(summary: Published, arguments: argparse.Namespace, on_stderr: bool = False) -> None:
    """The file first: a terminal may be gone."""
    try:
        if arguments.summary:
            write_atomically(arguments.summary, summary.to_json().encode() + b"\n")
    finally:
        if arguments.json or on_stderr:
            say("; ".join(summary.lines()))
        else:
            with delivering():
                print("\n".join(summary.lines()), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program("runtime.stream"), description="Inspect what a camera sees. Ctrl-C ends it with a summary."
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--camera", metavar="URI", help=KNOWN)
    what.add_argument("--line", type=some_path, metavar="FILE", help="several cameras, as a YAML file describes them")
    parser.add_argument("--check", action="store_true", help="check the line's description, open no camera")
    parser.add_argument(
        "--detector",
        type=some_location,
        metavar="FILE",
        help="or triton://HOST:PORT/MODEL (default: detector.plan or detector.onnx here; of demo: the packaged one)",
    )
    add_engine_options(parser)
    parser.add_argument(
        "--frames", type=positive, metavar="N", help="end after N frames of each camera (default: with the stream)"
    )
    for row in ROWS:
        parser.add_argument(f"--{row.option}", type=row.type, metavar=row.metavar, help=row.help)
    parser.add_argument("--drift", type=some_path, metavar="FILE", help=DRIFT_HELP)
    parser.add_argument("--json", action="store_true", help="one verdict a line on stdout, the summary on stderr")
    parser.add_argument("--summary", type=some_path, metavar="FILE", help="write the summary as JSON")
    add_log_option(parser)
    add_page_options(parser)
    add_camera_options(parser)
    trigger_help = (
        "one picture a part: software: this command asks for it, every --every-ms; hardware: the camera's own input "
        "does; external: a controller (default: free run)"
    )
    parser.add_argument("--trigger", choices=TRIGGERS, help=trigger_help)
    parser.add_argument("--every-ms", type=positive, metavar="N", help="the pace of --trigger software")
    deadline_help = "from a trigger to its verdict, which is NO_DECISION after that (default: 1000)"
    parser.add_argument("--deadline-ms", type=positive, metavar="N", help=deadline_help)
    still_help = (
        "of a live camera in free run: a picture that changes by less from the one before is frozen; "
        "python -m runtime.stillness CAMERA measures it (default: equal pictures alone are)"
    )
    parser.add_argument("--still-limit", type=float, metavar="LEVELS", help=still_help)
    return parser


if __name__ == "__main__":
    run(main)

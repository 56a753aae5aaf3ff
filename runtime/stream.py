"""``python -m runtime.stream``: a camera through a detector, verdicts out, until the stream or somebody ends it."""

import argparse
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType

from runtime.arguments import given_options
from runtime.atomic import check_writable, write_atomically
from runtime.cameras import KNOWN, open_camera
from runtime.cameras.capture import without_password
from runtime.cameras.live import LiveSource
from runtime.cli import as_flag, positive, program, run, some_path
from runtime.engine_options import add_engine_options, open_detector
from runtime.errors import DetectorError, OutputLost, ProctorError
from runtime.opencv_log import quiet_opencv
from runtime.outputs import delivering, say
from runtime.pictures.pixel_limit import pixels_of
from runtime.pipeline import Pipeline
from runtime.sinks import ROWS, Sink, Sinks, open_sinks
from runtime.sinks.lines import Headlines, JsonLines
from runtime.summary import Summary

DEMO = "demo"
DEMO_DETECTOR = Path(__file__).parent / "data" / "demo.onnx"
DEFAULTS = (Path("detector.plan"), Path("detector.onnx"))  # in the working folder, the first that is there


def main() -> None:
    arguments = _parser().parse_args()
    detector_path = choose_detector(arguments.detector, arguments.camera)
    if arguments.summary:
        check_writable(arguments.summary)
    asked = open_sinks(vars(arguments))
    lines: Sink = JsonLines(sys.stdout) if arguments.json else Headlines()

    with (
        quiet_opencv,
        open_detector(detector_path, arguments) as detector,
        open_camera(arguments.camera, _camera_options(arguments), as_flag) as source,
    ):
        say(
            f"{detector_path} on {detector.engine.description} ({detector.why}); "
            f"camera {without_password(arguments.camera)}"
        )
        sinks = Sinks([lines, *asked])
        pipeline = Pipeline(source, detector, sinks, arguments.frames)
        # before engine and camera are closed, which may hang in a driver
        with publishing(pipeline, sinks, arguments), closing(sinks), stopping_on_signals(pipeline.stop):
            if isinstance(source, LiveSource) and (reason := source.waits_for):
                say(f"waiting for the camera: {reason}")
            pipeline.run()


def _camera_options(arguments: argparse.Namespace) -> dict[str, object]:
    """The options of a camera that were given, by name."""
    named = {name: getattr(arguments, name) for name in ("reconnect_limit", "seed", "defect_rate")}
    options: dict[str, object] = {**named, "wait": arguments.wait_for_camera}
    if arguments.max_megapixels:
        options["max_pixels"] = pixels_of(arguments.max_megapixels, "--max-megapixels")
    return given_options(options)


def choose_detector(given: Path | None, camera: str) -> Path:
    """The detector file to run: the one given, the packaged one for the demo line, or the one in the working folder.

    Raises `DetectorError` when there is none, and when the packaged one is given for another camera: it knows the demo
    line's parts alone.
    """
    is_demo = camera.partition("?")[0] == DEMO
    if is_demo and given is None:
        if not DEMO_DETECTOR.is_file():
            raise DetectorError(f"this installation lacks the demo detector {DEMO_DETECTOR}; install Proctor again")
        return DEMO_DETECTOR
    if given is None:
        given = next((path for path in DEFAULTS if path.is_file()), None)
        if given is None:
            raise DetectorError(
                "no detector.plan or detector.onnx in this folder; train one with "
                "python -m train --data GOOD_IMAGES --out detector.onnx, or give --detector FILE"
            )
    if not is_demo and given.resolve() == DEMO_DETECTOR.resolve():
        raise DetectorError(f"{given} knows the demo line's parts alone; train a detector for this camera")
    return given


@contextmanager
def stopping_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into a call of `stop`; the next acts as it did before. For the main
    thread.

    But SIGHUP is ignored once it came: a terminal that hangs up sends it twice, from the shell and from the system. It
    is left alone where it is ignored already, under nohup.
    """
    signals = [signal.SIGINT, signal.SIGTERM]
    hang_up = getattr(signal, "SIGHUP", None)  # Windows has none
    if hang_up is not None and signal.getsignal(hang_up) is not signal.SIG_IGN:
        signals.append(hang_up)
    before = {number: signal.getsignal(number) for number in signals}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def handle(number: int, interrupted: FrameType | None) -> None:
        if number == hang_up:
            before[hang_up] = signal.SIG_IGN
        restore()
        stop()

    for number in signals:
        signal.signal(number, handle)
    try:
        yield
    finally:
        restore()


@contextmanager
def publishing(pipeline: Pipeline, sinks: Sinks, arguments: argparse.Namespace) -> Iterator[None]:
    """Print the summary so far and write it as asked, whatever ends the stream; what ended it is raised on."""
    try:
        yield
    except BaseException as ended:
        try:
            _publish(_summary(pipeline, sinks), arguments, on_stderr=isinstance(ended, OutputLost))
        except (ProctorError, OSError) as error:  # what ended the stream is the news
            say(f"error: {error}")
        raise
    _publish(_summary(pipeline, sinks), arguments)


def _summary(pipeline: Pipeline, sinks: Sinks) -> Summary:
    summary = pipeline.summary
    summary.losses = sinks.losses
    return summary


def _publish(summary: Summary, arguments: argparse.Namespace, on_stderr: bool = False) -> None:
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
    parser.add_argument("--camera", required=True, metavar="URI", help=KNOWN)
    parser.add_argument(
        "--detector",
        type=some_path,
        metavar="FILE",
        help="default: detector.plan or detector.onnx here; of demo: the packaged one",
    )
    add_engine_options(parser)
    parser.add_argument("--frames", type=positive, metavar="N", help="end after N frames (default: with the stream)")
    for row in ROWS:
        parser.add_argument(f"--{row.option}", type=row.type, metavar=row.metavar, help=row.help)
    parser.add_argument("--json", action="store_true", help="one verdict a line on stdout, the summary on stderr")
    parser.add_argument("--summary", type=some_path, metavar="FILE", help="write the summary as JSON")
    parser.add_argument(
        "--reconnect-limit", type=positive, metavar="N", help="end after N failed attempts to reopen (default: never)"
    )
    parser.add_argument("--seed", type=int, help="of the demo line (default: 0)")
    parser.add_argument("--defect-rate", type=float, metavar="SHARE", help="of the demo line, 0 to 1 (default: 0.3)")
    wait_help = "wait for a camera that is absent at the start as for one that was lost (default: end with status 2)"
    parser.add_argument("--wait-for-camera", action="store_true", help=wait_help)
    size_help = "refuse image files above this size before decoding them (default: PROCTOR_MAX_MEGAPIXELS, or 100)"
    parser.add_argument("--max-megapixels", metavar="N", help=size_help)
    return parser


if __name__ == "__main__":
    run(main)

"""``python -m runtime.line``: a detector that serves a line controller, until somebody ends it."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from runtime.bundle.release import of_its_release
from runtime.camera_options import add_camera_options, camera_options
from runtime.cameras import KNOWN, CameraRow, check_camera, open_camera
from runtime.cameras.base import EXTERNAL, Source
from runtime.cameras.capture import without_password
from runtime.cli import as_flag, positive, run, sibling, some_path
from runtime.detector import Detector
from runtime.drift import DriftWatch
from runtime.drift.keeper import DRIFT_HELP, DriftKeeper
from runtime.engine_options import add_engine_options, open_detector, open_sealed, some_location
from runtime.frames import Frame
from runtime.line.bindings import CONTROLLERS, add_binding_options, load_bindings, open_bindings
from runtime.line.bindings import ROWS as BINDINGS
from runtime.line.c_header import c_header
from runtime.line.challenge import challenge_of
from runtime.line.changes import DetectorChanges, MakeLoop
from runtime.line.gate import parse_gate
from runtime.line.handshake import BUFFER, Handshake
from runtime.line.inspection_loop import InspectionLoop
from runtime.line.levels import Levels
from runtime.line.options_file import parse_with_file
from runtime.line.pictures import Pictures
from runtime.line.recorder import Recorder
from runtime.line.s7_area import S7Layout, parse_s7
from runtime.line.s7_source import DIALECTS, s7_source
from runtime.line.self_check import PERIOD_S, SelfCheck
from runtime.line.serving import serve
from runtime.line.signalled import signalled
from runtime.line.tables import register_tables
from runtime.line.triggered_camera import TriggeredCamera
from runtime.line.unix_server import UnixServer
from runtime.location import Location
from runtime.log_file import add_log_option, logging_to
from runtime.outputs import say
from runtime.priority import inspecting
from runtime.publishing.tables import message_tables
from runtime.recipes.choice import Choice, in_force, warm_up
from runtime.recipes.store import JOURNAL, RecipeStore
from runtime.signing import read_key
from runtime.sinks.records import RecordsSink
from runtime.verdict import Verdict
from runtime.web.options import add_page_options, asked_page, load_page
from runtime.web.page import Page
from runtime.web.totals import ONLY

DEADLINE_MS = 500.0
AT_ONCE = 2  # one is inspected while the next one's picture is copied


def main() -> None:
    parser = _parser()
    arguments = parse_with_file(parser, sys.argv[1:])
    printed = _printed(arguments)
    if printed is not None:
        print(printed, end="")
        return
    _check(parser, arguments)
    if arguments.check:
        _try(arguments)
        return
    with logging_to(arguments.log_file), inspecting():
        _serve(arguments)


def _serve(arguments: argparse.Namespace) -> None:
    handshake = _handshake(arguments)
    store = _store(arguments)
    first = _first(arguments, store)
    with ExitStack() as opened:
        page = opened.enter_context(asked_page(arguments))
        opener = _opener(arguments)
        changes = opened.enter_context(DetectorChanges(handshake, first, opener, arguments.self_check_s, store))
        detector = changes.detector
        recorder = _recorder(arguments.records, detector, opened)
        if recorder is not None:
            handshake.listen(recorder)
        if page is not None:
            handshake.listen(page)
        watch = DriftWatch(detector.recipe)
        if arguments.drift is not None:
            opened.enter_context(DriftKeeper(watch, arguments.drift))
        place, make_loop = _loop_maker(arguments, handshake, (recorder, page), watch, opened)
        loop = changes.inspected_by(make_loop)
        if page is not None:
            parts: dict[str, Callable[[], Mapping[str, object]]] = {
                "controller": partial(controller_state, handshake),
                "drift": lambda: {ONLY: watch.state.figures()},
            }
            here = None if store is None or page.recipes is None else page.recipes.folder == store.folder.resolve()
            reload = changes.reload if here else None
            page.start(handshake, None if recorder is None else recorder.store, parts, reload)
        opened.enter_context(open_bindings(Levels(handshake), vars(arguments)))
        with signalled() as wait:
            say(f"{first.path} on {detector.engine.description} ({detector.why}); {place}")
            serve(handshake, loop, wait, changes)
        say(_counted(handshake, changes.checks))
        say(watch.state.line())


def _printed(arguments: argparse.Namespace) -> str | None:
    """What is asked for instead of serving, if anything is."""
    if arguments.registers:
        return register_tables() + "\n"
    if arguments.topics:
        return message_tables() + "\n"
    if arguments.s7_source is not None:
        return s7_source(S7Layout() if arguments.s7 is None else parse_s7(arguments.s7)[1], arguments.s7_source)
    return c_header() if arguments.c_header else None


@dataclass(frozen=True)
class LineAtBoot:
    """A command line of this module that a service starts."""

    words: tuple[str, ...]
    gpio: str | None = None  # its configuration of digital inputs and outputs
    socket: Path | None = None  # that it serves
    recipes: Path | None = None  # of which it runs the one in force, in place of a detector


def line_at_boot(words: Sequence[str]) -> LineAtBoot:
    """`words`, with ``--wait-for-camera`` where they have a camera that may be waited for.

    Ends with a message, or raises what `_check` raises, unless they are a command line of this module that could serve.
    """
    parser = _parser()
    arguments = parse_with_file(parser, words)
    row = _check(parser, arguments)
    waits = row is not None and "wait" in row.options and not arguments.wait_for_camera
    waiting = ["--wait-for-camera"] if waits else []
    return LineAtBoot((*words, *waiting), arguments.gpio, arguments.socket, arguments.recipes)


@dataclass(frozen=True)
class Named:
    """What the words of a command line of this module say which detector runs by."""

    detector: Location | None  # or a file of options
    recipes: Path | None


def named_in(words: Sequence[str]) -> Named:
    """Read from `words` alone, and checked against nothing. Ends with a message for options that there are not."""
    arguments = _parser().parse_args(words)
    return Named(arguments.detector, arguments.recipes)


def _check(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> CameraRow | None:
    """The kind of camera, if there is one. The parser ends the program where nothing could be served; raises
    `InputError` for a value out of range, and for a camera that cannot be triggered."""
    stands_in = arguments.check and arguments.recipes is not None  # for what nobody has put in force yet
    if (arguments.detector is None) == (arguments.recipes is None) and not stands_in:
        parser.error("give a detector, or --recipes FOLDER for the one in force there")
    if arguments.recipes is not None and (arguments.good_frame is not None or arguments.engine == "auto"):
        parser.error("a recipe is sealed: its picture for the self-check is its good.png, and --engine auto, which "
                     "writes beside the detector, does not go with it")  # fmt: skip
    if (arguments.socket is None) == (arguments.camera is None):
        parser.error("give --socket PATH for a controller that sends pictures, or --camera URI for one "
                     "that triggers a camera")  # fmt: skip
    handshake = _handshake(arguments)
    if arguments.camera is None:
        return None
    if all(getattr(arguments, row.attribute) is None for row in BINDINGS if row.controls is not None):
        parser.error(f"nobody could trigger the camera; give {' or '.join(CONTROLLERS[1:])}")
    return check_camera(arguments.camera, _camera_options(arguments, handshake), as_flag)[0]


def _camera_options(arguments: argparse.Namespace, handshake: Handshake) -> dict[str, object]:
    return camera_options(arguments) | {"trigger": EXTERNAL, "deadline_s": handshake.deadline_s}


def _opener(arguments: argparse.Namespace) -> Callable[[Location], Detector]:
    """What opens a detector as the command line says."""
    opened = open_detector if arguments.recipes is None else open_sealed
    return lambda location: opened(location, arguments)


def _store(arguments: argparse.Namespace) -> RecipeStore | None:
    return None if arguments.recipes is None else RecipeStore(arguments.recipes, read_key(arguments.key_file))


def _first(arguments: argparse.Namespace, store: RecipeStore | None) -> Choice:
    if store is None:
        return Choice(of_its_release(arguments.detector), arguments.good_frame)
    return in_force(store)


def _try(arguments: argparse.Namespace) -> None:
    """Let the engine infer, and load what page and bindings need: raises what would end the line at its start. Opens no
    camera, no socket and no records, which a line that runs may have in use."""
    load_bindings(vars(arguments))
    load_page(arguments)
    first = _to_try(arguments)
    with _opener(arguments)(first.path) as detector:
        warm_up(detector)
        print(f"{first.path} infers on {detector.engine.description} ({detector.why})")


def _to_try(arguments: argparse.Namespace) -> Choice:
    """What the line would run; a detector that was given stands in where no recipe is in force yet, which is said."""
    if arguments.recipes is None or arguments.detector is None:
        return _first(arguments, _store(arguments))
    # without a journal nothing is in force: whoever makes a bundle has neither the station's recipes nor their key
    store = _store(arguments) if (arguments.recipes / JOURNAL).exists() else None
    if store is not None and store.active() is not None:
        return in_force(store)
    print(f"no recipe in {arguments.recipes} is in force; the line starts once one is sealed and activated there")
    return Choice(arguments.detector)


def _recorder(asked: str | None, detector: Detector, opened: ExitStack) -> Recorder | None:
    if asked is None:
        return None
    return Recorder(opened.enter_context(closing(RecordsSink(asked))).store, detector.recipe)


def _loop_maker(
    arguments: argparse.Namespace,
    handshake: Handshake,
    listening: tuple[Recorder | None, Page | None],
    watch: DriftWatch,
    opened: ExitStack,
) -> tuple[str, MakeLoop]:
    """What pictures come from, in words, and what makes inference loops over that."""
    recorder, page = listening
    source: Source | None = None
    if arguments.socket is not None:
        pictures = Pictures()
        opened.enter_context(UnixServer(arguments.socket, handshake, pictures, arguments.group))
        picture_of, take, place = pictures.take, None, str(arguments.socket)
    else:
        source = opened.enter_context(open_camera(arguments.camera, _camera_options(arguments, handshake), as_flag))
        camera = opened.enter_context(TriggeredCamera(handshake, source))
        picture_of, take, place = camera.picture_of, camera.take, f"camera {without_password(arguments.camera)}"

    def make(choice: Choice, detector: Detector, self_check: SelfCheck) -> InspectionLoop:
        watch.follow(detector.recipe)
        if recorder is not None:
            recorder.follow(detector.recipe)
        if page is not None:
            page.watch(None, place, choice.path, detector, source)

        def inspected(number: int, frame: Frame, verdict: Verdict) -> None:
            watch.add(verdict)
            for each in listening:
                if each is not None:
                    each.inspected(number, frame, verdict)

        return InspectionLoop(handshake, detector, picture_of, self_check, take, inspected)

    return place, make


def controller_state(handshake: Handshake) -> dict[str, object]:
    """What the controller can see, for the live page. Nobody sees a result by it."""
    view = handshake.view(sees=False)
    return {
        "state": view.state.name,
        "ready": view.trigger_ready,
        "mode": view.mode.name,
        "error": view.error.name,
        "error_text": view.error_text,
        "accepted": view.accepted,
        "missed": view.missed,
        "too_late": view.too_late,
        "waiting": view.waiting,
        "heartbeat": view.heartbeat,
    }


def _handshake(arguments: argparse.Namespace) -> Handshake:
    challenge = None if arguments.challenge is None else challenge_of(arguments.challenge)
    gate = None if arguments.gate is None else parse_gate(arguments.gate)
    return Handshake(arguments.deadline_ms / 1e3, arguments.at_once, challenge=challenge, gate=gate)


def _counted(handshake: Handshake, checks: int) -> str:
    view = handshake.view()
    return (
        f"{view.accepted} triggers accepted, {view.missed} refused; {view.too_late} answers came too late; "
        f"{checks} self-checks"
    )


def _milliseconds(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of milliseconds") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=sibling("line", "runtime.line"),  # also where a unit for it is written
        description="Serve a line controller on this machine. SIGTERM or Ctrl-C ends it when parts under way are done.",
    )
    parser.add_argument(
        "detector",
        type=some_location,
        nargs="?",
        metavar="DETECTOR|FILE.yaml",
        help="detector.onnx, detector.plan, triton://HOST:PORT/MODEL, or these options in a file",
    )
    parser.add_argument(
        "--recipes", type=some_path, metavar="FOLDER", help="in place of a detector: of which one is in force"
    )
    parser.add_argument("--socket", type=some_path, metavar="PATH", help="Unix socket to serve controllers on")
    parser.add_argument("--camera", metavar="URI", help=f"that the controller triggers: {KNOWN}")
    add_binding_options(parser)
    records_help = "record every result in this folder, as --records of the stream"
    parser.add_argument("--records", metavar="DIR", help=records_help)
    parser.add_argument("--drift", type=some_path, metavar="FILE", help=DRIFT_HELP)
    parser.add_argument("--group", metavar="NAME", help="whose users may connect, too (default: this user alone)")
    parser.add_argument(
        "--deadline-ms", type=_milliseconds, default=DEADLINE_MS, metavar="MS",
        help=f"from trigger to result; a part without one is rejected ({DEADLINE_MS:g})",
    )  # fmt: skip
    parser.add_argument(
        "--at-once", type=positive, default=AT_ONCE, metavar="N",
        help=f"parts that may be under way at once, {BUFFER} at most ({AT_ONCE})",
    )  # fmt: skip
    parser.add_argument(
        "--gate", metavar="parts=N|counts=N", help="how far behind the camera the reject gate stands (none)"
    )
    parser.add_argument(
        "--challenge", metavar="good=N,bad=M",
        help="known parts that must get their verdict in a row before any other is inspected",
    )  # fmt: skip
    parser.add_argument(
        "--good-frame", type=some_path, metavar="FILE",
        help="picture for the self-check, which has to be OK (default: the first part that is OK)",
    )  # fmt: skip
    parser.add_argument(
        "--self-check-s", type=float, default=PERIOD_S, metavar="S",
        help=f"inspect the good frame when no part came for so long, and again after as long ({PERIOD_S:g})",
    )  # fmt: skip
    check_help = (
        "let the detector infer and load what page and bindings need, open no camera and no socket, and end; beside "
        "--recipes a detector stands in where none is in force yet"
    )
    parser.add_argument("--check", action="store_true", help=check_help)
    parser.add_argument("--registers", action="store_true", help="print the register map in Markdown, and end")
    parser.add_argument("--topics", action="store_true", help="print the messages over MQTT in Markdown, and end")
    parser.add_argument("--c-header", action="store_true", help="print client/proctor_wire.h, and end")
    add_log_option(parser)
    parser.add_argument(
        "--s7-source", choices=DIALECTS, metavar="|".join(DIALECTS),
        help="print the data block of --s7 as a source for TIA Portal or STEP 7, and end",
    )  # fmt: skip
    add_page_options(parser)
    add_camera_options(parser)
    add_engine_options(parser)
    return parser


if __name__ == "__main__":
    run(main)

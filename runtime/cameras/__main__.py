"""``python -m runtime.cameras``: which cameras this machine has; with a URI, what one of them delivers."""

import argparse
import json
import shlex
import threading
from itertools import count
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.atomic import check_writable, write_atomically
from runtime.camera_options import add_camera_options, camera_options
from runtime.cameras import KNOWN, open_camera
from runtime.cameras.base import Found
from runtime.cameras.capture import without_password
from runtime.cameras.listing import found_cameras
from runtime.cameras.trial import Trial, try_camera
from runtime.cli import as_flag, program, run, sibling, some_path
from runtime.default_detector import default_in_folder, is_demo
from runtime.errors import InputError, SourceError
from runtime.opencv_log import quiet_opencv
from runtime.outputs import say
from runtime.signals import stopping_on_signals

LONGEST_S = 86_400.0


def main() -> None:
    arguments = _parser().parse_args()
    if arguments.uri is None:
        found = found_cameras()
        print(json.dumps([vars(each) for each in found], indent=2) if arguments.json else "\n".join(listed(found)))
        return
    if not 0 < arguments.seconds <= LONGEST_S:
        raise InputError(f"--seconds is {arguments.seconds:g}; expected more than 0, and {LONGEST_S:,.0f} at most")
    target = arguments.save or _free_name()
    check_writable(target)  # before the camera is disturbed
    options = camera_options(arguments)
    stopped = threading.Event()
    with (
        quiet_opencv,
        open_camera(arguments.uri, options, as_flag) as source,
        stopping_on_signals(stopped.set),
    ):
        trial = try_camera(source, arguments.seconds, stopped.is_set)
    shown = without_password(arguments.uri)
    unsaved = None if trial.picture is None else _unsaved(trial.picture, target)
    saved = target if trial.picture is not None and unsaved is None else None
    if arguments.json:
        named = None if saved is None else str(saved)
        print(json.dumps({"camera": shown, "saved": named, **trial.document()}, indent=2))
    else:
        print("\n".join(told(trial, shown, saved)))
    if unsaved is not None:
        raise unsaved
    if trial.picture is None:
        reason = next(iter(trial.problems), f"nothing came within {trial.watched_s:.1f} s")
        raise SourceError(f"{shown} delivered no whole picture: {reason}")
    say(f"next: {next_command(arguments, shown)}")


def listed(found: list[Found]) -> list[str]:
    """The cameras in lines, and what to type next."""
    here = [each for each in found if each.uri is not None]
    width = max((len(each.uri or "") for each in here), default=4) + 2
    lines = [f"{each.uri:{width}}{each.text}" for each in here]
    lines += [f"{'-':{width}}{each.text}" for each in found if each.uri is None]
    lines += [f"{'demo':{width}}a rendered line, without a camera", "", "others by their address: rtsp://…, http://…"]
    example = shlex.quote(here[0].uri or "") if here else "demo"
    return [*lines, f"next: {sibling('cameras', 'runtime.cameras')} {example}"]


def _unsaved(picture: NDArray[np.uint8], target: Path) -> InputError | None:
    """Save a picture; why that was not possible, which is no reason to keep quiet about the camera."""
    encoded, data = cv2.imencode(".png", picture)
    assert encoded
    try:
        write_atomically(target, data.tobytes())
    except InputError as error:
        return error
    return None


def told(trial: Trial, shown: str, saved: Path | None) -> list[str]:
    """A trial in lines; `saved` is where its picture lies, if it does."""
    sizes = ", ".join(f"{width}×{height}" for width, height in trial.sizes) or "no size known"
    sent = f", sent as {trial.sent_as}" if trial.sent_as else ""
    lines = [f"{shown}: {trial.pictures} pictures in {trial.watched_s:.1f} s; {sizes}{sent}"]
    if trial.rate is not None and trial.live:
        lines.append(
            f"rate: {trial.rate:.1f} a second; from one to the next {trial.median_gap_ms:.0f} ms (median), "
            f"{trial.longest_gap_ms:.0f} ms (longest)"
        )
    counted = "the camera counts none" if trial.counter_gaps is None else f"{trial.counter_gaps} by its own count"
    lines.append(f"missing: {counted}, {trial.drops} dropped here, {trial.reconnects} reconnects")
    if trial.repeated:
        lines.append(f"repeated: {trial.repeated} pictures equal to the one before, which a stream rejects as frozen")
    lines += [f"problem: {reason} ({times} times)" for reason, times in trial.problems.most_common()]
    return lines if saved is None else [*lines, f"saved: {saved}"]


def next_command(arguments: argparse.Namespace, shown: str) -> str:
    """The command that inspects what the camera sees, and before it the one that makes a detector, where there is none
    in the working folder."""
    given = [f"--camera-set {shlex.quote(each)}" for each in arguments.camera_set or ()]
    given += [f"--rtsp-transport {arguments.rtsp_transport}"] if arguments.rtsp_transport else []
    given += ["--accept-size-change"] if arguments.accept_size_change else []
    stream = " ".join([sibling("stream", "runtime.stream"), "--camera", shlex.quote(shown), *given])
    if is_demo(shown) or default_in_folder() is not None:
        return stream
    return (
        f"{sibling('train', 'train')} --data GOOD_IMAGES --out detector.onnx, on pictures of this camera; then {stream}"
    )


def _free_name() -> Path:
    """``camera.png``, or the first of ``camera-2.png`` and so on that is no file yet."""
    names = (Path("camera.png" if number == 1 else f"camera-{number}.png") for number in count(1))
    return next(path for path in names if not path.exists())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program("runtime.cameras"),
        description="List the cameras of this machine, or try one: its rate, its pictures' size, what is missing.",
    )
    parser.add_argument("uri", nargs="?", metavar="URI", help=f"the camera to try: {KNOWN}")
    parser.add_argument("--seconds", type=float, default=5.0, metavar="S", help="how long to try it (default: 5)")
    save_help = "where its last picture goes, as PNG (default: camera.png, or camera-2.png and so on beside it)"
    parser.add_argument("--save", type=some_path, metavar="FILE", help=save_help)
    parser.add_argument("--json", action="store_true", help="print everything as one JSON document")
    add_camera_options(parser)
    return parser


if __name__ == "__main__":
    run(main)

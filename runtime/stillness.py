"""``python -m runtime.stillness``: how much pictures of a scene at rest differ, for `runtime.cameras.still`."""

import argparse
from dataclasses import replace

from runtime.camera_options import add_camera_options, camera_options
from runtime.cameras import KNOWN, open_camera
from runtime.cameras.base import Source
from runtime.cameras.still import FEWEST, measure_stillness, samples
from runtime.cli import as_flag, positive, program, run
from runtime.errors import InputError, SourceError
from runtime.frames import Frame


def taken(source: Source, count: int, timeout_s: float = 5.0) -> list[Frame]:
    """`count` frames with a picture, of a live camera. Raises what reading raises, and `SourceError` where the stream
    ends or a frame has a problem."""
    found: list[Frame] = []
    while len(found) < count:
        frame = source.read(timeout_s)
        if frame is None or frame.problem is not None:
            why = "the stream ended" if frame is None else frame.problem
            raise SourceError(f"{len(found)} of {count} frames came, then: {why}; measure again with a sound camera")
        found.append(replace(frame, image=samples(frame.image)))
    return found


def main() -> None:
    arguments = _parser().parse_args()
    with open_camera(arguments.camera, camera_options(arguments), as_flag) as source:
        if not source.live:
            raise InputError("the camera is a file or rendered; a still picture can be told of a live camera alone")
        found = measure_stillness(taken(source, max(arguments.frames, FEWEST)))
    print(found.words())
    print(f"--still-limit {found.limit:g}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program("runtime.stillness"),
        description="Measure how much a live camera's pictures of a scene at rest differ: below half of it, it hangs.",
    )
    parser.add_argument("camera", metavar="CAMERA", help=KNOWN)
    parser.add_argument(
        "--frames", type=positive, default=100, metavar="N", help=f"to measure by, {FEWEST} or more (%(default)s)"
    )
    add_camera_options(parser)
    return parser


if __name__ == "__main__":
    run(main)

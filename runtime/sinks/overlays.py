"""Overlays on disk: what the camera saw beside what the detector made of it."""

import itertools
import shutil
from pathlib import Path

import cv2

from runtime.atomic import removed_on_error
from runtime.errors import InputError
from runtime.frames import Frame
from runtime.outputs import say
from runtime.overlay import draw_overlay
from runtime.printable import file_stem
from runtime.verdict import Verdict

JPEG_QUALITY = 92
LEAST_FREE_BYTES = 64 * 2**20  # some hundred overlays


class OverlayFolder:
    """Writes an overlay of every frame into a folder, as ``000012-NG-part_17.jpg``: the frame's number, the decision,
    and the part's id or the name of its file, where it has one.

    A folder with overlays of an earlier run keeps them as they are: those of this run go into ``run-2`` inside it, or
    ``run-3`` and so on. `folder` says where. Not essential: pictures are for a look later.
    """

    name, essential = "overlays", False

    def __init__(self, folder: Path) -> None:
        """Raises `InputError` when the folder cannot be made or written, or its disk is full."""
        try:
            numbered = (folder / f"run-{number}" for number in itertools.count(2))
            asked = folder
            folder = self.folder = next(place for place in itertools.chain([asked], numbered) if not _in_use(place))
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / ".proctor-probe"
            probe.write_bytes(b"\0")
            probe.unlink()
            free_bytes = shutil.disk_usage(folder).free
        except OSError as error:
            reason = error.strerror
            raise InputError(f"overlays cannot be saved in {folder} ({reason}); choose another folder") from error
        if free_bytes < LEAST_FREE_BYTES:
            raise InputError(
                f"overlays cannot be saved in {folder}: {free_bytes / 2**20:.0f} MB are free, "
                f"{LEAST_FREE_BYTES / 2**20:.0f} MB are needed; free space or choose another disk"
            )
        if folder != asked:
            say(f"{asked} has overlays of an earlier run; those of this run go into {folder}")

    def write(self, frame: Frame, verdict: Verdict) -> None:
        """See `Sink.write`. Raises `OSError` when the disk is full."""
        path = self.folder / overlay_name(frame, verdict)
        data = cv2.imencode(".jpg", draw_overlay(frame, verdict), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
        partial = path.with_name(f".{path.name}")
        with removed_on_error(partial):
            partial.write_bytes(data.tobytes())  # `write_atomically` would wait for the disk at every frame
            partial.replace(path)

    def close(self) -> None:
        """Nothing is left to write."""


def overlay_name(frame: Frame, verdict: Verdict) -> str:
    """What the overlay of a frame is called: a name of its own, and one that every file system takes."""
    part = frame.part_id or (Path(frame.name).stem if frame.name else "")
    return "-".join(filter(None, (f"{frame.frame_id:06}", verdict.decision.value, file_stem(part)))) + ".jpg"


def _in_use(folder: Path) -> bool:
    return any(folder.glob("[0-9]*-*.jpg"))

"""What a stream leaves behind while it runs: lines for a person or a program, and overlays on disk."""

import itertools
import shutil
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import cv2

from runtime.atomic import removed_on_error
from runtime.errors import InputError
from runtime.frames import Frame
from runtime.outputs import delivering
from runtime.overlay import draw_overlay
from runtime.printable import file_stem, printable
from runtime.verdict import Decision, Verdict

JPEG_QUALITY = 92
LEAST_FREE_BYTES = 64 * 2**20  # some hundred overlays
COUNTER_PERIOD_S = 0.2


class JsonLines:
    """Every verdict as one line of JSON."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def __call__(self, frame: Frame, verdict: Verdict) -> None:
        with delivering():
            print(verdict.to_json(), file=self._out, flush=True)

    def close(self) -> None:
        """Nothing is left to write."""


class Headlines:
    """A line for each part that is rejected, and on a terminal a running count below."""

    def __init__(self, out: TextIO | None = None, terminal: TextIO | None = None) -> None:
        """Into `out` (stdout), counting on `terminal` (stderr)."""
        self._out, self._terminal = out or sys.stdout, terminal or sys.stderr
        self._counts: Counter[Decision] = Counter()
        self._shows_count = self._terminal.isatty()
        self._shown_s = 0.0

    def __call__(self, frame: Frame, verdict: Verdict) -> None:
        self._counts[verdict.decision] += 1
        if verdict.decision is not Decision.OK:
            self._wipe()
            with delivering():
                print(headline(verdict), file=self._out, flush=True)
        if self._shows_count and time.monotonic() - self._shown_s >= COUNTER_PERIOD_S:
            self._shown_s = time.monotonic()
            counts = ", ".join(f"{self._counts[decision]} {decision.value}" for decision in Decision)
            self._show(f"\r\033[K{self._counts.total()} frames: {counts}")

    def close(self) -> None:
        """Wipe the count, so that the summary starts on a clean line."""
        self._wipe()

    def _wipe(self) -> None:
        if self._shows_count:
            self._show("\r\033[K")
            self._shown_s = 0.0

    def _show(self, text: str) -> None:
        with suppress(OSError):  # a terminal that has hung up
            print(text, end="", file=self._terminal, flush=True)


class OverlayFolder:
    """Writes an overlay of every frame into a folder, as ``000012-NG-part_17.jpg``: the frame's number, the decision,
    and the part's id or the name of its file, where it has one.

    A folder with overlays of an earlier run keeps them as they are: those of this run go into ``run-2`` inside it, or
    ``run-3`` and so on. `folder` says where.
    """

    def __init__(self, folder: Path) -> None:
        """Raises `InputError` when the folder cannot be made or written, or its disk is full."""
        try:
            numbered = (folder / f"run-{number}" for number in itertools.count(2))
            folder = self.folder = next(place for place in itertools.chain([folder], numbered) if not _in_use(place))
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

    def __call__(self, frame: Frame, verdict: Verdict) -> None:
        """Raises `InputError` when the disk fills up under way."""
        path = self.folder / overlay_name(frame, verdict)
        data = cv2.imencode(".jpg", draw_overlay(frame, verdict), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
        partial = path.with_name(f".{path.name}")
        try:
            with removed_on_error(partial):
                partial.write_bytes(data.tobytes())  # `write_atomically` would wait for the disk at every frame
                partial.replace(path)
        except OSError as error:
            raise InputError(f"{path} cannot be written ({error.strerror}); free space or leave out --save") from error


def overlay_name(frame: Frame, verdict: Verdict) -> str:
    """What the overlay of a frame is called: a name of its own, and one that every file system takes."""
    part = frame.part_id or (Path(frame.name).stem if frame.name else "")
    return "-".join(filter(None, (f"{frame.frame_id:06}", verdict.decision.value, file_stem(part)))) + ".jpg"


def _in_use(folder: Path) -> bool:
    return any(folder.glob("[0-9]*-*.jpg"))


def headline(verdict: Verdict) -> str:
    """A verdict in one line, whatever the file is called: decision, frame, reason, and where the worst region is."""
    name = f" ({verdict.name})" if verdict.name else ""
    text = f"{verdict.decision.value:11} frame {verdict.frame_id}{name}: {verdict.reason}"
    if verdict.regions:
        x, y = verdict.regions[0].peak_xy
        count = len(verdict.regions)
        text += f"; {count} region{'s' if count > 1 else ''}, peak at x {x:.0f}, y {y:.0f}"
    return printable(text)

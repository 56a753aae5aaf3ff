"""Whole pictures of a camera, kept as the camera gave them, for people to look at and a detector to be made of.

It works in the stream's process, and never holds it up: a thread of low priority writes, and what comes while it is
busy is left out. Every picture is kept that is one, whatever the detector says of it: where light or parts have
changed, good parts are rejected, and they are what is wanted. People say which are good.
"""

import json
import os
import queue
import re
import shutil
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.atomic import write_atomically
from runtime.closing import Closing
from runtime.errors import InputError
from runtime.frames import Frame
from runtime.outputs import say
from runtime.refused import refused
from runtime.verdict import Verdict
from runtime.web.part_sets import GOOD, PICTURE, REFUSED

WAITING = 2  # pictures
FREE_RUN_S = 1.0  # between two pictures of a camera that nobody triggers: they show the same part
LEAST_FREE_BYTES = 2**30  # of the disk, which records and logs need, too
NICE = 10
CLOSE_S = 5.0
NAME = "{:06d}.png"
SAID_OF = re.compile(rb'"name": "(\d{6})\.png"')  # in a line, or in half a one after a power cut


class Collector(Closing):
    """Keeps so many pictures of one camera in a folder. From any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._camera: str | None = None  # None: nothing is collected
        self._folder, self._wanted, self._kept = Path(), 0, 0
        self._began = 0  # how often: what was taken before the last time is of another folder
        self._problem: str | None = None
        self._last_s = -float("inf")
        self._waiting: queue.Queue[tuple[int, Path, Frame, dict[str, Any]] | None] = queue.Queue(WAITING)
        self._thread: threading.Thread | None = None

    @property
    def state(self) -> dict[str, Any] | None:
        """What is collected, or was last; None before anything was."""
        with self._lock:
            if not self._began:
                return None
            return {
                "number": self._began,
                "camera": self._camera,
                "folder": str(self._folder),
                "wanted": self._wanted,
                "kept": self._kept,
                "problem": self._problem,
            }

    def begin(self, camera: str, folder: Path, wanted: int) -> None:
        """Keep the next pictures of `camera` in `folder`, until it has `wanted` of this collection. What was collected
        before is over."""
        with self._lock:
            self._camera, self._folder, self._wanted, self._kept = camera, folder, wanted, 0
            self._problem, self._last_s = None, -float("inf")
            self._began += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="collector", daemon=True)
                self._thread.start()

    def end(self) -> None:
        """Keep no more."""
        with self._lock:
            self._camera = None

    def take(self, camera: str, frame: Frame, verdict: Verdict) -> None:
        """A picture and what was said of it. Returns at once."""
        now_s = time.monotonic()
        with self._lock:
            if camera != self._camera or frame.problem is not None or not frame.image.size:
                return
            if frame.triggered_s is None and frame.live and now_s - self._last_s < FREE_RUN_S:
                return
            told = {
                "part_id": verdict.part_id,
                "frame_id": verdict.frame_id,
                "at": verdict.decided_at,
                "decision": verdict.decision.value,
                "reason": verdict.reason,
                "score": verdict.score,
                "threshold": verdict.threshold,
            }
            try:
                self._waiting.put_nowait((self._began, self._folder, frame, told))
            except queue.Full:
                return  # the next one will do
            self._last_s = now_s

    def close(self) -> None:
        """End. A picture that is being written is waited for; a disk that hangs is left behind."""
        self.end()
        if self._thread is None:
            return
        deadline_s = time.monotonic() + CLOSE_S
        with suppress(queue.Full):
            self._waiting.put(None, timeout=CLOSE_S)
            self._thread.join(max(0.0, deadline_s - time.monotonic()))
        if self._thread.is_alive():
            say("warning: the disk that pictures are collected on hangs; the last one may be missing there")

    def _work(self) -> None:
        if hasattr(os, "setpriority"):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)  # of this thread alone
        while (item := self._waiting.get()) is not None:
            began, folder, frame, told = item
            with self._lock:
                if began != self._began or self._camera is None or self._kept >= self._wanted:
                    continue
            problem = _kept(folder, frame.image, told)
            with self._lock:
                if began != self._began:
                    continue
                self._problem = problem
                self._kept += problem is None
                if problem is not None or self._kept >= self._wanted:
                    self._camera = None
            if problem is not None:
                say(f"warning: pictures are collected no more: {problem}; inspection goes on")


def _kept(folder: Path, image: NDArray[np.uint8], told: dict[str, Any]) -> str | None:
    """Write a picture under the next number, and what was said of it; why that was not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(folder).free < LEAST_FREE_BYTES:
            return f"the disk of {folder} has less than {LEAST_FREE_BYTES // 2**20} MiB left"
        said = folder.parent / f"{folder.name}.jsonl"
        before = said.read_bytes() if said.exists() else b""
        name = NAME.format(1 + _highest(folder, before))
        write_atomically(folder / name, cv2.imencode(".png", image)[1].tobytes())
        end = "\n" if before and not before.endswith(b"\n") else ""  # of half a line, which would spoil this one
        with open(said, "a", encoding="utf-8") as lines:
            lines.write(end + json.dumps({"name": name, **told}) + "\n")
    except InputError as error:
        return str(error)
    except OSError as error:
        return refused(error.filename or folder, "written", error, "check the path")
    return None


def _highest(folder: Path, said: bytes) -> int:
    """The highest number that a picture has or had. Neither lines nor files tell alone: a power cut may leave a picture
    without its line or half a line, and a picture of a good part may have become a refused one.
    """
    # the folder twice: meanwhile a picture may come back from the refused ones
    places = (folder, folder.parent / REFUSED, folder) if folder.name == GOOD else (folder,)
    files = [each.name for place in places if place.is_dir() for each in place.iterdir()]
    taken = [int(Path(name).stem) for name in files if PICTURE.fullmatch(name)]
    return max((*taken, *map(int, SAID_OF.findall(said))), default=0)

"""A watched folder as a source: pictures that another program writes into it, each once, as soon as it is whole.

``watch:FOLDER``; ``watch:FOLDER?settled=done`` for writers that put a ``.done`` beside each picture they finished, and
``watch:FOLDER?existing=yes`` to begin with what lies there already.
"""

import logging
import os
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from runtime.cameras.base import FreeRun
from runtime.errors import ImageError, InputError, SourceError, SourceTimeout
from runtime.frames import Frame, missing_frame
from runtime.images import read_image
from runtime.pictures.folder import escaped, is_hidden
from runtime.pictures.kinds import ends_as_picture
from runtime.printable import printable
from runtime.query import with_options

log = logging.getLogger(__name__)
SETTLED_S = 0.5  # unchanged for so long, a file is taken to be written
PATIENCE_S = 5.0  # for one that is then not whole: its writer may have paused
POLL_S, LOST_POLL_S = 0.05, 1.0
SCAN_SHARE = 4  # a look takes a quarter of the time at most, in folders of very many files
MOST_SEEN = 100_000  # pictures that are remembered after they were taken away: a share that comes back shows them again
DONE = ".done"
EXPECTED = "expected watch:FOLDER, or as in watch:FOLDER?settled=done&existing=yes"


@dataclass(frozen=True)
class State:
    """What of a file changes when it is written. Not its inode: a network share has others when it comes back."""

    size: int
    modified_ns: int


@dataclass(eq=False)
class Waiting:
    """A picture that is new or changed, and not yet known to be whole."""

    path: Path
    state: State
    since_s: float  # when it was first seen so, on the monotonic clock
    due_s: float  # when it counts, if it stays so


Listing: TypeAlias = dict[str, tuple[State, int]]  # files by name, with their inodes


class WatchedFolder(FreeRun):
    """The pictures that arrive in a folder, each once, in the order in which they were written.

    Files whose ending is that of a picture count. One does when its size and time have not changed for half a second,
    or with `by_done` when a ``.done`` that is no older lies beside it (``part.png.done`` or ``part.done``). One that
    cannot be decoded then may have a writer that pauses: without a ``.done`` it is waited for until it has not changed
    for five seconds, and is then a frame with a `problem`. So are a picture that disappears before it was read, and a
    folder that cannot be read any more; it is looked at until it can.

    A file that is written again is a new picture, one that is renamed is none. What was there before is left out unless
    `existing`. Nothing is dropped: what arrives while nobody reads waits in the folder.
    """

    live, drops, lost = False, 0, 0

    def __init__(
        self, folder: Path, by_done: bool = False, existing: bool = False, max_pixels: int | None = None
    ) -> None:
        """Raises `SourceError` when `folder` is none or cannot be read."""
        self.reconnects = 0
        self._folder, self._by_done, self._max_pixels = folder, by_done, max_pixels
        self._last: Listing = {}  # the folder as it was when it was last looked at
        self._seen: dict[str, State] = {}  # the pictures that were taken up, those that are gone too, up to MOST_SEEN
        self._waiting: dict[str, Waiting] = {}
        self._ready: deque[Waiting | str] = deque()  # a text is the problem of a picture that will not come
        self._number, self._lost, self._closed = 0, False, False
        self._next_look_s = 0.0
        try:
            listed = self._listed()
        except OSError as error:
            raise SourceError(
                f"camera 'watch:{folder}' cannot be read: {error.strerror}; make the folder, or give the one that the "
                "pictures are written to"
            ) from error
        if not existing:
            self._leave_out(listed)

    def read(self, timeout_s: float = 5.0) -> Frame | None:
        """See `Source.read`."""
        deadline_s = time.monotonic() + timeout_s
        while not self._closed:
            if not self._ready:
                self._look()
            if self._ready:
                if frame := self._frame(self._ready.popleft()):
                    return frame
            elif (left_s := deadline_s - time.monotonic()) > 0:
                time.sleep(min(POLL_S, left_s))
            else:
                raise SourceTimeout(f"no new picture in {self._folder} within {timeout_s:g} s")
        return None

    def close(self) -> None:
        """See `Source.close`."""
        self._closed = True

    def _leave_out(self, listed: Listing) -> None:
        self._last = listed
        self._seen = {name: state for name, (state, _) in listed.items() if ends_as_picture(Path(name))}
        if count := len(self._seen):
            pictures = "1 picture" if count == 1 else f"{count} pictures"
            advice = "watch:FOLDER?existing=yes begins with what is there"
            log.warning("%s: %s of before left out; %s", escaped(str(self._folder)), pictures, advice)

    def _listed(self) -> Listing:
        """The files of the folder without hidden ones. Raises `OSError`."""
        found = {}
        with os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(OSError):  # it has gone meanwhile
                    if not is_hidden(Path(entry.name)) and entry.is_file():
                        status = entry.stat()
                        found[entry.name] = State(status.st_size, status.st_mtime_ns), status.st_ino
        return found

    def _look(self) -> None:
        """Compare the folder with how it was, and find which pictures are finished."""
        now_s = time.monotonic()
        if now_s < self._next_look_s:
            return
        try:
            listed = self._listed()
        except OSError as error:
            if not self._lost:
                advice = "looking at it again until it can"
                self._ready.append(f"camera lost: {self._folder} cannot be read ({error.strerror}); {advice}")
            self._lost, self._next_look_s = True, now_s + LOST_POLL_S
            return
        self.reconnects += self._lost
        self._lost = False
        self._take_up(listed, now_s)
        finished = [each for each in self._waiting.values() if self._is_finished(each, listed, now_s)]
        for each in sorted(finished, key=lambda each: (each.state.modified_ns, each.path.name)):
            self._ready.append(self._waiting.pop(each.path.name))
        self._next_look_s = now_s + max(POLL_S, SCAN_SHARE * (time.monotonic() - now_s))

    def _take_up(self, listed: Listing, now_s: float) -> None:
        """Have each picture wait that is new or was written to."""
        gone = {name: self._last[name] for name in self._last.keys() - listed.keys() if name in self._seen}
        moved = {written: name for name, written in gone.items()}
        for name, (state, inode) in listed.items():
            if self._seen.get(name) == state or not ends_as_picture(Path(name)):
                continue
            self._seen.pop(name, None)  # the latest last
            self._seen[name] = state
            before = moved.get((state, inode))
            if before is None:
                self._waiting[name] = Waiting(self._folder / name, state, now_s, now_s + SETTLED_S)
            elif before in self._waiting:  # renamed; else it was taken under its old name
                self._waiting[name] = replace(self._waiting.pop(before), path=self._folder / name)
        for name in gone.keys() & self._waiting.keys():
            path = self._waiting.pop(name).path
            self._ready.append(f"{path} disappeared before it was whole; let no program take pictures away so early")
        while len(self._seen) > max(MOST_SEEN, len(listed)):
            del self._seen[next(iter(self._seen))]
        self._last = listed

    def _is_finished(self, each: Waiting, listed: Listing, now_s: float) -> bool:
        if not self._by_done:
            return now_s >= each.due_s
        names = (f"{each.path.name}{DONE}", f"{each.path.stem}{DONE}")
        return any(name in listed and listed[name][0].modified_ns >= each.state.modified_ns for name in names)

    def _frame(self, item: Waiting | str) -> Frame | None:
        """The picture of a file, or None where it is to be waited for again."""
        if isinstance(item, str):
            return self._numbered(missing_frame(0, printable(item)))
        image, problem = None, ""
        try:
            image = read_image(item.path, self._max_pixels)
        except ImageError as error:
            problem = str(error)
        if self._was_written(item):  # while it was read: the next look takes it up
            return None
        if image is not None:
            return self._numbered(Frame(image, 0, name=item.path.name))
        due_s = item.since_s + PATIENCE_S
        if not self._by_done and time.monotonic() < due_s and item.path.exists():
            self._waiting[item.path.name] = replace(item, due_s=due_s)
            return None
        return self._numbered(missing_frame(0, printable(problem), name=item.path.name))

    def _was_written(self, item: Waiting) -> bool:
        try:
            status = item.path.stat()
        except OSError:
            return False
        return State(status.st_size, status.st_mtime_ns) != item.state

    def _numbered(self, frame: Frame) -> Frame:
        self._number += 1
        return replace(frame, frame_id=self._number - 1)


def open_watched(uri: str, max_pixels: int | None = None) -> WatchedFolder:
    """``watch:FOLDER?settled=done&existing=yes``. Raises `InputError` for other options, `SourceError` for none."""
    place, given = with_options("the camera", uri, ("settled", "existing"), EXPECTED)
    name, settled, existing = place.partition(":")[2], given.get("settled", "time"), given.get("existing", "no")
    if not name or settled not in ("time", "done") or existing not in ("no", "yes"):
        raise InputError(f"the camera is {uri!r}; {EXPECTED}")
    return WatchedFolder(Path(name), settled == "done", existing == "yes", max_pixels)

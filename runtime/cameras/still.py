"""A still picture in free run: a camera that hangs behind an encoder goes on delivering, and all pictures are one.

Where the pictures are equal bit for bit, `runtime.health` says so. An encoder, or a clock that it draws into the
picture, makes them differ a little. The noise of a sensor that lives makes them differ more, even of a still scene. How
much, differs from camera to camera, so it is measured where the camera is set up::

    python -m runtime.stillness CAMERA [--frames 100]

with the scene at rest, and half of the least change found is the limit: ``--still-limit`` of ``python -m
runtime.stream``, ``still_limit`` of a camera in a line's YAML. A picture that changes less from the one before is
*frozen*. So are those after it until the camera has changed its picture `AWAKE` times in a row, since an encoder sends
a key frame now and then, and that differs.

This holds for cameras in free run alone. A trigger may come twice to one part, and a file may hold a picture twice.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.bounds import check_above_zero
from runtime.cameras.base import FreeRun, Source
from runtime.errors import InputError
from runtime.frames import Frame, missing_frame

SAMPLES = 256  # of either side of a picture, at the least, that are compared
CELLS = 16  # each way
QUANTILE = 0.9  # of the cells: a clock in the picture changes few of them, and clipped ones never change
SHARE = 0.5  # of the least change of a live camera
AWAKE = 3  # changes in a row that make a frozen camera a live one
FEWEST = 20  # frames to measure by
LEAST = 0.1  # grey levels; a camera that changes less cannot be told from one that hangs
MOST = 15.0  # grey levels; no sensor in use is as noisy: the scene moved, or the light did


def samples(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Every k-th pixel of a picture [H, W, 3], at least `SAMPLES` each way where it has as many, as an array of its
    own."""
    rows, columns = (max(1, side // SAMPLES) for side in image.shape[:2])
    return np.ascontiguousarray(image[::rows, ::columns])


def change(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """How much two pictures of one size, as `samples`, differ, in grey levels.

    The `QUANTILE` over 16×16 cells of the mean absolute difference of all pixels and colours in a cell.
    """
    difference = cv2.absdiff(first, second).astype(np.float32)
    cells = cv2.resize(difference, (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    return float(np.quantile(cells.mean(axis=2), QUANTILE))


@dataclass(frozen=True)
class Stillness:
    """What a live camera showed of a scene at rest: changes from frame to frame, grey levels."""

    frames: int
    least: float
    median: float
    most: float

    @property
    def limit(self) -> float:
        """What ``--still-limit`` is to be. Raises `InputError` where no limit would tell a live camera from another."""
        if self.least < LEAST:
            raise InputError(
                f"two frames of this camera differ by {self.least:.2g} grey levels only, and {LEAST:g} or more are "
                "needed: its encoder takes away the sensor's noise, so that a camera that hangs looks like one that "
                "lives. Choose MJPEG, or H.264 of a higher rate, and measure again"
            )
        if self.median > MOST:
            raise InputError(
                f"frames of this camera differ by {self.median:.3g} grey levels; expected {MOST:g} or less of a scene "
                "at rest. Stop the belt and what else moves or flickers, and measure again"
            )
        return float(f"{SHARE * self.least:.2g}")

    def words(self) -> str:
        """For people."""
        return (
            f"{self.frames} frames of a scene at rest changed by {self.least:.3g} grey levels at the least, "
            f"{self.median:.3g} as a rule, {self.most:.3g} at the most"
        )


def measure_stillness(frames: Iterable[Frame]) -> Stillness:
    """Changes between the live frames of a scene at rest; frames with a problem are passed over.

    Raises `InputError` for fewer than `FEWEST`, and for frames that are not live or of several sizes.
    """
    last: NDArray[np.uint8] | None = None
    changes = []
    for frame in (each for each in frames if each.problem is None):
        if not frame.live:
            raise InputError("the frames are not a live camera's; a still picture can be told of a live camera alone")
        now = samples(frame.image)
        if last is not None:
            if now.shape != last.shape:
                raise InputError("the camera changed its resolution; leave it alone, and measure again")
            changes.append(change(last, now))
        last = now
    if len(changes) + 1 < FEWEST:
        raise InputError(f"{len(changes) + (last is not None)} frames came; expected {FEWEST} or more to measure by")
    return Stillness(len(changes) + 1, min(changes), float(np.median(changes)), max(changes))


class StillCheck:
    """Says of a camera's frames, one after the other, which are frozen. For one thread at a time."""

    def __init__(self, limit: float) -> None:
        """`limit` is in grey levels, above 0, from `Stillness.limit`. Raises `InputError` for another."""
        check_above_zero("the still limit", limit)
        self._limit = limit
        self._last: NDArray[np.uint8] | None = None
        self._asleep = 0  # changes that are still to come before the camera counts as live

    def problem(self, frame: Frame) -> str | None:
        """Why a frame with a picture is frozen, in words, or None."""
        now, last = samples(frame.image), self._last
        self._last = now
        if last is None or last.shape != now.shape:
            self._asleep = 0
            return None
        found = change(last, now)
        if found < self._limit:
            self._asleep = AWAKE
            return f"frozen: the picture changed by {found:.2g} grey levels, a live one by {self._limit:.2g} or more"
        self._asleep = max(0, self._asleep - 1)
        if self._asleep:
            return f"frozen: the picture stood still, and has changed {AWAKE - self._asleep} of {AWAKE} times since"
        return None


class WatchedSource(FreeRun):
    """A live camera in free run whose frozen frames have a `problem` and no picture, so that nothing scores them."""

    live = True

    def __init__(self, source: Source, limit: float) -> None:
        """It closes `source`. Raises `InputError` for one that is not live or is triggered, and for a limit that is
        none."""
        if not source.live or source.pairs_by is not None:
            raise InputError(
                "a still limit is for live cameras in free run: a file or the demo line may hold a picture twice, and "
                "a trigger may come twice to one part; leave it out"
            )
        self._source, self._check = source, StillCheck(limit)

    @property
    def drops(self) -> int:
        """See `Source.drops`."""
        return self._source.drops

    @property
    def lost(self) -> int:
        """See `Source.lost`."""
        return self._source.lost

    @property
    def reconnects(self) -> int:
        """See `Source.reconnects`."""
        return self._source.reconnects

    @property
    def waits_for(self) -> str | None:
        """Why the camera could not be opened yet, where it may come later."""
        found: str | None = getattr(self._source, "waits_for", None)
        return found

    def read(self, timeout_s: float = 5.0) -> Frame | None:
        """See `Source.read`."""
        frame = self._source.read(timeout_s)
        if frame is None or frame.problem is not None:
            return frame
        problem = self._check.problem(frame)
        if problem is None:
            return frame
        return replace(frame, image=missing_frame(0, problem).image, problem=problem)

    def close(self) -> None:
        """See `Source.close`."""
        self._source.close()

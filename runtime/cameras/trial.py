"""A camera tried: how fast it delivers, how large its pictures are, and what of them was missing."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.cameras.base import Source
from runtime.errors import SourceTimeout
from runtime.frames import Frame

POLL_S = 0.2


@dataclass
class Trial:
    """What came of a camera within some time."""

    live: bool
    watched_s: float = 0.0
    pictures: int = 0  # that came whole
    problems: Counter[str] = field(default_factory=Counter)  # by reason
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)  # width, height
    sent_as: str | None = None
    rate: float | None = None  # pictures a second, from the first to the last
    median_gap_ms: float | None = None  # from one picture to the next
    longest_gap_ms: float | None = None
    repeated: int = 0  # equal to the one before, bit for bit
    counter_gaps: int | None = None  # frames missing by the camera's own count, drops among them; None without a count
    drops: int = 0  # that this machine did not take in time
    reconnects: int = 0
    picture: NDArray[np.uint8] | None = None  # the last that came whole: [H, W, 3], BGR

    def document(self) -> dict[str, Any]:
        """It all but the picture, for JSON."""
        told = {name: value for name, value in asdict(self).items() if name != "picture"}
        sizes = [{"width": width, "height": height, "pictures": n} for (width, height), n in self.sizes.items()]
        return {**told, "sizes": sizes, "problems": dict(self.problems)}


def try_camera(source: Source, seconds: float, stopped: Callable[[], bool] = lambda: False) -> Trial:
    """Read from `source` for some time, or until it ends or is `stopped`. Raises `SourceError` when it breaks down."""
    trial = Trial(source.live)
    times, counters = list[float](), list[int]()
    started_s = time.monotonic()
    while (left_s := started_s + seconds - time.monotonic()) > 0 and not stopped():
        try:
            frame = source.read(min(POLL_S, left_s))
        except SourceTimeout:
            continue
        if frame is None:
            break
        _add(trial, frame, times, counters)
    trial.watched_s = time.monotonic() - started_s
    trial.drops, trial.reconnects = source.drops, source.reconnects
    trial.sent_as = getattr(source, "sent_as", None)
    if len(times) > 1:
        gaps_s = np.diff(times)
        trial.rate = (len(times) - 1) / max(times[-1] - times[0], 1e-9)
        trial.median_gap_ms, trial.longest_gap_ms = 1e3 * median(gaps_s), 1e3 * float(max(gaps_s))
    if counters:
        steps = np.diff(counters)
        trial.counter_gaps = int(np.sum(steps[steps > 1] - 1))
    return trial


def _add(trial: Trial, frame: Frame, times: list[float], counters: list[int]) -> None:
    if frame.counter is not None:
        counters.append(frame.counter)
    if frame.problem is not None:
        trial.problems[frame.problem] += 1
        return
    height, width = frame.image.shape[:2]
    last = trial.picture
    trial.repeated += trial.live and last is not None and np.array_equal(last, frame.image)
    trial.pictures, trial.picture = trial.pictures + 1, frame.image
    trial.sizes[width, height] += 1
    times.append(frame.captured_s)

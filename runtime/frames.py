"""A frame: one picture from a camera, with its identity and its time."""

import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Frame:
    """One picture. Its pixels belong to the frame and are never written to."""

    image: NDArray[np.uint8]  # [H, W, 3], BGR
    frame_id: int
    part_id: str | None = None
    live: bool = False  # from a sensor: two identical frames in a row mean that it hangs
    captured_s: float = field(default_factory=time.monotonic)  # monotonic clock
    captured_at: float = field(default_factory=time.time)  # wall clock, seconds since 1970 UTC
    defective: bool | None = None  # ground truth, where the source knows it
    name: str | None = None  # the file it came from, where there is one

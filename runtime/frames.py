"""A frame: one picture from a camera, with its identity and its time; or the place of one that did not arrive."""

import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

# What a reason begins with where a trigger has no verdict: no picture of its part came, or its verdict too late; the
# picture was not whole; camera or engine were busy
PROBLEMS = ("missed", "late", "incomplete", "overrun")


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
    counter: int | None = None  # the camera's own number of the frame, where it has one
    camera_ns: int | None = None  # the camera's own time stamp, nanoseconds on its clock
    triggered_s: float | None = None  # when the picture was asked for, monotonic clock; None in free run
    deadline_s: float | None = None  # when its verdict must be out, monotonic clock; None: no deadline
    problem: str | None = None  # why there is no picture; `image` is then empty, [0, 0, 3]


def missing_frame(frame_id: int, problem: str, live: bool = False, name: str | None = None) -> Frame:
    """A frame that should have come and did not. It is never scored: its verdict is NO_DECISION with `problem`."""
    return Frame(np.zeros((0, 0, 3), np.uint8), frame_id, live=live, name=name, problem=problem)

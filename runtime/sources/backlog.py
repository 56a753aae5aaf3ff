"""The pictures that a network camera sent while it was opened, dropped: the next one shows what is there now."""

import math
import sys
import time

import cv2

LONGEST_S = 5.0  # a machine that is slower than the camera never sees the end of a backlog
STALLS = 2  # pictures in a row that came as slowly as they were taken: one alone may be hard to decode
LEAST_FALL = 0.1  # of the time between two pictures
SHORTEST_WAIT_S = 0.002


def skip_backlog(capture: cv2.VideoCapture) -> int:
    """Drop what waits to be read, for up to 5 s, and the one or two pictures that show that it is over; how many.

    FFmpeg watches a stream for a second or more before it is open, and then delivers what it saw meanwhile at once.
    """
    deadline_s = time.monotonic() + LONGEST_S
    return (_skip_by_waits if decodes_here(capture) else _skip_by_stamps)(capture, deadline_s)


def decodes_here(capture: cv2.VideoCapture) -> bool:
    """Whether pictures are decoded in the thread that asks for them, and `timed_grab` tells work from waiting."""
    return int(capture.get(cv2.CAP_PROP_FOURCC)) == cv2.VideoWriter.fourcc(*"MJPG")


def timed_grab(capture: cv2.VideoCapture) -> tuple[bool, float]:
    """Grab a picture: whether that worked, and how many seconds this thread slept, waiting for the camera.

    While it merely stands still because another has the processor, it does not sleep.
    """
    sleeps, idle_s = _sleeps(), _idle_s()
    grabbed = capture.grab()
    return grabbed, _idle_s() - idle_s if _sleeps() > sleeps else 0.0


def _skip_by_stamps(capture: cv2.VideoCapture, deadline_s: float) -> int:
    """While there is a backlog, pictures come faster than they were taken, however long each takes to decode."""
    least_age_ms, before_ms, stalls, skipped = math.inf, 0.0, 0, 0
    while stalls < STALLS and time.monotonic() < deadline_s and capture.grab():
        skipped += 1
        stamp_ms = capture.get(cv2.CAP_PROP_POS_MSEC)
        age_ms = 1000 * time.monotonic() - stamp_ms  # plus a constant: the clocks differ
        if age_ms < least_age_ms - LEAST_FALL * (stamp_ms - before_ms):
            least_age_ms, stalls = age_ms, 0
        else:
            stalls += 1
        before_ms = stamp_ms
    return skipped


def _skip_by_waits(capture: cv2.VideoCapture, deadline_s: float) -> int:
    """Over HTTP, MJPEG has no time stamps: FFmpeg invents 25 a second. But its backlog needs no waiting."""
    skipped, grabbed, slept_s = 0, True, 0.0
    while grabbed and slept_s < SHORTEST_WAIT_S and time.monotonic() < deadline_s:
        grabbed, slept_s = timed_grab(capture)
        skipped += grabbed
    return skipped


def _sleeps() -> int:
    """How often this thread has slept. Elsewhere than on Linux nobody tells: the idle time decides alone."""
    if sys.platform != "linux":
        return time.monotonic_ns()
    import resource

    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


def _idle_s() -> float:
    return time.monotonic() - time.thread_time()

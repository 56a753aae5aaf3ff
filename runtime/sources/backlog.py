"""The pictures that a network camera sent while it was opened, dropped: the next one shows what is there now."""

import math
import resource
import time

import cv2

LONGEST_S = 5.0  # a machine that is slower than the camera never sees the end of a backlog
STALLS = 2  # pictures in a row that came as slowly as they were taken: one alone may be hard to decode
LEAST_FALL = 0.1  # of the time between two pictures
SHORTEST_WAIT_S = 0.002


def skip_backlog(capture: cv2.VideoCapture) -> None:
    """Drop what waits to be read, for up to 5 s, and the one or two pictures that show that it is over.

    FFmpeg watches a stream for a second or more before it is open, and then delivers what it saw meanwhile at once.
    """
    deadline_s = time.monotonic() + LONGEST_S
    if int(capture.get(cv2.CAP_PROP_FOURCC)) == cv2.VideoWriter.fourcc(*"MJPG"):
        _skip_by_waits(capture, deadline_s)
    else:
        _skip_by_stamps(capture, deadline_s)


def _skip_by_stamps(capture: cv2.VideoCapture, deadline_s: float) -> None:
    """While there is a backlog, pictures come faster than they were taken, however long each takes to decode."""
    least_age_ms, before_ms, stalls = math.inf, 0.0, 0
    while stalls < STALLS and time.monotonic() < deadline_s and capture.grab():
        stamp_ms = capture.get(cv2.CAP_PROP_POS_MSEC)
        age_ms = 1000 * time.monotonic() - stamp_ms  # plus a constant: the clocks differ
        if age_ms < least_age_ms - LEAST_FALL * (stamp_ms - before_ms):
            least_age_ms, stalls = age_ms, 0
        else:
            stalls += 1
        before_ms = stamp_ms


def _skip_by_waits(capture: cv2.VideoCapture, deadline_s: float) -> None:
    """Over HTTP, MJPEG has no time stamps (FFmpeg invents 25 a second). But it is decoded in this thread: when that
    sleeps, it waits for the camera; when it merely stands still, another program has the processor."""
    slept = False
    while not slept and time.monotonic() < deadline_s:
        sleeps, idle_s = _sleeps(), time.monotonic() - time.thread_time()
        if not capture.grab():
            return
        slept = _sleeps() > sleeps and time.monotonic() - time.thread_time() - idle_s > SHORTEST_WAIT_S


def _sleeps() -> int:
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw

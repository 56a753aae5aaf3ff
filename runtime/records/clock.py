"""Whether the wall clock can be trusted: what the kernel knows of its synchronization."""

import ctypes
import sys

_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronized
_TIMEX_BYTES = 256  # more than any architecture's struct timex; all zeros asks and changes nothing


def is_synchronized() -> bool | None:
    """Whether something keeps this machine's wall clock right (NTP, PTP). None where the system does not tell."""
    if sys.platform != "linux":
        return None
    try:
        state: int = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (AttributeError, OSError):
        return None
    return None if state < 0 else state != _TIME_ERROR

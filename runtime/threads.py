"""Threads that work side by side until each has ended, or somebody is impatient."""

from collections.abc import Callable, Sequence
from threading import Thread

ABORT_S = 1.0  # for each thread to end once its work is given up


def run_to_the_end(threads: Sequence[Thread], give_up: Callable[[], None]) -> None:
    """Start threads and wait until all have ended. Whatever is raised meanwhile in the thread that waits, such as a
    KeyboardInterrupt, has `give_up` called and is raised on; a thread that hangs in a driver is then left behind."""
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except BaseException:
        give_up()
        for thread in threads:
            if thread.ident is not None:  # it came so early that some have not begun
                thread.join(ABORT_S)
        raise

"""What signals ask of a runtime that serves a line."""

import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from runtime.line.serving import Asked
from runtime.signals import stopping_on_signals

RELOAD, END = b"r", b"e"


@contextmanager
def signalled() -> Iterator[Callable[[float], Asked]]:
    """A function that waits for a signal, so many seconds at most, and says what it asks for.

    A pipe, since a handler may take no lock that the thread it interrupts may have.
    """
    reader, writer = os.pipe()

    def wait(seconds: float) -> Asked:
        if not select.select([reader], [], [], seconds)[0]:
            return Asked.NOTHING
        return Asked.RELOAD if os.read(reader, 1) == RELOAD else Asked.END

    try:
        # without a terminal nobody hangs up, and SIGHUP is what makes a service load its files again
        reload = None if sys.stdin is not None and sys.stdin.isatty() else lambda: os.write(writer, RELOAD)
        with stopping_on_signals(lambda: os.write(writer, END), reload):
            yield wait
    finally:
        os.close(reader)
        os.close(writer)

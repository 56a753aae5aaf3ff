"""Stdout and stderr that are closed, or that nobody reads any more: no traceback, nothing lost without a word.

What a command prints on stderr is for a person; where it cannot be written, the work goes on. What it prints on stdout
is what it was started for; where that cannot be written, its status says so.
"""

import errno
import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from runtime.errors import OutputLost
from runtime.printable import printable

SAID = "proctor.said"  # the logger of what commands say
GONE = (errno.EPIPE, errno.EIO)  # a pipe's reader has closed it, a terminal has hung up


def say(message: str) -> None:
    """Print a line to stderr, for a person; where nobody can read it, nothing happens. A log file has it, too."""
    logging.getLogger(SAID).info("%s", message)
    with suppress(OSError, ValueError):  # ValueError: a file object that was closed
        print(printable(message), file=sys.stderr, flush=True)


@contextmanager
def delivering() -> Iterator[None]:
    """Around what is written to stdout: raises `OutputLost` when its reader has gone away."""
    try:
        yield
    except OSError as error:
        if error.errno not in GONE:
            raise
        raise OutputLost(f"nobody reads stdout any more ({error.strerror}), and the stream ended with it") from error


class ClosedStdout(io.TextIOBase):
    """In place of a stdout that was closed: takes what is printed, and says once that nobody gets it."""

    was_written = False

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if text and not self.was_written:
            self.was_written = True
            say("error: stdout is closed, so nobody gets what this prints; it goes on, and ends with status 2")
        return len(text)


class ClosedStderr(io.TextIOBase):
    """In place of a stderr that was closed: takes what is printed."""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        return len(text)


def replace_closed() -> None:
    """Put something in the place of a stdout and a stderr that were closed before this process began.

    Their descriptors are opened on nothing: the next file that is opened would get their numbers, and what a library
    prints would go into it.
    """
    streams = (sys.stdin, sys.stdout, sys.stderr)
    for number, stream in enumerate(streams):
        if stream is None:
            _open_on_nothing(number)
    if streams[1] is None:
        sys.stdout = ClosedStdout()
    if streams[2] is None:
        sys.stderr = ClosedStderr()


def forget_unread() -> None:
    """Drop what is still to be written where nobody reads it: Python would report it at exit, with a status of its
    own."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                nothing = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nothing, stream.fileno())
                os.close(nothing)


def _open_on_nothing(number: int) -> None:
    try:
        os.fstat(number)  # something else may have taken it since
    except OSError:
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, number)
        if nothing != number:
            os.close(nothing)

"""A command's log in a file of bounded size, beside what it says on stderr: for machines without a journal."""

import argparse
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path

from runtime.cli import some_path
from runtime.errors import InputError
from runtime.outputs import SAID
from runtime.printable import OneLine

FILE_BYTES, OLDER_FILES = 5_000_000, 5
FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s"


def add_log_option(parser: argparse.ArgumentParser) -> None:
    """``--log-file``."""
    parser.add_argument(
        "--log-file", type=some_path, metavar="FILE",
        help=f"log into this file, too, and into {OLDER_FILES} older ones of {FILE_BYTES // 10**6} MB beside it",
    )  # fmt: skip


@contextmanager
def logging_to(path: Path | None) -> Iterator[None]:
    """Write what is logged, and what the command says, into a file as well; where `path` is None, nothing changes.

    Times are UTC. A full disk stops the log, not the work. Raises `InputError` for a file that cannot be written.
    """
    if path is None:
        yield
        return
    try:
        file = _QuietFile(path, maxBytes=FILE_BYTES, backupCount=OLDER_FILES, encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"the log file {path} cannot be written ({error.strerror}); check the path") from error
    form = OneLine(FORMAT, datefmt="%Y-%m-%dT%H:%M:%S")
    form.converter = time.gmtime
    file.setFormatter(form)
    screen = logging.StreamHandler(sys.stderr)  # what Python does by itself where nobody takes the log
    screen.setLevel(logging.WARNING)
    screen.setFormatter(OneLine())
    root, ours = logging.getLogger(), logging.getLogger("proctor")
    level = ours.level
    root.addHandler(file)
    root.addHandler(screen)
    ours.setLevel(logging.INFO)
    try:
        yield
    except BaseException as error:
        logging.getLogger(SAID).info("ends: %s: %s", type(error).__name__, error)
        raise
    finally:
        ours.setLevel(level)
        root.removeHandler(file)
        root.removeHandler(screen)
        with suppress(OSError):  # what a full disk did not take
            file.close()


class _QuietFile(RotatingFileHandler):
    """Says once that it cannot write, in place of a traceback for each line."""

    _failed = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        if not self._failed:
            self._failed = True
            with suppress(OSError, ValueError):
                print(f"the log file {self.baseFilename} cannot be written: {sys.exc_info()[1]}", file=sys.stderr)

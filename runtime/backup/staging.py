"""A folder beside what is being made, for one process at a time; a process that was killed leaves the next no less."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.lock import only_one_writes


@contextmanager
def staging(target: Path) -> Iterator[Path]:
    """An empty folder beside `target`, on its file system, which only this user may enter; removed afterwards.

    It always has the same name, and what is in it at the beginning was left by a process that was killed: it is removed
    first, since nothing else may have room beside it. Raises `InputError` while another process makes `target`, and
    `OSError` where the folder cannot be made.
    """
    real = Path(os.path.realpath(target))
    with only_one_writes(real):
        folder = real.with_name(f".{real.name}.unfinished")
        if os.path.lexists(folder):
            shutil.rmtree(folder)
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

"""A backup put back: everything is checked before anything is written, and the folder is there whole or not at all."""

import ctypes
import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from runtime.backup.archive import Archive
from runtime.errors import InputError

SPARE = 64 * 2**20  # bytes that stay free on the disk
_EXCHANGE, _HERE = 2, -100  # RENAME_EXCHANGE and AT_FDCWD of Linux: renameat2(2)


def restore(archive: Archive, folder: Path, overwrite: bool) -> Path | None:
    """Unpack a backup into `folder`; where what was there lies now, if anything was.

    Raises `InputError` for a backup that is damaged, a folder that holds something unless `overwrite`, and a disk that
    does not take it; the folder is as it was then.
    """
    folder = Path(os.path.realpath(folder))
    holds = folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))
    if holds and not overwrite:
        raise InputError(f"{folder} holds something already; choose a new folder, or give --overwrite to replace it")
    archive.check()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder.parent).free
        if free < archive.manifest.total_bytes + SPARE:
            raise InputError(
                f"the backup has {archive.manifest.total_bytes / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free on "
                f"the disk of {folder}; free some"
            )
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as made:
            fresh = Path(made) / folder.name
            fresh.mkdir()
            archive.unpack(fresh)
            if hasattr(os, "sync"):
                os.sync()  # names must not be on the disk before what they name
            return _put_in_place(fresh, folder, holds)
    except OSError as error:
        raise InputError(
            f"{error.filename or folder} cannot be written ({error.strerror}); a mount point is restored into a folder "
            "below it"
        ) from error


def _put_in_place(fresh: Path, folder: Path, holds: bool) -> Path | None:
    if not holds:
        fresh.rename(folder)  # over an empty folder, too
        return None
    before = folder.with_name(f"{folder.name}.before-{datetime.now():%Y%m%dT%H%M%S}")
    if before.exists():
        raise InputError(f"{before} is there already; move it away")
    fresh.rename(
        before
    )  # out of the temporary folder first: whatever ends this process, nothing old is removed with it
    if _exchanged(before, folder):
        return before
    before.rename(fresh)
    folder.rename(before)  # a file system that exchanges no names: for a moment there is no folder
    try:
        fresh.rename(folder)
    except OSError:
        before.rename(folder)
        raise
    return before


def _exchanged(one: Path, other: Path) -> bool:
    """Let two names change places at one moment; False where the system cannot."""
    try:
        rename: Callable[..., int] = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):  # not Linux, or a C library before 2018
        return False
    if rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
        return False
    raise OSError(number, os.strerror(number), str(other))

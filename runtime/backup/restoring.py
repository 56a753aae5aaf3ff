"""A backup put back: everything is checked before anything is written, and the folder is there whole or not at all."""

import os
import shutil
import stat
from datetime import datetime
from pathlib import Path

from runtime.atomic import flush_folder, replace_folder
from runtime.backup.archive import Archive
from runtime.backup.in_use import check_unused
from runtime.backup.staging import staging
from runtime.errors import InputError
from runtime.refused import refused

SPARE = 64 * 2**20  # bytes that stay free on the disk
_LOOK = stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH


def restore(archive: Archive, folder: Path, overwrite: bool) -> Path | None:
    """Unpack a backup into `folder`; where what was there lies now, if anything was.

    Raises `InputError` for a backup that is damaged, a folder that holds something unless `overwrite`, one that a line
    works in, one that is a mount point, and a disk that does not take it; the folder is as it was then. What a restore
    that was killed left beside the folder is removed.
    """
    folder = Path(os.path.realpath(folder))
    try:
        holds = _holds_something(folder)
        if holds and not overwrite:
            raise InputError(
                f"{folder} holds something already; choose a new folder, or give --overwrite to replace it"
            )
        check_unused(folder)
        if os.path.ismount(folder):  # found before the work; one of the same file system is found by the system
            raise InputError(f"{folder} is a mount point, which cannot be replaced; restore into a folder below it")
        archive.check()
        with staging(folder) as made:
            _check_room(archive, folder)
            fresh = made / folder.name
            fresh.mkdir()
            archive.unpack(fresh)
            if folder.is_dir():  # whoever could not look into the old one, or the one backed up, cannot look into it
                looks = fresh.stat().st_mode | ~_LOOK
                fresh.chmod(stat.S_IMODE(folder.stat().st_mode) & looks | stat.S_IRWXU)
            if hasattr(os, "sync"):
                os.sync()  # names must not be on the disk before what they name
            check_unused(folder)  # a line may have been started meanwhile
            before = _put_in_place(fresh, folder, holds)
            flush_folder(folder.parent)
            return before
    except OSError as error:
        raise InputError(refused(error.filename or folder, "written", error, "choose another folder")) from error


def _holds_something(folder: Path) -> bool:
    if folder.is_dir():
        return any(folder.iterdir())
    return os.path.lexists(folder)


def _check_room(archive: Archive, folder: Path) -> None:
    free = shutil.disk_usage(folder.parent).free
    if free < archive.manifest.total_bytes + SPARE:
        raise InputError(
            f"the backup has {archive.manifest.total_bytes / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free on "
            f"the disk of {folder}; free some"
        )


def _put_in_place(fresh: Path, folder: Path, holds: bool) -> Path | None:
    if not holds:
        fresh.rename(folder)  # over an empty folder, too
        return None
    before = folder.with_name(f"{folder.name}.before-{datetime.now():%Y%m%dT%H%M%S}")
    if os.path.lexists(before):
        raise InputError(f"{before} is there already; move it away")
    replace_folder(fresh, folder, before)
    return before

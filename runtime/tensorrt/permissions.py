"""Who may change a file. A plan is executable: whoever can write it or what vouches for it can run code here."""

import os
import stat
from pathlib import Path

from runtime.errors import DetectorError

MOST_LINKS = 40  # from one to the next, as Linux follows


def read_only_ours(path: Path) -> bytes:
    """The bytes of a file that nobody else may write, nor put another in its place.

    Others are all but this user and root. What is checked is the very file that is read, so that one that was exchanged
    in between is checked, too; the folder that it lies in; and on the way there each link and its folder. Where files
    have no such owners (Windows) nothing is checked. Raises `DetectorError`.
    """
    try:
        # without waiting: a pipe that somebody put there would not be opened before it has a writer
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise DetectorError(f"{path} is no file; check the path")
            if hasattr(os, "getuid"):
                _check_owner(status, path, path)
                _check_mode(status, path, path)
                _check_way(path)
            return file.read()
    except OSError as error:
        raise DetectorError(f"{path} cannot be read ({error.strerror}); check the path") from error


def _check_way(path: Path) -> None:
    """Check what says which file a path names: links, their folders, and that of the file. Raises `OSError`, too."""
    place = path
    for _ in range(MOST_LINKS):
        folder = place.parent
        status = folder.stat()
        _check_owner(status, folder, path)
        _check_mode(status, folder, path)
        if not place.is_symlink():
            return
        _check_owner(place.lstat(), place, path)
        place = folder / place.readlink()
    raise DetectorError(f"{path} is a link over more than {MOST_LINKS} others; check the path")


def _check_owner(status: os.stat_result, place: Path, path: Path) -> None:
    if status.st_uid not in (0, os.getuid()):
        raise DetectorError(
            f"{place} belongs to another user (uid {status.st_uid}), who could make {path.name} run anything; "
            f"chown {place}, or build the plan anew as this user"
        )


def _check_mode(status: os.stat_result, place: Path, path: Path) -> None:
    sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX  # as /tmp: only its owner replaces a file
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not sticky:
        raise DetectorError(
            f"{place} can be written by other users, who could make {path.name} run anything; chmod go-w {place}"
        )

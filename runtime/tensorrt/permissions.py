"""Who may change a file. A plan is executable: whoever can write it or what vouches for it can run code here."""

import os
import stat
from pathlib import Path

from runtime.errors import DetectorError


def check_only_ours(path: Path) -> None:
    """Raise `DetectorError` when somebody else may write the file `path`, or put another in its place.

    Others are all but this user and root. Where files have no such owners (Windows) nothing is checked.
    """
    if not hasattr(os, "getuid"):
        return
    _check(path, path)
    _check(path.resolve().parent, path)


def _check(place: Path, path: Path) -> None:
    try:
        status = place.stat()
    except OSError as error:
        raise DetectorError(f"{place} cannot be read ({error.strerror}); check the path") from error
    if status.st_uid not in (0, os.getuid()):
        raise DetectorError(
            f"{place} belongs to another user (uid {status.st_uid}), who could make {path.name} run anything; "
            f"chown {place}, or build the plan anew as this user"
        )
    sticky = place.is_dir() and status.st_mode & stat.S_ISVTX  # as /tmp: only a file's owner may replace it
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not sticky:
        raise DetectorError(
            f"{place} can be written by other users, who could make {path.name} run anything; chmod go-w {place}"
        )

"""Whether a line or a stream on this machine works in a folder."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from runtime.errors import InputError
from runtime.priority import inspections


def check_unused(folder: Path) -> None:
    """Raise `InputError` where a process that inspects has its working folder or an open file in `folder`, a real path.

    Of another user's process only root is told what it has open, and of one in another container nobody is.
    """
    for process in inspections():
        if any(path.is_relative_to(folder) for path in _open_by(process)):
            raise InputError(
                f"process {process} inspects, and works in {folder}: it would go on in the folder that was moved away; "
                "stop the line (systemctl stop NAME), and restore then"
            )


def _open_by(process: int) -> Iterator[Path]:
    """The working folder and the open files of a process, as far as this user may see them."""
    place = Path("/proc") / str(process)
    links = [place / "cwd"]
    with suppress(OSError):
        links += (place / "fd").iterdir()
    for link in links:
        with suppress(OSError):
            yield Path(os.readlink(link))

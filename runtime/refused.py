"""What the system refused, in one sentence: the path, the system's reason, and what helps against that reason."""

import errno
from pathlib import Path

_FULL = "free space or choose another place"
_FORBIDDEN = "run as a user who may, or give another path"
_MOUNTED = "a mount point, or a folder of a container's image, takes no other name; choose a place below or beside it"
ADVICE = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EACCES: _FORBIDDEN,
    errno.EPERM: _FORBIDDEN,
    errno.EROFS: "its file system takes no changes; choose another place",
    errno.EIO: "the disk or its cable fails; the system's log (dmesg) says more",
    errno.EBUSY: _MOUNTED,
    errno.EXDEV: _MOUNTED,
}


def refused(path: Path | str, done: str, error: OSError, otherwise: str) -> str:
    """``PATH cannot be DONE (REASON); ADVICE``, as in ``out.tar cannot be written (No space left on device); …``.

    `otherwise` is the advice where the system's reason has none of its own.
    """
    return f"{path} cannot be {done} ({error.strerror or error}); {ADVICE.get(error.errno or 0, otherwise)}"

"""Files and folders appear whole or not at all: a power cut leaves the old one, never half of a new one."""

import contextlib
import ctypes
import errno
import os
import secrets
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from runtime.errors import InputError
from runtime.refused import refused

ELSEWHERE = "choose a folder that can"
_EXCHANGE, _HERE = 2, -100  # RENAME_EXCHANGE and AT_FDCWD of Linux: renameat2(2)
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def write_atomically(path: Path, data: bytes, *, only_ours: bool = False) -> None:
    """Write `data` to `path` by way of a temporary file beside it. Raises `InputError` where that is not possible.

    Links are followed. A file that is there keeps its permissions and, where this user may say so, its owner; one that
    is write-protected is refused. What is no regular file (``/dev/null``, ``/dev/stdout``, a pipe) is written directly.

    With `only_ours` no other user may write the file, whatever the umask or the file that was there allowed.
    """
    try:
        target, before = _target(path)
        if _is_open_already(path, before):
            with open(path, "ab") as stream:
                stream.write(data)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        file = open(temporary, "xb")  # noqa: SIM115
    except OSError as error:
        raise InputError(refused(path, "written", error, ELSEWHERE)) from error
    try:
        with removed_on_error(temporary):
            with file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if before is not None and not only_ours and hasattr(os, "chown"):
                with contextlib.suppress(PermissionError):
                    os.chown(temporary, before.st_uid, before.st_gid)
            mode = stat.S_IMODE((before or temporary.stat()).st_mode)
            os.chmod(temporary, mode & ~_OTHERS_WRITE if only_ours else mode)
            os.replace(temporary, target)
    except OSError as error:
        raise InputError(refused(path, "written", error, ELSEWHERE)) from error


@contextlib.contextmanager
def removed_on_error(temporary: Path) -> Iterator[None]:
    """Remove a file that is half written, whatever ended the writing: a full disk or Ctrl-C."""
    try:
        yield
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def replace_folder(fresh: Path, folder: Path, before: Path) -> None:
    """Put the folder `fresh` in the place of `folder`, which is called `before` from then on. None of them may be a
    mount point, all lie on one file system, and `before` is a name that is free. Raises `OSError`.

    Whatever ends this, `folder` is the old one or the new one, whole, and the other one is there. An error or Ctrl-C
    leaves no `before` unless it is the old one. Where the system exchanges no names (anything but Linux, some file
    systems) there is for a moment no `folder`; a kill in it leaves the old one as `before`.
    """
    new = fresh.stat()
    try:
        fresh.rename(before)  # first: whoever clears `fresh` away, after a kill perhaps, removes nothing old with it
        if _exchanged(before, folder):
            return
        before.rename(fresh)
        folder.rename(before)
        fresh.rename(folder)
    except BaseException:
        if before.exists():
            if os.path.samestat(before.stat(), new):
                before.rename(fresh)
            elif not os.path.lexists(folder):
                before.rename(folder)
        raise


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


def flush_folder(folder: Path) -> None:
    """Have the names in a folder on the disk, so that a power cut takes no rename back. Raises `OSError`."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
        os.sync()  # a file system that flushes no single folder
    finally:
        os.close(descriptor)


def check_writable(path: Path) -> None:
    """Raise `InputError` where `write_atomically` would, before the work whose result `path` is for. Leaves nothing."""
    try:
        target, before = _target(path)
        if before is not None and stat.S_ISDIR(before.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not _is_open_already(path, before):
            there = next(parent for parent in target.parents if parent.exists())
            tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        raise InputError(refused(path, "written", error, ELSEWHERE)) from error


def _target(path: Path) -> tuple[Path, os.stat_result | None]:
    """The file to be written, links followed, and what is there now. Raises `OSError` where that is write-protected."""
    target = Path(os.path.realpath(path))
    try:
        before = path.stat()
    except FileNotFoundError:
        return target, None
    if not os.access(path, os.W_OK):  # for root it always may be
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return target, before


def _is_open_already(path: Path, before: os.stat_result | None) -> bool:
    """Whether `path` is no regular file, or names one that a process holds open, as ``/dev/stdout`` may."""
    if before is None:
        return False
    folder = os.path.realpath(path.parent)
    return not stat.S_ISREG(before.st_mode) or folder == "/dev" or folder.startswith("/proc/")

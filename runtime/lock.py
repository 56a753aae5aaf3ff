"""One at a time on one folder or file: locks that the system takes back from whoever dies.

`only_one` refuses another process at once, for work that takes minutes. `in_turn` has threads and processes wait for
each other, for what takes milliseconds.
"""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

from runtime.errors import InputError
from runtime.outputs import say
from runtime.refused import refused

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"
LOOK_S = 0.02  # between two tries, of `in_turn`

_held: set[Path] = set()  # by this process: one stage calls another


@contextmanager
def only_one(path: Path, of: Path) -> Iterator[None]:
    """Hold the lock file `path`, which no other process may hold at the same time. `of` is what it locks, for people.

    Folders that are missing are made, and those that stay empty removed again, as the lock file is. Raises `InputError`
    at once while another process holds it. It is an flock: the system takes it back when its process ends, however that
    ends, so that a lock file left behind by a kill locks nothing. Within one process it may be taken again.

    On NFS it holds between machines where the server runs its lock service; where a file system has no locks a warning
    is printed, and on Windows nothing keeps two processes apart.
    """
    path = Path(os.path.realpath(path))
    if path in _held or fcntl is None:
        yield
        return
    made = _make_folders(path.parent)
    try:
        descriptor = _taken(path, of)
        _held.add(path)
        try:
            yield
        finally:
            _held.discard(path)
            if descriptor is not None:
                with suppress(OSError):
                    path.unlink()  # while it is held
                os.close(descriptor)
    finally:
        with suppress(OSError):
            for folder in made:
                folder.rmdir()


def only_one_writes(file: Path) -> AbstractContextManager[None]:
    """`only_one` for a file that a command writes, by a lock file beside it."""
    real = Path(os.path.realpath(file))
    return only_one(real.with_name(f".{real.name}{LOCK}"), file)


def only_one_changes(file: Path) -> AbstractContextManager[None]:
    """`only_one_writes` for a file that is read, changed and written; nothing for one that is not there."""
    return only_one_writes(file) if os.path.exists(file) else nullcontext()  # which never raises


@contextmanager
def in_turn(path: Path, of: Path, patience_s: float) -> Iterator[None]:
    """Hold the lock file `path` as soon as nobody else does, another thread of this process neither. `of` is what it
    locks, for people.

    The lock is of the file opened here, not of the process. It is removed by its holder, so that it is in no backup.
    Raises `InputError` where others hold it for `patience_s`, and where the folder cannot be written. Where a file
    system has no locks a warning is printed, and on Windows nothing keeps two apart.
    """
    if fcntl is None:
        yield
        return
    until_s = time.monotonic() + patience_s
    while not _is_still(path, descriptor := _waited_for(path, of, patience_s, until_s)):
        os.close(descriptor)  # its holder has removed it in between
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()  # while it is held
        with suppress(OSError):  # closing alone is not enough: a process forked meanwhile has it open, too
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _waited_for(path: Path, of: Path, patience_s: float, until_s: float) -> int:
    """The lock file's descriptor, once nobody else holds it."""
    try:
        descriptor = _opened(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); nothing was changed") from error
    try:
        while not _is_free(descriptor, of):
            if time.monotonic() > until_s:
                raise InputError(f"others have written in {of} for {patience_s:g} s; nothing was changed, try again")
            time.sleep(LOOK_S)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _is_free(descriptor: int, of: Path) -> bool:
    """Whether the lock was free, and is taken now."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        say(f"warning: {of} cannot be locked ({error.strerror}); let one at a time change it")
    return True


def _opened(path: Path) -> int:
    """A lock file, made where there is none. Raises `OSError`."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except PermissionError:
        if not path.exists():
            raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # another user made it: reading is enough to lock it


def _make_folders(folder: Path) -> list[Path]:
    """Make a folder and those above it; the ones that were missing, the deepest first."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(refused(folder, "made", error, "choose another place")) from error
    return missing


def _taken(path: Path, of: Path) -> int | None:
    """The locked file's descriptor; None where the file system has no locks."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise InputError(refused(path.parent, "written", error, "choose another place")) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 100).decode(errors="replace").strip()
            os.close(descriptor)
            raise InputError(
                f"{of} is in use{holder and ' by ' + holder}: two at once would overwrite each other's files; wait "
                "until that has ended, or name another"
            ) from None
        except OSError as error:
            os.close(descriptor)
            say(f"warning: {of} cannot be locked ({error.strerror}); take care that nothing else works on it")
            return None
        if _is_still(path, descriptor):
            os.truncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
            return descriptor
        os.close(descriptor)  # its holder has removed it in between


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False

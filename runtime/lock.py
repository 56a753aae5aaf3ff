"""One process at a time on one run folder or file: a lock that the system takes back from whoever dies."""

import os
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from runtime.errors import InputError
from runtime.outputs import say
from runtime.refused import refused

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"

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

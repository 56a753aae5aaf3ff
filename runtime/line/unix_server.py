"""A server on a Unix socket: one controller at a time, on the machine that the runtime is on."""

import errno
import grp
import logging
import os
import socket
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from runtime.closing import Closing as ClosingContext
from runtime.errors import InputError
from runtime.line.handshake import Handshake
from runtime.line.pictures import Pictures
from runtime.line.unix_connection import Connection
from runtime.line.wire import Closing

log = logging.getLogger("proctor.line")

LONGEST_PATH = 107  # bytes of sun_path, less the last 0
BACKLOG = 8
MOST_CONNECTIONS = 8  # that wait for their turn or say nothing, beside the one that is served
SEAT_S = 1.0  # in which the controller before must be gone: one that starts again may be faster than its end is seen
PROBE_S = 1.0


class UnixServer(ClosingContext):
    """Listens from the start, in threads of its own; `close` ends them."""

    def __init__(self, path: Path, handshake: Handshake, pictures: Pictures, group: str | None = None) -> None:
        """The socket's file may be used by this process's user alone or, with `group`, by that group as well.

        A file that is left of a runtime that ended is replaced. Raises `InputError` for a path that is too long, in no
        folder, of another file or served by another runtime, and for a group that is unknown or cannot be given it.
        """
        self._path, self._handshake, self._pictures = path, handshake, pictures
        self._seat = threading.Lock()  # of the one that is served
        self._connections: dict[Connection, threading.Thread] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._listening = _listen(path, group)
        self._made = os.stat(path)
        self._thread = threading.Thread(target=self._accept, name="accept", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End all connections, with a word that the runtime ends, and remove the socket's file."""
        if self._closed:
            return
        self._closed = True
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listening.close()
        with suppress(OSError):
            if os.path.samestat(os.stat(self._path), self._made):
                self._path.unlink()
        with self._lock:
            left = list(self._connections.items())
        for connection, thread in left:
            connection.close(Closing.STOPPED, "the runtime ends")
            thread.join()

    def _accept(self) -> None:
        while not self._closed:
            try:
                connected, _ = self._listening.accept()
            except OSError as error:
                if self._closed or error.errno in (errno.EINVAL, errno.EBADF):
                    return
                log.warning("a connection was not accepted (%s)", error.strerror)
                threading.Event().wait(0.1)  # too many open files: not in a busy loop
                continue
            self._begin(Connection(connected, self._handshake, self._pictures), connected)

    def _begin(self, connection: Connection, connected: socket.socket) -> None:
        with self._lock:
            if self._closed or len(self._connections) > MOST_CONNECTIONS:
                connection.close(Closing.BUSY, f"{MOST_CONNECTIONS} others are connected")
                connection.release()
                return
            thread = threading.Thread(target=self._serve, args=(connection, connected), name="controller", daemon=True)
            self._connections[connection] = thread
            thread.start()

    def _serve(self, connection: Connection, connected: socket.socket) -> None:
        try:
            memory = connection.greet()
            if memory is None:
                return
            if not self._seat.acquire(timeout=SEAT_S):
                memory.close()
                connection.close(Closing.BUSY, "another controller is connected")
                return
            try:
                log.info("a controller is connected (%s)", _peer(connected))
                connection.serve(memory)
            finally:
                self._seat.release()
        finally:
            connection.release()
            with self._lock:
                self._connections.pop(connection, None)


def _listen(path: Path, group: str | None) -> socket.socket:
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise InputError(
            f"the socket's path has {len(os.fsencode(path))} bytes; the system takes {LONGEST_PATH}, "
            "so give a shorter one, such as /run/proctor/line.sock"
        )
    group_id = None if group is None else _group_id(group)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        _remove_stale(path)
        _refusing(path, lambda: listening.bind(os.fspath(path)))
        # before it listens, so that nobody else can have connected
        if group_id is not None:
            _refusing(path, lambda: os.chown(path, -1, group_id))
        os.chmod(path, 0o600 if group_id is None else 0o660)
        listening.listen(BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening


def _remove_stale(path: Path) -> None:
    """Remove the file of a server that ended. Raises `InputError` for one that is served, and for any other file."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:  # not there; or bind says what is wrong
        return
    if not stat.S_ISSOCK(mode):
        raise InputError(f"{path} is there and is no socket; give another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        probe.settimeout(PROBE_S)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except OSError as error:
            raise InputError(f"{path} is there and cannot be tried ({error.strerror}); remove it") from error
    raise InputError(f"{path} is served by another runtime; stop that, or give another path")


def _refusing(path: Path, act: Callable[[], None]) -> None:
    try:
        act()
    except OSError as error:
        raise InputError(f"{path} cannot be made ({error.strerror}); check the folder and its permissions") from error


def _group_id(group: str) -> int:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise InputError(
            f"group {group!r} is unknown on this machine; make it with groupadd, or leave it out"
        ) from error


def _peer(connected: socket.socket) -> str:
    process, user, _ = memoryview(connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)).cast("i").tolist()
    return f"process {process} of user {user}"

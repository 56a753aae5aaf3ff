"""The parent's side of the driver's process: started, listened to with bounded waits, and killed."""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Lock, Thread

from runtime import errors
from runtime.cameras.driver import wire
from runtime.errors import SetupError, SourceError

ROOT = Path(__file__).parents[3]  # where the package `runtime` lies
MUTE_S = 5.0  # without a sign of life: the driver holds Python's lock, or the process is stopped
CALL_LIMITS_S = {"opening": 30.0, "reading": 15.0}  # of one call of the driver; V4L2 gives up reading after 10 s
CALL_LIMIT_S = 5.0  # of any other: they take `host.WAIT_S` at most, but for commands
COMMAND_S = 2.0
CLOSE_S = 3.0
FAILURES = {name: getattr(errors, name) for name in ("SourceError", "SetupError", "WrongAddress")}


class DriverProcess:
    """A process with a driver in it. Two threads may use it: one that listens and ends it, and one that commands."""

    def __init__(self, name: str, opener: str, options: Mapping[str, object]) -> None:
        """Starts it; `listen` then tells when the camera is open. `name` is for messages."""
        if not sys.platform.startswith("linux"):
            raise SetupError(f"{name} needs Linux, and this is {sys.platform}; run it there")
        self._name = name
        self._ends = ExitStack()  # of what connects the two processes, those of this one
        self._commanding = Lock()
        self._heard_s = time.monotonic()
        self._is_open = False
        self._failure: SourceError | None = None
        with ExitStack() as undo:
            undo.callback(self._ends.close)
            try:
                self._process = self._started()
                undo.callback(self._reap, 0.0)
                start = {"opener": opener, "options": dict(options), "path": sys.path, "folder": os.path.abspath(".")}
                self._commands.send(wire.packed_news(**start))
            except OSError as error:
                raise SourceError(
                    f"{name}'s driver cannot be started ({error}); check memory, and the limits of processes and of "
                    "open files"
                ) from error
            undo.pop_all()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def listen(self, timeout_s: float) -> tuple[bytes, list[int]] | None:
        """The next message that is no sign of life, with its descriptors; None where none came in time.

        Raises `SourceError` when the driver failed, hangs or died; it is then dead, if it was not before.
        """
        deadline_s = time.monotonic() + timeout_s
        while True:
            if self._failure is not None:
                raise self._failure
            now = time.monotonic()
            if select.select([self._pictures], [], [], max(0.0, min(deadline_s - now, wire.BEAT_S)))[0]:
                message = self._received()
                if message is not None:
                    return message
                continue  # beats before the deadline do not keep from what waits behind them
            now = time.monotonic()
            if now - self._heard_s > (MUTE_S if self._is_open else CALL_LIMITS_S["opening"]):
                self._fail(f"gave no sign of life for {now - self._heard_s:.1f} s and was killed")
            if now >= deadline_s:
                return None

    def give_back(self, slot: int) -> None:
        """Let the child use a slot again."""
        with suppress(OSError):  # it is dead: `listen` says so
            self._pictures.send(wire.packed_slot(slot), socket.MSG_DONTWAIT)

    def ask(self, command: str, timeout_s: float = COMMAND_S) -> object:
        """Have a command done; its answer. Raises `SourceError` where the driver refuses, or gives no answer in time.

        Without an answer the process is killed: what the driver does with the next one could not be told.
        """
        with self._commanding:
            try:
                self._commands.send(wire.packed_news(command=command), socket.MSG_DONTWAIT)
                if not select.select([self._commands], [], [], timeout_s)[0]:
                    self.kill()
                    raise SourceError(f"the driver of {self._name} hangs: {command} took over {timeout_s:g} s; killed")
                answer = self._commands.recv(wire.MOST_BYTES)
            except OSError as error:
                raise SourceError(f"the driver's process of {self._name} is dead") from error
        if not answer:
            raise SourceError(f"the driver's process of {self._name} is dead")
        fields = wire.unpacked_news(answer)
        if fields["kind"] == "failed":
            raise as_failure(fields)
        return fields["answer"]

    def kill(self) -> None:
        """End the process at once."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Have the camera closed and the process ended, by force after 3 s. Twice is allowed."""
        with suppress(OSError):
            self._commands.send(wire.packed_news(command="close"), socket.MSG_DONTWAIT)
        self._reap(0.0 if self._failure else CLOSE_S)
        self._ends.close()

    def _started(self) -> "subprocess.Popen[bytes]":
        """The process, connected with this one."""
        with ExitStack() as given:  # the ends that become the child's own
            self._pictures, pictures = _connection(self._ends, given)
            self._commands, commands = _connection(self._ends, given)
            lifeline, own = os.pipe()
            given.callback(os.close, lifeline)
            self._ends.callback(os.close, own)
            descriptors = (pictures.fileno(), commands.fileno(), lifeline)
            return subprocess.Popen(
                [sys.executable, "-m", "runtime.cameras.driver.host", *map(str, descriptors)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # verdicts go there; drivers print what they like
                cwd=ROOT,  # `-m` looks there first
                pass_fds=descriptors,
                start_new_session=True,  # Ctrl-C is for the parent
            )

    def _received(self) -> tuple[bytes, list[int]] | None:
        """One message; None for a sign of life."""
        try:
            message, descriptors, _, _ = socket.recv_fds(self._pictures, wire.MOST_BYTES, 1)
        except OSError:
            message, descriptors = b"", []
        if not message:
            self._reap(CLOSE_S)
            code = self._process.returncode
            how = f"by {signal.Signals(-code).name}" if code and code < 0 else f"with status {code}"
            self._fail(f"ended {how}; see what it printed on stderr")
        self._heard_s = time.monotonic()
        if message[:1] == wire.BEAT:
            busy_s, call = wire.unpacked_beat(message)
            if busy_s > CALL_LIMITS_S.get(call, CALL_LIMIT_S):
                self._fail(f"hangs in the driver ({call}) for {busy_s:.1f} s and was killed")
            return None
        if message[:1] == wire.NEWS:
            fields = wire.unpacked_news(message)
            if fields["kind"] == "failed":
                self._failure = as_failure(fields)
                raise self._failure
            self._is_open = True
        return message, list(descriptors)

    def _fail(self, what: str) -> None:
        self._failure = SourceError(f"the driver's process of {self._name} {what}")
        self.kill()
        raise self._failure

    def _reap(self, patience_s: float) -> None:
        """Wait for the process to end, kill it where it does not, and leave no zombie."""
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.kill()
            try:
                self._process.wait(CLOSE_S)
            except subprocess.TimeoutExpired:  # in the kernel, uninterruptibly
                Thread(target=self._process.wait, daemon=True).start()


def _connection(ours: ExitStack, theirs: ExitStack) -> tuple[socket.socket, socket.socket]:
    """Two sockets that are connected, each closed with one of these."""
    own, given = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return ours.enter_context(own), theirs.enter_context(given)


def as_failure(fields: Mapping[str, object]) -> SourceError:
    """What the child raised, raised here: the same type where it is one of cameras, else `SourceError`."""
    kind: type[SourceError] = FAILURES.get(str(fields["type"]), SourceError)
    return kind(str(fields["text"]))

"""The driver's process: ``python -m runtime.cameras.driver.host PICTURES COMMANDS LIFELINE``, three descriptors.

Three threads: this one is in the driver, one does what is commanded, and one gives signs of life, with how long the
others have been in the driver. It ends when it is told to, when its parent closes the socket, and by the kernel's
SIGKILL when its parent dies, also while a driver keeps Python from running.
"""

import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

from runtime.cameras.capture import Damaged, Picture, Shot
from runtime.cameras.driver import wire
from runtime.cameras.driver.memory import Slots
from runtime.errors import ProctorError
from runtime.lifeline import die_with

WAIT_S = 0.2  # of one call of `wait`, between which the end may come


class Host:
    """A camera in the driver's process."""

    def __init__(self, pictures: socket.socket, commands: socket.socket) -> None:
        self._pictures, self._commands = pictures, commands
        self._stop = threading.Event()
        self._calls: dict[int, tuple[str, float]] = {}  # by thread: the call of the driver it is in, and since when
        self._slots: Slots | None = None
        self._free: list[int] = []
        self._capture: Any = None

    def run(self) -> None:
        """Open the camera and tell its pictures until the end."""
        start = wire.unpacked_news(self._commands.recv(wire.MOST_BYTES))
        with suppress(OSError):
            os.chdir(str(start["folder"]))
        sys.path.extend(path for path in _texts(start["path"]) if path not in sys.path)
        threading.Thread(target=self._beat, daemon=True).start()
        try:
            with self._in_driver("opening"):
                module, _, function = str(start["opener"]).partition(":")
                options = start["options"]
                assert isinstance(options, dict)
                self._capture = getattr(import_module(module), function)(**options)
            self._tell(wire.packed_news(kind="opened", pairs_by=getattr(self._capture, "pairs_by", None)))
            threading.Thread(target=self._command, daemon=True).start()
            self._deliver()
        except Exception as error:  # whatever a driver raises is the news
            self._tell(_failure(error))
        with suppress(Exception), self._in_driver("closing"):
            if self._capture is not None:
                self._capture.release()

    def _deliver(self) -> None:
        wait = getattr(self._capture, "wait", None)
        while not self._stop.is_set():
            if wait is None:
                with self._in_driver("reading"):
                    picture = self._capture.read()
                if picture is None:
                    self._tell(wire.packed_news(kind="ended"))
                    return
            else:
                with self._in_driver("waiting"):
                    picture = wait(WAIT_S)
            if picture is not None:
                self._show(picture)

    def _show(self, picture: Picture | Shot) -> None:
        """Tell a picture, its pixels in shared memory."""
        shot = picture if isinstance(picture, Shot) else None
        pixels = shot.picture if shot else picture
        assert not isinstance(pixels, Shot)
        slot, text, height, width = None, (shot and shot.sent_as) or "", 0, 0
        if isinstance(pixels, Damaged):
            text = pixels.cause
        else:
            height, width = pixels.shape[:2]
            slot = self._slot_for(pixels.nbytes)
            if slot is None:
                return
            assert self._slots is not None
            self._slots.picture(slot, height, width)[:] = pixels
        message = wire.PictureMessage(
            slot,
            height,
            width,
            getattr(self._capture, "drops", 0),
            text,
            (shot.captured_s, shot.captured_at) if shot else None,
            shot.counter if shot else None,
            shot.camera_ns if shot else None,
        )
        self._tell(message.packed())

    def _slot_for(self, size: int) -> int | None:
        """A free slot, as soon as there is one; None at the end."""
        if self._slots is not None and size > self._slots.slot_bytes:
            if not self._await_slots(self._slots.count):  # a slot given back later would be taken for one of the new
                return None
            self._slots.close()
            self._slots = None
        if self._slots is None:
            self._slots = Slots.create(size)
            self._free = list(range(self._slots.count))
            announcement = wire.packed_memory(size, self._slots.count)
            socket.send_fds(self._pictures, [announcement], [self._slots.descriptor])
        return self._free.pop() if self._await_slots(1) else None

    def _await_slots(self, count: int) -> bool:
        """Wait until so many slots are free. False at the end."""
        while not self._stop.is_set():
            with suppress(BlockingIOError):
                while True:
                    given_back = self._pictures.recv(wire.MOST_BYTES, socket.MSG_DONTWAIT)
                    if not given_back:
                        os._exit(0)
                    self._free.append(wire.unpacked_slot(given_back))
            if len(self._free) >= count:
                return True
            select.select([self._pictures], [], [], WAIT_S)
        return False

    def _command(self) -> None:
        """Do what the parent asks, one at a time."""
        while True:
            message = self._commands.recv(wire.MOST_BYTES)
            if not message:
                os._exit(0)
            command = wire.unpacked_news(message)["command"]
            if command == "close":
                self._stop.set()
                continue
            try:
                with self._in_driver(f"command {command}"):
                    answer = {"trigger": self._trigger, "is_alive": self._is_alive}[str(command)]()
                self._commands.send(wire.packed_news(kind="done", answer=answer))
            except Exception as error:
                self._commands.send(_failure(error))

    def _trigger(self) -> None:
        self._capture.trigger()

    def _is_alive(self) -> bool:
        return bool(self._capture.is_alive())

    def _beat(self) -> None:
        while True:
            now = time.monotonic()
            longest = min(list(self._calls.values()), key=lambda call: call[1], default=("nothing", now))
            with suppress(BlockingIOError):  # a parent that does not listen has enough of them
                self._pictures.send(wire.packed_beat(now - longest[1], longest[0]), socket.MSG_DONTWAIT)
            time.sleep(wire.BEAT_S)

    @contextmanager
    def _in_driver(self, call: str) -> Iterator[None]:
        thread = threading.get_ident()
        self._calls[thread] = call, time.monotonic()
        try:
            yield
        finally:
            del self._calls[thread]

    def _tell(self, message: bytes) -> None:
        self._pictures.send(message)


def _failure(error: Exception) -> bytes:
    ours = isinstance(error, ProctorError)
    text = str(error) if ours else f"the driver raised {type(error).__name__}: {error}"
    return wire.packed_news(kind="failed", type=type(error).__name__ if ours else "SourceError", text=text[:4000])


def _texts(value: object) -> list[str]:
    """A JSON array of texts."""
    assert isinstance(value, list)
    return [str(each) for each in value]


def main() -> None:
    pictures, commands, lifeline = (int(text) for text in sys.argv[1:])
    die_with(lifeline)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the parent decides; a service manager tells all its processes at once
    run: Callable[[], None] = Host(socket.socket(fileno=pictures), socket.socket(fileno=commands)).run
    with suppress(BrokenPipeError, ConnectionResetError):
        run()
    os._exit(0)  # drivers' libraries are known to crash while they are unloaded


if __name__ == "__main__":
    main()

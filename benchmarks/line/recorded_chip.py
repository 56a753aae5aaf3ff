"""A GPIO chip that records: whoever plays it stands behind ``gpio_chip.c``, which stands before the system's calls.

The real bindings, the real libgpiod and the kernel's structures are used by whatever process has `environment`; what is
below them is here: 32 lines, edges with times, holders, and what can go wrong.
"""

import errno
import os
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.line.seen import Absent

SHIM = Path(__file__).with_name("gpio_chip.c")
LINES = 32
# of linux/gpio.h
REQUEST = struct.Struct("=64I32sQI5I" + "II8sQ" * 10 + "II5Ii")
INFO = struct.Struct("=32s32sIIQ" + "II8s" * 10 + "4I")
EVENT = struct.Struct("=QIIII6I")
ASKED = struct.Struct("=c7xQQQII")
USED, ACTIVE_LOW, OUTPUT, RISING, FALLING = 1 << 0, 1 << 1, 1 << 3, 1 << 4, 1 << 5
FLAGS, OUTPUT_VALUES, DEBOUNCE = 1, 2, 3  # kinds of attributes


@dataclass(frozen=True)
class Change:
    """A line's level as somebody drove it."""

    line: int
    level: bool
    at_s: float  # monotonic clock, in the process that did it


@dataclass
class Held:
    """A request for lines, while it lasts."""

    connection: socket.socket
    lines: list[int]
    flags: dict[int, int]
    debounce_us: dict[int, int]
    consumer: str
    event_buffer: int
    seqno: int = 0


class RecordedChip:
    """32 lines, and who holds them. A line that is given up keeps its level, as many chips have it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "gpiochip0"
        self.path.touch()
        self.changes: list[Change] = []
        self.levels = [False] * LINES
        self.busy: dict[int, str] = {}  # lines that somebody else has
        self.held: list[Held] = []
        self.plugged = True
        self._counts = [0] * LINES  # of edges
        self._lock = threading.RLock()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.bind(str(folder / "chip.sock"))
        self._socket.listen()
        shim = folder / "gpio_chip.so"
        command = ["gcc", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-o", str(shim), str(SHIM), "-ldl"]
        subprocess.run(command, check=True, timeout=60)
        self.environment = {
            "LD_PRELOAD": str(shim),
            "PROCTOR_GPIO_CHIP": str(self.path),
            "PROCTOR_GPIO_SOCKET": str(folder / "chip.sock"),
        }
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def close(self) -> None:
        self.unplug()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def edge(self, line: int, level: bool = True, age_s: float = 0.0) -> None:
        """A line outside changes, so long ago; whoever asked for such an edge is told."""
        with self._lock:
            self.levels[line] = level
            for held in self.held:
                flags = held.flags.get(line, 0)
                active = level is not bool(flags & ACTIVE_LOW)
                if flags & (RISING if active else FALLING):
                    held.seqno += 1
                    self._counts[line] += 1
                    at_ns = time.monotonic_ns() - round(age_s * 1e9)
                    event = (at_ns, 1 if active else 2, line, held.seqno, self._counts[line], *[0] * 6)
                    held.connection.send(EVENT.pack(*event))

    def lose(self, line: int, count: int) -> None:
        """So many edges for which the kernel had no place."""
        with self._lock:
            self._counts[line] += count

    def unplug(self) -> None:
        """The chip is gone, with all that is held."""
        with self._lock:
            self.plugged = False
            for held in self.held:
                held.connection.shutdown(socket.SHUT_RDWR)

    def plug_in(self) -> None:
        """It is back; edges are counted anew."""
        with self._lock:
            self._counts = [0] * LINES
            self.plugged = True

    def of(self, line: int) -> list[bool]:
        """The levels that a line was driven to, each change of it."""
        with self._lock:
            levels = [change.level for change in self.changes if change.line == line]
        return [level for before, level in zip([None, *levels], levels, strict=False) if level is not before]

    def holder(self, line: int) -> Held | None:
        """Who holds a line."""
        with self._lock:
            return next((held for held in self.held if line in held.lines), None)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            message = connection.recv(4_096)
            if not self.plugged:
                return
            if len(message) == REQUEST.size:
                self._request(connection, message)
            elif message[:1] == b"I":
                connection.send(self._information(ASKED.unpack(message)[4]))
            elif message[:1] == b"G":
                levels = sum(level << line for line, level in enumerate(self.levels))
                connection.send(struct.pack("=Q", levels))

    def _request(self, connection: socket.socket, message: bytes) -> None:
        fields = REQUEST.unpack(message)
        count = fields[112]
        lines = list(fields[:count])
        held = Held(connection, lines, {}, {}, fields[64].rstrip(b"\0").decode(), fields[113])
        outputs = 0
        held.flags = dict.fromkeys(lines, fields[65])
        for at in range(fields[66]):
            kind, _, value, mask = fields[72 + 4 * at : 76 + 4 * at]
            chosen = [line for index, line in enumerate(lines) if mask >> index & 1]
            if kind == FLAGS:
                held.flags |= dict.fromkeys(chosen, struct.unpack("=Q", value)[0])
            elif kind == OUTPUT_VALUES:
                outputs = struct.unpack("=Q", value)[0] & mask
            elif kind == DEBOUNCE:
                held.debounce_us |= dict.fromkeys(chosen, struct.unpack("=I4x", value)[0])
        with self._lock:
            taken = any(line in self.busy or self.holder(line) for line in lines)
            if not taken:
                self.held.append(held)
                self._drive(held, outputs, 2**64 - 1, time.monotonic())
            connection.send(struct.pack("=i", errno.EBUSY if taken else 0))
        if taken:
            return
        try:
            while message := connection.recv(4_096):
                _, at_ns, bits, mask, _, _ = ASKED.unpack(message)
                with self._lock:
                    self._drive(held, bits, mask, at_ns / 1e9)
        finally:
            with self._lock:
                self.held.remove(held)

    def _drive(self, held: Held, bits: int, mask: int, at_s: float) -> None:
        for index, line in enumerate(held.lines):
            if mask >> index & 1 and held.flags[line] & OUTPUT:
                level = bool(bits >> index & 1) is not bool(held.flags[line] & ACTIVE_LOW)
                self.levels[line] = level
                self.changes.append(Change(line, level, at_s))

    def _information(self, line: int) -> bytes:
        holder = self.holder(line)
        consumer = self.busy.get(line, "" if holder is None else holder.consumer)
        flags = USED if consumer else 0
        name = f"LINE{line}".encode()
        return INFO.pack(name, consumer.encode(), line, 0, flags, *[0, 0, b""] * 10, *[0] * 4)


@contextmanager
def recorded_chip(folder: Path) -> Iterator[RecordedChip]:
    """A chip. Raises `Absent` without the compiler or the kernel's header."""
    if shutil.which("gcc") is None or not os.path.exists("/usr/include/linux/gpio.h"):
        raise Absent("a GPIO chip that records is compiled; apt-get install gcc libc6-dev linux-libc-dev")
    chip = RecordedChip(folder)
    try:
        yield chip
    finally:
        chip.close()

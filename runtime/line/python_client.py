"""A controller in Python: the same messages that the C library sends, with the same promises.

::

    with LineClient("/run/proctor/line.sock", (1024, 1280)) as line:
        answer = line.trigger(picture, Part(17, serial="A-17"))
        result = line.result(timeout_s=1.0) if isinstance(answer, Accepted) else None
        passes = result is not None and result.passes

Linux alone has what it needs. It imports nothing of the detector's.
"""

import fcntl
import math
import mmap
import os
import select
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.arguments import as_path, as_seconds
from runtime.closing import Closing as ClosingContext
from runtime.errors import InputError, LineError, WireError
from runtime.line.registers import MAP_VERSION
from runtime.line.results import Cause, Code, Mode, Part
from runtime.line.wire import (
    ACCEPTED,
    ACKNOWLEDGE,
    CHALLENGES,
    CLOSED,
    HELLO,
    MOST_BYTES,
    RECORDED,
    REFUSED,
    RESULT,
    STATUS,
    STATUS_REQUEST,
    TRIGGER,
    WELCOME,
    Closing,
    Layout,
    Message,
    PixelFormat,
    pack,
    text_of,
    unpack,
)  # fmt: skip

SLOTS = 2


@dataclass(frozen=True)
class Accepted:
    """The part gets exactly one result."""

    acquisition_id: int
    part_id: int


@dataclass(frozen=True)
class Refused:
    """The part gets no result. Reject it."""

    part_id: int
    cause: Cause
    reason: str


@dataclass(frozen=True)
class PartResult:
    """What became of an accepted part."""

    inspection_id: int
    acquisition_id: int
    part: Part
    code: Code
    cause: Cause
    mode: Mode
    reason: str
    score: float | None
    threshold: float | None
    triggered_s: float  # monotonic clock, as `time.monotonic` has it on this machine
    finished_s: float  # likewise

    @property
    def passes(self) -> bool:
        """Whether the part passes."""
        return self.code is Code.OK


class LineClient(ClosingContext):
    """A connection to ``python -m runtime.line``. For one thread.

    After any `LineError` it is of no use any more: close it, reject the parts that have no pass, connect again.
    """

    def __init__(self, path: Path | str, size_hw: tuple[int, int], slots: int = SLOTS, timeout_s: float = 2.0) -> None:
        """`size_hw` is the largest picture's. Raises `LineError` where the runtime cannot be reached in time, or has
        another controller already."""
        self._slot_bytes = -(-size_hw[0] * size_hw[1] * 3 // mmap.PAGESIZE) * mmap.PAGESIZE
        self._slots, self._next, self._number = slots, 0, 0
        self._waiting: PartResult | None = None
        self._broken: str | None = None
        self._memory: mmap.mmap | None = None
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._connect(as_path("the socket", path), as_seconds("timeout_s", timeout_s))
        except BaseException:
            self.close()
            raise

    def trigger(
        self, image: NDArray[np.uint8], part: Part, recorded: bool = False, timeout_s: float = 1.0
    ) -> Accepted | Refused:
        """A part with its picture, uint8 [H, W, 3], BGR, or [H, W], which is copied.

        `recorded`, it is of a file and may be the same as the one before; a camera that gives the same picture twice
        hangs. Raises `InputError` for what is no picture or larger than the slots, `LineError` where the connection
        broke or no answer came.
        """
        if image.dtype != np.uint8 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
            raise InputError(f"a picture of {image.dtype} {list(image.shape)}; expected uint8 [H, W, 3] or [H, W]")
        if image.nbytes > self._slot_bytes:
            raise InputError(f"a picture of {image.nbytes:,} bytes; the slots have {self._slot_bytes:,}")
        if (problem := part.problem) is not None:
            raise InputError(problem)
        slot, self._next = self._next, (self._next + 1) % self._slots
        self._put(image, slot)
        values = {
            "slot": slot,
            "width": image.shape[1],
            "height": image.shape[0],
            "pixel_format": PixelFormat.BGR8 if image.ndim == 3 else PixelFormat.MONO8,
            "flags": (RECORDED if recorded else 0) | sum(f for f, code in CHALLENGES.items() if code is part.challenge),
            "part_id": part.part_id,
            "serial": part.serial,
            "order": part.order,
        }
        answer = self._ask(TRIGGER, values, (ACCEPTED, REFUSED), timeout_s)
        if answer.layout is ACCEPTED:
            return Accepted(answer.values["acquisition_id"], answer.values["part_id"])
        try:
            cause = Cause(answer.values["cause"])
        except ValueError as error:
            raise self._break(f"a refusal that this client does not know ({error})") from error
        return Refused(answer.values["part_id"], cause, text_of(answer.values["reason"]) or "")

    def result(self, timeout_s: float) -> PartResult | None:
        """The oldest result, acknowledged, or None when there is none within `timeout_s`.

        A pass that came to it after its deadline is none.
        """
        until_s = time.monotonic() + as_seconds("timeout_s", timeout_s)
        while self._waiting is None:
            message = self._receive(until_s)
            if message is None:
                return None
            self._keep(message)
        result, self._waiting = self._waiting, None
        if result.passes and time.monotonic() > result.triggered_s + self.deadline_s:
            result = PartResult(**{
                **vars(result),
                "code": Code.NO_DECISION,
                "cause": Cause.LATE,
                "reason": "the pass came to the controller after its deadline",
            })  # fmt: skip
        self._send(ACKNOWLEDGE, {"inspection_id": result.inspection_id, "code": result.code}, until_s + 1.0)
        return result

    def status(self, timeout_s: float = 1.0) -> dict[str, Any]:
        """The registers from the runtime, by the names of the register map; `status` holds its bits."""
        values = self._ask(STATUS_REQUEST, {}, (STATUS,), timeout_s).values
        return {name: text_of(value) if isinstance(value, bytes) else value for name, value in values.items()}

    def close(self) -> None:
        """End the connection; the runtime forgets its parts. Twice is allowed."""
        self._broken = self._broken or "the connection is closed"
        self._socket.close()
        memory, self._memory = self._memory, None
        if memory is not None:
            with suppress(BufferError):  # copying was interrupted: the mapping goes with the traceback that has it
                memory.close()

    def _connect(self, path: Path, timeout_s: float) -> None:
        until_s = time.monotonic() + timeout_s
        memory = os.memfd_create("proctor", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            size = self._slots * self._slot_bytes
            os.posix_fallocate(memory, 0, size)
            fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
            self._memory = mmap.mmap(memory, size)
            self._socket.settimeout(timeout_s)
            try:
                self._socket.connect(os.fspath(path))
                hello = pack(HELLO, {"slots": self._slots, "slot_bytes": self._slot_bytes})
                socket.send_fds(self._socket, [hello], [memory])
            except OSError as error:
                raise LineError(
                    f"{path} cannot be reached ({error.strerror or error}); is the runtime there?"
                ) from error
        finally:
            os.close(memory)
        self._socket.setblocking(False)
        welcome = self._answer((WELCOME,), until_s, None).values
        if welcome["map_version"] != MAP_VERSION:
            raise LineError(f"the runtime has version {welcome['map_version']} of the register map, not {MAP_VERSION}")
        self.session_id: int = welcome["session_id"]
        self.deadline_s: float = welcome["deadline_ns"] / 1e9

    def _put(self, image: NDArray[np.uint8], slot: int) -> None:
        """Copy a picture into a slot. By itself: the traceback of what goes wrong later must not refer to the mapping,
        for then it cannot be closed."""
        assert self._memory is not None
        into: NDArray[np.uint8] = np.frombuffer(self._memory, np.uint8, image.size, slot * self._slot_bytes)
        np.copyto(into.reshape(image.shape), image)

    def _ask(self, layout: Layout, values: dict[str, Any], expected: tuple[Layout, ...], timeout_s: float) -> Message:
        until_s = time.monotonic() + as_seconds("timeout_s", timeout_s)
        self._number = self._number % 0xFFFFFFFF + 1
        self._send(layout, values, until_s, self._number)
        return self._answer(expected, until_s, self._number)

    def _answer(self, expected: tuple[Layout, ...], until_s: float, number: int | None) -> Message:
        while (message := self._receive(until_s)) is not None:
            if message.layout in expected and number in (None, message.number):
                return message
            self._keep(message)
        raise self._break(f"no {' or '.join(layout.name for layout in expected)} came in time")

    def _keep(self, message: Message) -> None:
        if message.layout is not RESULT or self._waiting is not None:
            raise self._break(f"{message.layout.name} came, which nothing asked for")
        try:
            self._waiting = _result(message.values)
        except ValueError as error:
            raise self._break(f"a result that this client does not know ({error})") from error

    def _receive(self, until_s: float) -> Message | None:
        self._check()
        try:
            if not self._wait(select.POLLIN, until_s):
                return None
            data = self._socket.recv(MOST_BYTES)
        except OSError as error:
            raise self._break(f"the connection broke ({error.strerror})") from error
        if not data:
            raise self._break("the runtime is gone")
        try:
            message = unpack(data, exact=False)
        except WireError as error:
            raise self._break(f"the runtime sent what is no message: {error}") from error
        if message.layout is CLOSED:
            why, reason = message.values["why"], text_of(message.values["reason"])
            known = Closing(why).name if why in Closing.__members__.values() else why
            raise self._break(f"the runtime ended the connection ({known}): {reason}")
        return message

    def _send(self, layout: Layout, values: dict[str, Any], until_s: float, number: int = 0) -> None:
        self._check()
        try:
            if not self._wait(select.POLLOUT, until_s):
                raise self._break("the runtime takes no messages")
            self._socket.send(pack(layout, values, number), socket.MSG_NOSIGNAL)
        except OSError as error:
            while self._receive(0.0) is not None:  # its last word, which raises, may be there
                pass
            raise self._break(f"the connection broke ({error.strerror})") from error

    def _wait(self, event: int, until_s: float) -> bool:
        poll = select.poll()
        poll.register(self._socket, event)
        return bool(poll.poll(math.ceil(max(0.0, until_s - time.monotonic()) * 1e3)))

    def _check(self) -> None:
        if self._broken is not None:
            raise LineError(f"{self._broken}; connect again")

    def _break(self, reason: str) -> LineError:
        self._broken = reason
        return LineError(reason)


def _result(values: dict[str, Any]) -> PartResult:
    return PartResult(
        values["inspection_id"],
        values["acquisition_id"],
        Part(values["part_id"], text_of(values["serial"]) or "", text_of(values["order"]) or ""),
        Code(values["code"]),
        Cause(values["cause"]),
        Mode(values["mode"]),
        text_of(values["reason"]) or "",
        None if math.isnan(values["score"]) else values["score"],
        None if math.isnan(values["threshold"]) else values["threshold"],
        values["triggered_ns"] / 1e9,
        values["finished_ns"] / 1e9,
    )

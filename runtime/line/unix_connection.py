"""One controller over a Unix socket: its greeting, its triggers, and its results, until it goes or does wrong.

Two threads serve it. One reads and answers; the other waits at the handshake and sends each result when it is there.
The answer to a trigger is always sent before its result. Whatever the controller sends, this ends with the connection
closed and its parts forgotten.
"""

import logging
import os
import socket
import struct
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from runtime.errors import InputError, LineError, WireError, WrongVersion
from runtime.frames import Frame, missing_frame
from runtime.line.frame_memory import FrameMemory
from runtime.line.handshake import BUFFER, Acquisition, Handshake, Refusal
from runtime.line.pictures import Pictures
from runtime.line.registers import MAP_VERSION, status_of
from runtime.line.results import UNINSPECTED, Code, Part, Result
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
    pack,
    status_values,
    text_of,
    unpack,
)  # fmt: skip
from runtime.printable import printable

log = logging.getLogger("proctor.line")

HELLO_S = 2.0  # in which a controller must say hello
SEND_S = 2.0  # in which it must make room for a message
WAIT_S = 0.5  # of the thread that sends results, before it looks again
MOST_DESCRIPTORS = 4  # that are taken with a hello, to be closed


class Connection:
    """One that was accepted."""

    def __init__(self, connected: socket.socket, handshake: Handshake, pictures: Pictures) -> None:
        self._socket, self._handshake, self._pictures = connected, handshake, pictures
        self._sending = threading.Lock()
        self._acknowledged = threading.Condition()
        self._shown: Result | None = None  # that was sent and not acknowledged
        self._ended = False
        self._buffer = bytearray(MOST_BYTES)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(SEND_S))

    def greet(self) -> FrameMemory | None:
        """Wait for its hello; its memory, or None where the connection was ended for it."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(HELLO_S))
        descriptors: list[int] = []
        try:
            data, descriptors = self._receive_hello()
            if not data:
                return None
            hello = unpack(data, exact=True)
            if hello.layout is not HELLO:
                raise WireError(f"{hello.layout.name} came first; expected hello")
            if len(descriptors) != 1:
                raise LineError(f"{len(descriptors)} descriptors came with hello; expected that of the memory")
            memory = FrameMemory(descriptors.pop(), hello.values["slots"], hello.values["slot_bytes"])
        except WrongVersion as error:
            self.close(Closing.VERSION, str(error))
        except WireError as error:
            self.close(Closing.PROTOCOL, str(error))
        except LineError as error:
            self.close(Closing.MEMORY, str(error))
        except BlockingIOError:  # what SO_RCVTIMEO gives
            self.close(Closing.SILENT, f"no hello within {HELLO_S:g} s")
        except OSError:
            self.close()
        else:
            return memory
        finally:
            for each in descriptors:
                os.close(each)
        return None

    def serve(self, memory: FrameMemory) -> None:
        """Serve a controller that was greeted, until it goes, does wrong, or `close` is called.

        Its parts are then forgotten, and none of its threads is left.
        """
        results = threading.Thread(target=self._send_results, name="results", daemon=True)
        why: tuple[Closing, str] | None = None
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(0))
            self._send(WELCOME, self._welcome())
            results.start()
            while size := self._socket.recv_into(self._buffer, MOST_BYTES, socket.MSG_TRUNC):
                self._answer(unpack(memoryview(self._buffer)[:size], exact=True), memory)
        except WireError as error:
            log.warning("the controller sent what is no message: %s", error)
            why = Closing.PROTOCOL, str(error)
        except TimeoutError:
            log.warning("the controller read nothing for %g s", SEND_S)
        except OSError as error:
            log.info("the controller's connection broke (%s)", error.strerror)
        finally:
            self._end(results, memory, why)

    def close(self, why: Closing | None = None, reason: str = "") -> None:
        """End the connection, with a last word that a controller may not want to read. From any thread."""
        self._ended = True
        with suppress(OSError):
            if why is not None and self._sending.acquire(timeout=SEND_S):
                try:
                    self._socket.send(pack(CLOSED, {"why": why, "reason": reason}), socket.MSG_DONTWAIT)
                finally:
                    self._sending.release()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Close the socket, once no thread uses it. What it sent and nobody read is read: else the system would give
        it a broken connection in place of the last word."""
        with suppress(OSError):
            while self._socket.recv_into(self._buffer, MOST_BYTES, socket.MSG_DONTWAIT):
                pass
        self._socket.close()

    def _end(self, results: threading.Thread, memory: FrameMemory, why: tuple[Closing, str] | None) -> None:
        self.close(*(why or ()))
        with self._acknowledged:
            self._acknowledged.notify_all()
        forgotten = self._handshake.forget()
        self._pictures.forget()
        if results.ident is not None:
            results.join()
        memory.close()
        level = logging.WARNING if forgotten else logging.INFO
        log.log(level, "the controller is gone; %d of its parts got no result", len(forgotten))

    def _receive_hello(self) -> tuple[bytes, list[int]]:
        space = socket.CMSG_SPACE(MOST_DESCRIPTORS * struct.calcsize("i"))
        data, ancillary, flags, _ = self._socket.recvmsg(MOST_BYTES, space, socket.MSG_CMSG_CLOEXEC)
        found: list[int] = []
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                found += struct.unpack(f"{len(content) // 4}i", content[: len(content) // 4 * 4])
        if flags & socket.MSG_TRUNC:  # `unpack` refuses it by its size
            data = data[:1]
        return data, found

    def _welcome(self) -> dict[str, object]:
        return {
            "session_id": self._handshake.session_id,
            "map_version": MAP_VERSION,
            "deadline_ns": round(self._handshake.deadline_s * 1e9),
            "at_once": self._handshake.at_once,
            "buffer": BUFFER,
        }

    def _answer(self, message: Message, memory: FrameMemory) -> None:
        if message.layout is TRIGGER:
            with self._sending:
                self._send_now(*self._triggered(message.values, memory), message.number)
        elif message.layout is ACKNOWLEDGE:
            self._acknowledge(message.values)
        elif message.layout is STATUS_REQUEST:
            view = self._handshake.view()
            accepted = view.accepted > 0 and not view.missed_acquisition
            self._send(STATUS, status_values(status_of(view, accepted, view.result is not None)), message.number)
        else:
            raise WireError(f"{message.layout.name} is no message of a controller's that was greeted")

    def _triggered(self, trigger: Mapping[str, Any], memory: FrameMemory) -> tuple[Layout, dict[str, object]]:
        """The answer to a trigger; its picture is copied when this returns."""
        answer = self._asked(trigger, memory)
        if isinstance(answer, Refusal):
            reason = printable(answer.reason)
            return REFUSED, {"part_id": trigger["part_id"], "cause": answer.cause, "reason": reason}
        if answer.mode not in UNINSPECTED:
            self._pictures.put(answer.acquisition_id, _frame(trigger, memory, answer.acquisition_id))
        return ACCEPTED, {"acquisition_id": answer.acquisition_id, "part_id": trigger["part_id"]}

    def _asked(self, trigger: Mapping[str, Any], memory: FrameMemory) -> Acquisition | Refusal:
        serial, order = text_of(trigger["serial"]), text_of(trigger["order"])
        known = [code for flag, code in CHALLENGES.items() if trigger["flags"] & flag]
        part = Part(trigger["part_id"], serial or "", order or "", known[0] if known else Code.NONE)
        if len(known) > 1:
            return self._handshake.refuse("a challenge part is known to be good or bad, not both", part)
        if serial is None or order is None:
            return self._handshake.refuse("serial number or order is no UTF-8 that ends with a 0", part)
        if (problem := memory.problem(trigger)) is not None:
            return self._handshake.refuse(problem, part)
        return self._handshake.trigger(part)

    def _acknowledge(self, values: Mapping[str, Any]) -> None:
        with self._acknowledged:
            shown = self._shown
            if shown is None or not self._handshake.acknowledge(values["inspection_id"]):
                raise WireError(f"result {values['inspection_id']} is acknowledged, which does not wait for it")
            if values["code"] != shown.code:
                log.warning(
                    "part %d: the controller took result %d, %s, as %d: it came to it after its deadline",
                    shown.part.part_id, shown.inspection_id, shown.code.name, values["code"],
                )  # fmt: skip
            self._shown = None
            self._acknowledged.notify_all()

    def _send_results(self) -> None:
        try:
            while not self._ended:
                if (result := self._handshake.wait_for_result(WAIT_S)) is None:
                    continue
                with self._sending:  # also behind the answer to its trigger
                    self._shown = result
                    self._send_now(RESULT, _result(result))
                with self._acknowledged:
                    self._acknowledged.wait_for(lambda: self._shown is None or self._ended)
        except OSError:  # it does not read, or is gone: the other thread ends the connection
            self.close()

    def _send(self, layout: Layout, values: Mapping[str, object], number: int = 0) -> None:
        with self._sending:
            self._send_now(layout, values, number)

    def _send_now(self, layout: Layout, values: Mapping[str, object], number: int = 0) -> None:
        try:
            self._socket.send(pack(layout, values, number), socket.MSG_NOSIGNAL)
        except BlockingIOError as error:  # what SO_SNDTIMEO gives
            raise TimeoutError from error


def _frame(trigger: Mapping[str, Any], memory: FrameMemory, number: int) -> Frame:
    try:
        pixels = memory.read(trigger)
    except (InputError, MemoryError) as error:
        return missing_frame(number, f"the picture was not received: {error}")
    return Frame(pixels, number, str(trigger["part_id"]), live=not trigger["flags"] & RECORDED)


def _result(result: Result) -> dict[str, object]:
    not_scored = float("nan")
    return {
        "inspection_id": result.inspection_id,
        "acquisition_id": result.acquisition_id,
        "part_id": result.part.part_id,
        "code": result.code,
        "cause": result.cause,
        "mode": result.mode,
        "score": not_scored if result.score is None else result.score,
        "threshold": not_scored if result.threshold is None else result.threshold,
        "triggered_ns": round(result.triggered_s * 1e9),
        "finished_ns": round(result.finished_s * 1e9),
        "serial": result.part.serial,
        "order": result.part.order,
        "reason": printable(result.reason),
    }


def _timeval(seconds: float) -> bytes:
    return struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))

"""The servers that are measured, each a process of its own: ``python -m benchmarks.line.servers KIND SOCKET H W``.

- ``echo``: the least that Python can do: one thread that receives a trigger, reads its picture, and sends an answer and
  a result of the same sizes.
- ``instant``: the runtime's server, handshake and inference loop, over an inspector that says OK at once.
- ``prepared``: the same over a detector, whose engine computes nothing: with preparation, frame health and verdict.
- ``faulty``: the same over a detector whose engine fails or hangs at pictures that are marked so.
- ``registers``: ``instant`` over Modbus TCP, at a port that is written into the file SOCKET.
"""

import logging
import os
import select
import socket
import struct
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime import cli
from runtime.atomic import write_atomically
from runtime.detector import Detector
from runtime.detector_file import read_detector
from runtime.engines.fake import FakeEngine
from runtime.errors import EngineError
from runtime.frames import Frame
from runtime.line.handshake import BUFFER, Handshake
from runtime.line.inspection_loop import InspectionLoop
from runtime.line.levels import Levels
from runtime.line.modbus_server import ModbusServer
from runtime.line.pictures import Pictures
from runtime.line.registers import MAP_VERSION
from runtime.line.self_check import Inspector
from runtime.line.serving import Asked, serve
from runtime.line.unix_server import UnixServer
from runtime.line.wire import ACCEPTED, HELLO, MOST_BYTES, RESULT, TRIGGER, WELCOME, pack, unpack
from runtime.recipe import HealthLimits
from runtime.verdict import Decision, Verdict

DEADLINE_S = 5.0
FAULTY_DEADLINE_S, HANGS_S = 1.0, 1.5
FAILS, HANGS = 90, 200  # the grey of a picture at which the engine fails or hangs


class Instant:
    """An inspector that says OK of everything."""

    def inspect(self, frame: Frame, timeout_s: float = 30.0) -> Verdict:
        """See `Detector.inspect`."""
        now_s = time.monotonic()
        return Verdict(
            Decision.OK, "score 0.100 within 0.500", frame.frame_id, frame.part_id, frame.captured_s, now_s,
            frame.captured_at, time.time(), 0.1, 0.5, (), "0" * 64,
        )  # fmt: skip


def detector(size_hw: tuple[int, int]) -> Detector:
    """The demo detector's recipe over an engine that computes nothing; every frame is healthy."""
    from runtime.default_detector import DEMO_DETECTOR

    _, recipe = read_detector(DEMO_DETECTOR)
    method = replace(recipe.method, image_evidence=())
    aspect = size_hw[1] / size_hw[0]
    health = HealthLimits(0.0, 255.0, 1.0, aspect / 2, aspect * 2)
    recipe = replace(recipe, method=method, health=health)

    def nothing(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.full((len(frames), *recipe.size_hw), -1.0, np.float32)

    return Detector(recipe, FakeEngine(recipe.size_hw, nothing))


def faulty_detector(size_hw: tuple[int, int]) -> Detector:
    """The demo detector's recipe over an engine that passes everything, and fails or hangs at marked pictures."""
    with detector(size_hw) as passing:
        recipe = passing.recipe

    def marked(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        grey = int(np.median(frames))
        if grey == FAILS:
            raise EngineError("the device is gone")
        if grey == HANGS:
            time.sleep(HANGS_S)
        return np.full((len(frames), *recipe.size_hw), -1.0, np.float32)

    return Detector(recipe, FakeEngine(recipe.size_hw, marked))


def run_runtime(path: Path, inspector: Inspector, deadline_s: float = DEADLINE_S) -> None:
    """The runtime's own parts, until the parent closes stdin."""
    handshake, pictures = Handshake(deadline_s, at_once=2), Pictures()
    loop = InspectionLoop(handshake, inspector, pictures.take)
    with UnixServer(path, handshake, pictures):
        serve(handshake, loop, _stdin_closed)


def run_registers(path: Path, size_hw: tuple[int, int]) -> None:
    """The registers over Modbus, with a picture that is there at once."""
    handshake, picture = Handshake(DEADLINE_S), np.full((*size_hw, 3), 128, np.uint8)
    loop = InspectionLoop(handshake, Instant(), lambda one: Frame(picture, one.acquisition_id))
    with ModbusServer(Levels(handshake), port=0) as server:
        write_atomically(path, str(server.port).encode())
        serve(handshake, loop, _stdin_closed)


def _stdin_closed(seconds: float) -> Asked:
    return Asked.END if select.select([sys.stdin], [], [], seconds)[0] else Asked.NOTHING


def run_echo(path: Path) -> None:
    """One thread, one controller after the other, without a check."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(os.fspath(path))
        listening.listen(1)
        while select.select([sys.stdin, listening], [], [])[0] == [listening]:
            connected, _ = listening.accept()
            with connected:
                _echo(connected)


def _echo(connected: socket.socket) -> None:
    data, [memory], _, _ = socket.recv_fds(connected, MOST_BYTES, 1)
    hello = unpack(data, exact=True)
    assert hello.layout is HELLO
    welcome = {"session_id": 1, "map_version": MAP_VERSION, "deadline_ns": int(DEADLINE_S * 1e9), "buffer": BUFFER}
    connected.send(pack(WELCOME, welcome))
    answer, result = bytearray(pack(ACCEPTED, {"acquisition_id": 1})), bytearray(pack(RESULT, {"code": 1}))
    buffer, number = bytearray(MOST_BYTES), 0
    while size := connected.recv_into(buffer):
        message = unpack(memoryview(buffer)[:size], exact=True)
        if message.layout is not TRIGGER:
            continue
        trigger: dict[str, Any] = message.values
        pixels: NDArray[np.uint8] = np.empty((trigger["height"], trigger["width"], 3), np.uint8)
        os.preadv(memory, [pixels.reshape(-1).data], trigger["slot"] * hello.values["slot_bytes"])
        struct.pack_into("<I", answer, 12, message.number)
        connected.send(answer)
        number += 1
        struct.pack_into("<III", result, 16, number, number, trigger["part_id"])
        struct.pack_into("<Q", result, 16 + 40, time.monotonic_ns())
        connected.send(result)
    os.close(memory)


def main() -> None:
    logging.disable(logging.CRITICAL)  # garbage is told of, a line a connection
    kind, path, height, width = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    if kind == "echo":
        run_echo(path)
    elif kind == "instant":
        run_runtime(path, Instant())
    elif kind == "registers":
        run_registers(path, (height, width))
    elif kind == "faulty":
        with faulty_detector((height, width)) as opened:
            run_runtime(path, opened, FAULTY_DEADLINE_S)
    else:
        with detector((height, width)) as opened:
            run_runtime(path, opened)


if __name__ == "__main__":
    cli.run(main)

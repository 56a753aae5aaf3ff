"""What the tests of the line share: a runtime's parts in this process, messages by hand, the C client compiled."""

import fcntl
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from runtime_samples import fake_detector

from runtime.errors import InputError, LineError
from runtime.line.__main__ import main as line_main
from runtime.line.handshake import Handshake
from runtime.line.inspection_loop import InspectionLoop, PictureOf
from runtime.line.pictures import Pictures
from runtime.line.python_client import LineClient
from runtime.line.self_check import Inspector, SelfCheck
from runtime.line.unix_server import UnixServer
from runtime.line.wire import HELLO, MOST_BYTES, Layout, Message, pack, unpack

ROOT = Path(__file__).parents[3]
CLIENT = ROOT / "runtime" / "line" / "client"
SIZE_HW = (32, 48)
GREY: NDArray[np.uint8] = np.full((*SIZE_HW, 3), 128, np.uint8)
SPOTTED = GREY.copy()
SPOTTED[8:16, 20:30] = 255
PATIENCE_S = 20.0  # for what takes a moment
START_S = 60.0  # for a command to start, on a machine with much else to do
FLAGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
SANITIZERS = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


@contextmanager
def command(
    environment: dict[str, str], *words: object, module: str = "runtime.line"
) -> Iterator[subprocess.Popen[str]]:
    """``python -m runtime.line``, or another module's command, under way; killed at the end if it is still there."""
    line = [sys.executable, "-m", module, *map(str, words)]
    child = subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def refused_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[object, ...], said: str
) -> None:
    """The line's command refuses these words, in this process, and prints nothing else."""
    monkeypatch.setattr(sys, "argv", ["runtime.line", *map(str, words)])
    capsys.readouterr()
    with pytest.raises((InputError, SystemExit)) as refused:  # or argparse's, which has said why
        line_main()
    if isinstance(refused.value, SystemExit):
        assert refused.value.code == 2
    out, complained = capsys.readouterr()
    assert out == ""
    assert said in f"error: {refused.value}\n{complained}"


def once_ready(path: Path, size_hw: tuple[int, int]) -> LineClient:
    """A controller, once the runtime accepts triggers."""
    until_s = time.monotonic() + START_S
    while True:
        try:
            line = LineClient(path, size_hw)
        except LineError:
            assert time.monotonic() < until_s
            time.sleep(0.05)
            continue
        while not line.status(PATIENCE_S)["status"] & 2:
            assert time.monotonic() < until_s
            time.sleep(0.05)
        return line


@dataclass
class Served:
    """A runtime that serves controllers in this process."""

    path: Path
    handshake: Handshake
    pictures: Pictures
    loop: InspectionLoop


@contextmanager
def serving(
    path: Path,
    inspector: Inspector | None = None,
    deadline_s: float = PATIENCE_S,
    at_once: int = 2,
    self_check: SelfCheck | None = None,
    picture_of: PictureOf | None = None,
) -> Iterator[Served]:
    """A runtime whose fake engine says how far pixels are from middle grey, unless another inspector is given."""
    handshake, pictures = Handshake(deadline_s, at_once), Pictures()
    detector = fake_detector()
    loop = InspectionLoop(handshake, inspector or detector, picture_of or pictures.take, self_check)
    thread = threading.Thread(target=loop.run)
    with detector, UnixServer(path, handshake, pictures):
        thread.start()
        handshake.ready()
        try:
            yield Served(path, handshake, pictures, loop)
        finally:
            loop.stop()
            handshake.stop()
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


def connected(path: Path) -> socket.socket:
    """A socket to the runtime, without a greeting; no wait on it lasts."""
    found = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    found.settimeout(PATIENCE_S)
    found.connect(str(path))
    return found


def memory(size: int, seals: int = fcntl.F_SEAL_SHRINK) -> int:
    """A memfd of that size, filled with middle grey."""
    descriptor = os.memfd_create("test", os.MFD_ALLOW_SEALING)
    os.pwrite(descriptor, b"\x80" * size, 0)
    if seals:
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor


def greeted(path: Path, slots: int = 2, slot_bytes: int = GREY.size) -> socket.socket:
    """A socket to the runtime, after hello and welcome."""
    found, descriptor = connected(path), memory(slots * slot_bytes)
    socket.send_fds(found, [pack(HELLO, {"slots": slots, "slot_bytes": slot_bytes})], [descriptor])
    os.close(descriptor)
    assert received(found).layout.name == "welcome"
    return found


def received(of: socket.socket) -> Message:
    """The next message of the runtime's."""
    return unpack(of.recv(MOST_BYTES), exact=True)


def asked(of: socket.socket, layout: Layout, **values: object) -> Message:
    """The next message after one that was sent."""
    of.send(pack(layout, values))
    return received(of)


def compiled(folder: Path, name: str, sources: list[Path], *flags: str) -> Path:
    """A program over the C client; a test without the compiler is skipped."""
    is_cpp = sources[-1].suffix == ".cpp"
    compiler = "g++" if is_cpp else "gcc"
    if shutil.which(compiler) is None:
        pytest.skip(f"no C compiler; apt install {compiler}")
    objects = folder / f"{name}.o"
    standard = ["-std=c99", *FLAGS, *flags, f"-I{CLIENT}"]
    run([shutil.which("gcc") or "gcc", *standard, "-c", str(CLIENT / "proctor.c"), "-o", str(objects)])
    standard[0] = "-std=c++17" if is_cpp else "-std=c99"
    program = folder / name
    run([compiler, *standard, *map(str, sources), str(objects), "-o", str(program)])
    return program


def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
    """A command that has to succeed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done


def write_pgm(path: Path, image: NDArray[np.uint8]) -> Path:
    """A grey picture [H, W] as PGM, with a comment in its head."""
    path.write_bytes(b"P5\n# by a test\n%d %d\n255\n" % (image.shape[1], image.shape[0]) + image.tobytes())
    return path

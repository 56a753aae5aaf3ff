"""Faults around ``python -m runtime.line``: it is killed, its disk is full, its clock leaps, its camera is gone."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.line.controllers import (
    PATIENCE_S,
    RegisterController,
    ended,
    line,
    ready_client,
    ready_registers,
)
from benchmarks.line.engine_faults import counted, inspected, told, until_well
from benchmarks.line.processes import START_S, free_port
from benchmarks.line.seen import Absent, Seen
from runtime.atomic import write_atomically
from runtime.cameras import open_source
from runtime.cameras.genicam.aravis import INSTALL
from runtime.default_detector import DEMO_DETECTOR
from runtime.errors import InputError, LineError
from runtime.line.python_client import PartResult
from runtime.line.results import Cause, Part
from runtime.records.reading import Question, Records

DEMO_HW = (256, 256)
GONE_S = 1.0  # how long the camera is away
RESTART_S = 1.0  # of the supervisor, as in a unit of `runtime.service`
FAKE_CAMERA, GIGE_VISION_PORT = "arv-fake-gv-camera-0.8", 3956


@dataclass(frozen=True)
class DemoParts:
    """Parts of the rendered line, and what is said of them."""

    good: NDArray[np.uint8]
    bad: NDArray[np.uint8]


def demo_parts() -> DemoParts:
    """A good and a defective one that the demo detector knows for what they are."""
    with open_source("demo?seed=3") as source:
        found = [frame for _ in range(12) if (frame := source.read()) is not None]
    good, bad = ([frame.image for frame in found if bool(frame.defective) is which] for which in (False, True))
    return DemoParts(good[0], bad[0])


def quiet(folder: Path, *words: object, **options: Any) -> Any:
    """``python -m runtime.line`` over the demo detector, on one thread, with a socket in the folder."""
    return line(DEMO_DETECTOR, "--socket", folder / "line.sock", "--threads", 1, *words, **options)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of 2 MB. Raises `Absent` where it cannot be mounted."""
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        raise Absent("a full disk takes a mount, so root")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def recorded(folder: Path) -> list[int]:
    """The parts that are recorded, in the order of their numbers."""
    with closing(Records(folder)) as records:
        return [int(row["part_id"]) for row in records.find(Question())][::-1]


def disk_full(folder: Path) -> Seen:
    """See `benchmarks.line.faults.FAULTS`."""
    parts, count = demo_parts(), 20
    with (
        small_disk(folder) as disk,
        quiet(folder, "--records", disk, "--deadline-ms", 20_000),
        ready_client(folder / "line.sock", DEMO_HW) as client,
    ):
        until_well(client, parts.good, 1)
        _until_recorded(disk, 1)
        filling = disk / "filling"
        with open(filling, "wb", buffering=0) as out, suppress(OSError):
            while True:
                out.write(bytes(4096))
        results = [inspected(client, (parts.good, parts.bad)[number % 2], number) for number in range(2, 2 + count)]
        behind = count + 1 - len(recorded(disk))
        if not behind:
            raise InputError("the disk was full, and all was recorded")
        filling.unlink()
        begun_s = time.monotonic()
        found = _until_recorded(disk, count + 1)
        seconds = time.monotonic() - begun_s
        if found != list(range(1, count + 2)):
            raise InputError(f"the records are of the parts {found}")
        told_ = tuple(sorted({told(result) for result in results}))
        return Seen(told_, {"records_behind": behind, "records": len(found)}, seconds)


def _until_recorded(folder: Path, count: int) -> list[int]:
    """The parts that are recorded, once there are so many. Raises `InputError` where there never are."""
    until_s = time.monotonic() + 2 * PATIENCE_S
    while len(found := recorded(folder)) < count:
        if time.monotonic() > until_s:
            raise InputError(f"{len(found)} of {count} records came")
        time.sleep(0.02)
    return found


@contextmanager
def supervised(folder: Path, *words: object) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """The command, started again a second after it was killed, until this ends; its processes, the last one last."""
    processes: list[subprocess.Popen[bytes]] = []
    over = threading.Event()

    def supervise() -> None:
        while not over.is_set():
            with quiet(folder, *words) as child:
                processes.append(child)
                while child.poll() is None and not over.wait(0.01):
                    pass
            over.wait(RESTART_S)

    thread = threading.Thread(target=supervise)
    thread.start()
    try:
        yield processes
    finally:
        over.set()
        thread.join()


def killed(folder: Path) -> Seen:
    """See `benchmarks.line.faults.FAULTS`."""
    parts, records = demo_parts(), folder / "records"
    words = ("--records", records, "--deadline-ms", 20_000)
    with supervised(folder, *words) as processes:
        with ready_client(folder / "line.sock", DEMO_HW) as client:
            session = client.session_id
            until_well(client, parts.good, 1)
            time.sleep(0.2)  # a process that is killed loses its last 50 ms of records
            client.trigger(parts.good, Part(2), True, PATIENCE_S)
            processes[-1].send_signal(signal.SIGKILL)
            begun_s, part = time.monotonic(), "no result"
            with suppress(LineError):
                part = told(client.result(PATIENCE_S))
        with ready_client(folder / "line.sock", DEMO_HW) as client:
            if client.session_id == session or client.result(0.0) is not None:
                raise InputError("the runtime that was started again goes on with what the one before had")
            well_s, _ = until_well(client, parts.good, 3)
            counters = counted(client, "acquisition_id", "missed")
    found = recorded(records)
    if found[0] != 1 or found[-1] != 3:
        raise InputError(f"the records are of the parts {found}")
    return Seen((part,), counters, well_s - begun_s)


def faked_clock(at: Path) -> dict[str, str]:
    """The environment of a process whose wall clock is off by what stands in a file. Raises `Absent`."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        raise Absent("there is no libfaketime; apt-get install libfaketime")
    return os.environ | {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME_TIMESTAMP_FILE": str(at),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",  # as versions before 0.9.9 name it
    }


def clock_steps(folder: Path) -> Seen:
    """See `benchmarks.line.faults.FAULTS`. Records are kept for 30 days; retention has its turn each second."""
    parts, records, offset = demo_parts(), folder / "records", folder / "offset"
    offset.write_text("+0")
    asked = ("--records", f"{records}?days=30", "--deadline-ms", 20_000)
    longest_s, results, number = 0.0, list[PartResult](), 0
    with (
        quiet(folder, *asked, environment=faked_clock(offset)),
        ready_client(folder / "line.sock", DEMO_HW) as client,
    ):
        until_well(client, parts.good, number := number + 1)
        for step in ("+365d", "+0", "-1d"):
            write_atomically(offset, step.encode())
            begun_s = time.monotonic()
            results.append(inspected(client, parts.good, number := number + 1))
            longest_s = max(longest_s, time.monotonic() - begun_s)
            results.append(inspected(client, parts.bad, number := number + 1))
            time.sleep(1.2)  # retention has its turn
        if max(one.finished_s - one.triggered_s for one in results) > PATIENCE_S:
            raise InputError("a part took longer than it did: its time is by the wall clock")
    with closing(Records(records)) as opened:
        rows = list(opened.find(Question()))[::-1]
    ids, found = [row["id"] for row in rows], [int(row["part_id"]) for row in rows]
    if ids != sorted(ids) or found != list(range(1, number + 1)):
        raise InputError(f"the records are of the parts {found}, with the numbers {ids}")
    years = [row["decided_at"][:4] for row in rows]
    if len(set(years)) < 2:
        raise InputError(f"the clock did not step: all records are of {years[0]}")
    command = [sys.executable, "-m", "runtime.records", str(records), "--part", str(number - 3)]
    if "1 records" not in (answer := subprocess.run(command, capture_output=True, text=True, timeout=START_S).stdout):
        raise InputError(f"part {number - 3} is not found: {answer!r}")
    return Seen(tuple(sorted({told(one) for one in results})), {"records": len(rows)}, longest_s)


def camera_gone(folder: Path) -> Seen:
    """See `benchmarks.line.faults.FAULTS`."""
    _check_camera()
    port = free_port()
    words = ("--camera", "aravis:127.0.0.1", "--modbus", f"127.0.0.1:{port}", "--deadline-ms", 1000, "--threads", 1)
    with ExitStack() as opened:
        camera = opened.enter_context(_fake_camera())
        opened.enter_context(line(DEMO_DETECTOR, *words, "--wait-for-camera"))
        controller = opened.enter_context(ready_registers(port))
        number = _until_pictured(controller, 1)
        missed = controller.read()["missed"]
        camera.kill()
        camera.wait()
        time.sleep(GONE_S)
        controller.trigger(number + 1)
        result = controller.result_of(number + 1)
        opened.enter_context(_fake_camera())
        begun_s = time.monotonic()
        _until_pictured(controller, number + 2)
        well_s = controller.results[-1].seen_s
        return Seen((result.told,), {"missed": controller.read()["missed"] - missed}, well_s - begun_s)


def _check_camera() -> None:
    """Raise `Absent` where there is no GigE Vision camera to be had on this machine, or another one is there."""
    if shutil.which(FAKE_CAMERA) is None:
        raise Absent(f"there is no {FAKE_CAMERA}; {INSTALL}")
    try:
        import_module("gi").require_version("Aravis", "0.8")
    except (ImportError, ValueError) as error:
        raise Absent(f"there are no bindings of Aravis ({error}); {INSTALL}") from error
    until_s = time.monotonic() + START_S
    while time.monotonic() < until_s:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
            probe.bind(("127.0.0.1", GIGE_VISION_PORT))
            return
        time.sleep(0.5)
    raise Absent(f"another program holds UDP port {GIGE_VISION_PORT} of GigE Vision; end it")


def _until_pictured(controller: RegisterController, first_part: int) -> int:
    """The first part whose picture was judged; the fake camera shows a ramp, which is no good part. Raises
    `InputError` where none is."""
    until_s, part_id = time.monotonic() + START_S, first_part
    while time.monotonic() < until_s:
        if controller.trigger(part_id) and controller.result_of(part_id).cause == Cause.JUDGED:
            return part_id
        part_id += 1
        time.sleep(0.05)
    raise InputError(f"no part had a picture within {START_S:g} s")


@contextmanager
def _fake_camera() -> Iterator["subprocess.Popen[bytes]"]:
    """Aravis' own GigE Vision camera on this machine."""
    command = [FAKE_CAMERA, "-i", "127.0.0.1", "-s", "GV01"]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield child
    finally:
        ended(child)

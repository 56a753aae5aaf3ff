"""More triggers than the detector can do: has each one answer, in time, and does memory stay flat?

::

    python -m benchmarks.line.load [--seconds 60] [--detector FILE] [--deadline-ms 500] [--parts 5000] [--json FILE]

The runtime is ``python -m runtime.line``, a process of its own, over the Unix socket with the Python client, then over
Modbus TCP with the rendered line as its camera. The rate of the detector is measured first, over the socket, with as
many parts under way as may be: a controller that polls would measure itself. Then triggers come at twice that rate over
either, whatever the answers are. Every trigger must be accepted or refused, and every accepted one must have exactly
one result. How many times the triggers were what was judged meanwhile is said, and less than `LEAST_TIMES` is an error:
the rate was measured too low, or the controller was too slow. Resident memory is read a hundred times; its growth is
that of a line fitted to the readings after the first tenth. At the end `--parts` go over Modbus to a runtime whose
inference takes no time, which tells of memory by more parts.
"""

import argparse
import os
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from benchmarks.documents import write_document
from benchmarks.environment import describe_environment, one_line
from benchmarks.line.__main__ import server
from benchmarks.line.controllers import (
    PATIENCE_S,
    RegisterController,
    line,
    quantiles_ms,
    ready_client,
    ready_registers,
)
from benchmarks.line.processes import START_S, free_port
from benchmarks.options import add_json_option
from benchmarks.stream.soak import READINGS, Memory, resident_mib
from benchmarks.stream.triggers import KeptParts
from runtime import cli
from runtime.default_detector import DEMO_DETECTOR
from runtime.errors import InputError
from runtime.line.python_client import Accepted, LineClient
from runtime.line.results import Cause, Code, Part

RATE_S = 5.0  # in which the rate is measured
WARM_UP_PARTS = 10
TIMES = 2.0  # the rate
LEAST_TIMES = 1.8  # what was judged, for the load to be the one that is meant
AT_ONCE = 2
JUDGED = ("OK", "NG")
SIZE_HW = (256, 256)  # of the demo line's pictures
TARGET_MIB = 1.0  # per 1,000 parts


class Controller(Protocol):
    """Either way of triggering."""

    def trigger(self, part_id: int) -> bool:
        """Whether a part is accepted."""

    def results(self, wait_s: float) -> list[tuple[int, int, int, float]]:
        """Part, code, cause and milliseconds from trigger to result of what came since this was asked last."""

    def counters(self) -> tuple[int, int]:
        """The runtime's own: accepted and refused triggers."""


class OverSocket:
    """The Python client."""

    def __init__(self, client: LineClient) -> None:
        self._client, self._parts = client, KeptParts()
        self.causes = Counter[str]()

    def trigger(self, part_id: int) -> bool:
        """See `Controller`."""
        image = self._parts.part(part_id).image
        answer = self._client.trigger(image, Part(part_id), recorded=True, timeout_s=PATIENCE_S)
        if isinstance(answer, Accepted):
            return True
        self.causes[answer.cause.name] += 1
        return False

    def results(self, wait_s: float) -> list[tuple[int, int, int, float]]:
        """See `Controller`."""
        found, until_s = [], time.monotonic() + wait_s
        while (one := self._client.result(max(0.0, until_s - time.monotonic()))) is not None:
            took_ms = 1e3 * (one.finished_s - one.triggered_s)
            found.append((one.part.part_id, int(one.code), int(one.cause), took_ms))
        return found

    def counters(self) -> tuple[int, int]:
        """See `Controller`."""
        status = self._client.status(PATIENCE_S)
        return status["acquisition_id"], status["missed"]


class OverModbus:
    """A PLC's program."""

    def __init__(self, controller: RegisterController) -> None:
        self._controller = controller
        self.causes = Counter[str]()

    def trigger(self, part_id: int) -> bool:
        """See `Controller`."""
        accepted = self._controller.trigger(part_id)
        if not accepted:
            self.causes[Cause(self._controller.read()["missed_cause"]).name] += 1
        return accepted

    def results(self, wait_s: float) -> list[tuple[int, int, int, float]]:
        """See `Controller`."""
        until_s = time.monotonic() + wait_s
        while True:
            self._controller.scan()
            if (left_s := until_s - time.monotonic()) <= 0:
                break
            time.sleep(min(0.001, left_s))
        found = [(one.part_id, one.code, one.cause, float(one.took_ms)) for one in self._controller.results]
        self._controller.results.clear()
        return found

    def counters(self) -> tuple[int, int]:
        """See `Controller`."""
        seen = self._controller.read()
        return seen["acquisition_id"], seen["missed"]


@dataclass
class Load:
    """What came of more triggers than could be taken."""

    rate: float  # parts a second that the detector can do, measured before
    offered: float  # triggers a second
    judged: float  # parts a second that were OK or NG under this load
    seconds: float
    triggers: int
    accepted: int
    refused: dict[str, int]  # by cause
    results: dict[str, int]  # by code and cause
    deadline_ms: float
    p50_ms: float  # from trigger to result, of those that were accepted, by the runtime's clock
    p99_ms: float
    largest_ms: float
    growth_mib_per_1000: float  # parts that were accepted
    memory: Memory = field(repr=False)

    @property
    def times(self) -> float:
        """The triggers over what the detector can do: as measured before, or as seen here, whichever is more."""
        return self.offered / max(self.rate, self.judged)

    def problem(self) -> str | None:
        """Why this is not the load that was meant; None where it is."""
        if self.times >= LEAST_TIMES:
            return None
        return (
            f"triggers came {self.times:.2f} times as fast as the detector judges ({self.offered:.1f} and "
            f"{max(self.rate, self.judged):.1f} a second); expected {TIMES:g} times, {LEAST_TIMES:g} at least: run it "
            "with nothing else at work"
        )

    def lines(self) -> list[str]:
        """The figures as text."""
        refused = ", ".join(f"{count:,} {cause}" for cause, count in self.refused.items())
        results = ", ".join(f"{count:,} {name}" for name, count in self.results.items())
        return [
            f"the detector does {self.rate:.1f} parts a second and did {self.judged:.1f} here; "
            f"{self.triggers:,} triggers came at {self.offered:.1f}, {self.times:.2f} times as many",
            f"{self.accepted:,} accepted, each with one result ({results}); refused: {refused}",
            f"trigger to result p50 {self.p50_ms:.1f} ms, p99 {self.p99_ms:.1f} ms, largest {self.largest_ms:.1f} ms, "
            f"deadline {self.deadline_ms:g} ms",
            f"memory {self.memory.resident_mib[-1]:.1f} MiB at the end, {self.growth_mib_per_1000:+.3f} MiB per 1,000 "
            f"parts (at most {TARGET_MIB:g})",
        ]


@dataclass(frozen=True)
class RoundTrip:
    """Over Modbus without the inference, milliseconds from before the trigger is written to the result read."""

    parts: int
    p50_ms: float
    p99_ms: float
    largest_ms: float
    growth_mib_per_1000: float  # parts
    memory: Memory = field(repr=False)

    def line(self) -> str:
        """The figures as text."""
        return (
            f"over Modbus without the inference, {self.parts:,} parts: p50 {self.p50_ms:.2f} ms, p99 {self.p99_ms:.2f} "
            f"ms, largest {self.largest_ms:.2f} ms; {self.growth_mib_per_1000:+.3f} MiB per 1,000 parts "
            f"(at most {TARGET_MIB:g})"
        )


def measured_rate(controller: Controller, seconds: float) -> float:
    """Parts a second that are judged, with as many under way as may be. Raises `InputError` where hardly any is."""
    under_way, done, begun_s, number, until_s = 0, 0, 0.0, 0, time.monotonic() + PATIENCE_S
    while not begun_s or time.monotonic() - begun_s < seconds:
        while under_way < AT_ONCE and controller.trigger(number := number + 1):
            under_way += 1
        came = controller.results(0.002)
        under_way -= len(came)
        done += sum(Code(code).name in JUDGED for _, code, _, _ in came)
        if not begun_s and time.monotonic() > until_s:
            raise InputError("the detector judges hardly a part within the deadline; give a longer --deadline-ms")
        if not begun_s and done >= WARM_UP_PARTS:
            begun_s, done = time.monotonic(), 0
    rate = done / (time.monotonic() - begun_s)
    while under_way:
        under_way -= len(controller.results(0.05))
    return rate


def loaded(controller: Any, pid: int, seconds: float, deadline_ms: float, rate: float) -> Load:
    """Trigger at twice the rate for so long. Raises `InputError` where a trigger has not just one answer."""
    before, causes = controller.counters(), Counter(controller.causes)
    accepted: dict[int, int] = {}  # results by part
    took_ms, results, number = list[float](), Counter[str](), 0
    read_at, resident = list[int](), list[float]()

    def take(wait_s: float) -> None:
        for part_id, code, cause, ms in controller.results(wait_s):
            if part_id not in accepted:
                raise InputError(f"part {part_id} has a result, and was refused or never triggered")
            accepted[part_id] += 1
            took_ms.append(ms)
            results[f"{Code(code).name} {Cause(cause).name}"] += 1

    begun_s = time.monotonic()
    while (now_s := time.monotonic()) - begun_s < seconds:
        number += 1
        # the number of a part is noted before it is triggered: its result may come at once
        accepted[number] = 0
        if not controller.trigger(number):
            del accepted[number]
        if now_s - begun_s >= len(read_at) * seconds / READINGS:
            read_at.append(len(accepted))
            resident.append(resident_mib(pid))
        take(max(0.0, begun_s + number / (TIMES * rate) - time.monotonic()))
    took_s = time.monotonic() - begun_s
    until_s = time.monotonic() + PATIENCE_S
    while not all(accepted.values()) and time.monotonic() < until_s:
        take(0.1)
    take(0.5)  # a second result of one would come now
    wrong = [part_id for part_id, count in accepted.items() if count != 1]
    if wrong:
        raise InputError(f"{len(wrong)} parts have not just one result: {wrong[:5]}")
    after = controller.counters()
    counted = after[0] - before[0], after[1] - before[1]
    if counted != (len(accepted), number - len(accepted)):
        raise InputError(f"the runtime counted {counted} triggers, accepted and refused; the controller saw {number}")
    memory = Memory(tuple(read_at), tuple(resident))
    refused = dict(controller.causes - causes)
    judged = sum(count for name, count in results.items() if name.split()[0] in JUDGED) / took_s
    return Load(
        rate, number / took_s, judged, took_s, number, len(accepted), refused, dict(results), deadline_ms,
        *quantiles_ms(took_ms), memory.growth_mib_per_1000, memory,
    )  # fmt: skip


def over_socket(folder: Path, detector: Path, seconds: float, deadline_ms: float) -> Load:
    """The Python client against ``--socket``, and the rate of the detector."""
    path = folder / "line.sock"
    words = (detector, "--socket", path, "--deadline-ms", deadline_ms, "--threads", 1, "--at-once", AT_ONCE)
    with line(*words) as child, ready_client(path, SIZE_HW) as client:
        controller = OverSocket(client)
        rate = measured_rate(controller, min(RATE_S, seconds))
        return loaded(controller, child.pid, seconds, deadline_ms, rate)


def over_modbus(detector: Path, seconds: float, deadline_ms: float, rate: float) -> Load:
    """A PLC's program against ``--modbus``, which triggers the rendered line; `rate` is what the socket measured."""
    port = free_port()
    words = (detector, "--camera", "demo", "--modbus", f"127.0.0.1:{port}", "--deadline-ms", deadline_ms)
    with line(*words, "--threads", 1, "--at-once", AT_ONCE) as child, ready_registers(port) as controller:
        return loaded(OverModbus(controller), child.pid, seconds, deadline_ms, rate)


def round_trip(folder: Path, parts: int) -> RoundTrip:
    """Parts one after the other over Modbus, without the inference. Raises `InputError` where one does not pass."""
    path, took_ms = folder / "port", list[float]()
    read_at, resident = list[int](), list[float]()
    with server("registers", path, SIZE_HW) as child:
        until_s = time.monotonic() + START_S
        while not path.exists() and time.monotonic() < until_s:
            time.sleep(0.01)
        with ready_registers(int(path.read_text())) as controller:
            for number in range(1, WARM_UP_PARTS + parts + 1):
                begun_s = time.monotonic()
                if not controller.trigger(number):
                    raise InputError(f"part {number} was refused")
                one = controller.result_of(number)
                if one.code != Code.OK:
                    raise InputError(f"part {number} does not pass: {one}")
                took_ms.append(1e3 * (one.seen_s - begun_s))
                if number % max(1, parts // READINGS) == 0:
                    read_at.append(number)
                    resident.append(resident_mib(child.pid))
    memory = Memory(tuple(read_at), tuple(resident))
    return RoundTrip(parts, *quantiles_ms(took_ms[WARM_UP_PARTS:]), memory.growth_mib_per_1000, memory)


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        loads = {"socket": over_socket(Path(folder), options.detector, options.seconds, options.deadline_ms)}
        rate = loads["socket"].rate
        print("\n".join(["socket", *loads["socket"].lines()]), flush=True)
        loads["modbus"] = over_modbus(options.detector, options.seconds, options.deadline_ms, rate)
        print("\n".join(["modbus", *loads["modbus"].lines()]), flush=True)
        trip = round_trip(Path(folder), options.parts)
    print(trip.line())
    environment = describe_environment()
    print(f"{one_line(environment)}; load {load:.1f} at the start")
    if options.json:
        document: dict[str, Any] = {name: asdict(each) | {"times": each.times} for name, each in loads.items()}
        document |= {
            "modbus_round_trip": asdict(trip),
            "target_mib_per_1000": TARGET_MIB,
            "load_at_the_start": round(load, 1),
            "environment": environment,
        }
        write_document(options.json, document)
    problems = [f"{name}: {told}" for name, each in loads.items() if (told := each.problem()) is not None]
    if problems:
        raise InputError("; ".join(problems))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=cli.program("benchmarks.line.load"), description="Trigger more parts than the detector can do."
    )
    parser.add_argument("--seconds", type=cli.positive, default=60, metavar="S", help="of each load (60)")
    parser.add_argument(
        "--detector", type=cli.some_path, default=DEMO_DETECTOR, metavar="FILE", help="default: the demo detector"
    )
    parser.add_argument("--deadline-ms", type=cli.positive_number, default=500.0, metavar="MS", help="of a part (500)")
    parser.add_argument("--parts", type=cli.positive, default=5000, metavar="N", help="without the inference (5,000)")
    add_json_option(parser)
    return parser


if __name__ == "__main__":
    cli.run(main)

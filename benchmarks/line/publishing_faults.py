"""Faults of those that verdicts go to: an MQTT broker, by which commands may come, and a webhook's receiver."""

import base64
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.line.broker import PLACE, Peer, broker, peer
from benchmarks.line.command_faults import DEMO_HW, GONE_S, DemoParts, demo_parts, quiet
from benchmarks.line.controllers import PATIENCE_S, line, ready_client
from benchmarks.line.engine_faults import inspected, told, until_well
from benchmarks.line.processes import free_port, until
from benchmarks.line.receiver import receiver_program
from benchmarks.line.seen import Seen
from runtime.default_detector import DEMO_DETECTOR
from runtime.errors import InputError
from runtime.line.python_client import LineClient, PartResult
from runtime.line.results import Part
from runtime.publishing.documents import now_ms

QUEUE = 10  # documents that wait for a broker
MORE_PARTS = 16  # than that, while it is away
HANGS_S = 0.8  # a receiver, before it is killed
TIMEOUT_MS = 500  # of the runtime, for it
KEY = bytes(range(32))
DEADLINE = ("--deadline-ms", 20_000)


@dataclass
class _Line:
    """A controller on the Unix socket, which counts its parts."""

    client: LineClient
    parts: DemoParts
    number: int = 0

    def begin(self) -> None:
        """A pass, the first part's."""
        _, self.number = until_well(self.client, self.parts.good, 1)

    def inspect(self, count: int, at_least_s: float = 0.0) -> list[PartResult]:
        """The results of so many parts, good ones and defective ones in turns, and a pause up to that time."""
        until_s = time.monotonic() + at_least_s
        results = []
        for _ in range(count):
            self.number += 1
            results.append(inspected(self.client, (self.parts.good, self.parts.bad)[self.number % 2], self.number))
        time.sleep(max(0.0, until_s - time.monotonic()))
        return results

    def inspect_amid(self, event: Callable[[], None]) -> PartResult:
        """The result of a good part that is under way as something happens. Raises `InputError` where there is none."""
        self.number += 1
        self.client.trigger(self.parts.good, Part(self.number), True, PATIENCE_S)
        event()
        if (result := self.client.result(PATIENCE_S)) is None:
            raise InputError(f"part {self.number} has no result within {PATIENCE_S:g} s")
        return result


def broker_gone(folder: Path) -> Seen:
    """See `benchmarks.line.faults.FAULTS`. What the queue cannot hold is dropped, and has to be counted."""
    with ExitStack() as opened:
        mosquitto = opened.enter_context(broker(folder / "broker"))
        seen = opened.enter_context(peer(mosquitto))
        asked = f"127.0.0.1:{mosquitto.port}?{PLACE}&period_ms=100&queue={QUEUE}"
        opened.enter_context(quiet(folder, "--mqtt", asked, *DEADLINE))
        of = _Line(opened.enter_context(ready_client(folder / "line.sock", DEMO_HW)), demo_parts())
        of.begin()
        before = of.number
        seen.wait("verdict", lambda each: each["part_id"] == str(before))
        results = [of.inspect_amid(lambda: mosquitto.end(signal.SIGKILL)), *of.inspect(MORE_PARTS, GONE_S)]
        begun_s = time.monotonic()
        mosquitto.start()
        seen.wait("verdict", lambda each: int(each["part_id"]) > before)
        seconds = time.monotonic() - begun_s
        last = seen.wait("status", lambda each: each["running"] and each["dropped"] and not each["waiting"])
        arrived = len({each["id"] for each in seen.of("verdict")})
        missing = of.number - arrived
        if missing > last["dropped"]:
            raise InputError(f"of {of.number} verdicts {arrived} arrived, and {last['dropped']} are counted as dropped")
        counters = {"arrived": arrived, "missing": missing, "dropped": last["dropped"]}
        return Seen(_told(results), counters, seconds)


def commands_gone(folder: Path) -> Seen:
    """See `benchmarks.line.faults.FAULTS`."""
    with broker(folder / "broker") as mosquitto, peer(mosquitto) as seen:
        asked = f"127.0.0.1:{mosquitto.port}?{PLACE}&period_ms=100&commands=yes&command_age_ms=30000"
        words = (DEMO_DETECTOR, "--camera", "demo?defect_rate=0", "--threads", 1, "--mqtt", asked, *DEADLINE)
        with line(*words):
            _triggered(seen, 1, 0)
            _acknowledged(seen, 1)
            _triggered(seen, 2, 0)
            mosquitto.end(signal.SIGKILL)
            time.sleep(GONE_S)
            begun_s, begun_ms = time.monotonic(), now_ms()
            mosquitto.start()
            seconds = _triggered(seen, 3, begun_ms) - begun_s
            words_ = tuple(_acknowledged(seen, part_id) for part_id in (2, 3))
            registers = seen.of("registers")[-1]["registers"]
            return Seen(words_, {name: registers[name] for name in ("missed", "too_late")}, seconds)


def _triggered(seen: Peer, part_id: int, since_ms: int) -> float:
    """Trigger as soon as registers that were made since then say that the line is ready; when that was answered,
    monotonic clock. Raises `InputError` where the trigger is refused."""
    seen.wait("registers", lambda each: each["at_ms"] >= since_ms and each["registers"]["trigger_ready"])
    answer = seen.ask("trigger", f"t-{part_id}", part_id=part_id)
    if not answer["done"]:
        raise InputError(f"the trigger of part {part_id} is refused: {answer['cause']}, {answer['reason']}")
    return time.monotonic()


def _acknowledged(seen: Peer, part_id: int) -> str:
    """A part's verdict, in two words. Raises `InputError` where it cannot be acknowledged."""
    verdict = seen.wait("verdict", lambda each: each["part_id"] == str(part_id))
    seen.wait("registers", lambda each: each["verdict"] == verdict["id"])
    answer = seen.ask("acknowledge", f"a-{part_id}", verdict=verdict["id"])
    if not answer["done"]:
        raise InputError(f"the verdict of part {part_id} cannot be acknowledged: {answer['reason']}")
    return f"{verdict['code']} {verdict['cause']}"


def receiver_gone(folder: Path) -> Seen:
    """See `benchmarks.line.faults.FAULTS`."""
    key, port = folder / "hook.key", free_port()
    key.write_text(base64.b64encode(KEY).decode())
    asked = f"http://127.0.0.1:{port}/hook#key_file={key}&{PLACE}&send=all&timeout_ms={TIMEOUT_MS}"
    with ExitStack() as opened:
        receiver = opened.enter_context(receiver_program(port, key))
        opened.enter_context(quiet(folder, "--webhook", asked, *DEADLINE))
        of = _Line(opened.enter_context(ready_client(folder / "line.sock", DEMO_HW)), demo_parts())
        of.begin()
        until(lambda: receiver.documents, "a document")
        before = len(receiver.documents)
        results = [of.inspect_amid(receiver.hang), *of.inspect(MORE_PARTS // 2, HANGS_S)]
        receiver.kill()
        results += of.inspect(MORE_PARTS // 2, GONE_S)
        begun_s = time.monotonic()
        receiver.start()
        until(lambda: len(receiver.documents) > before, "a document of the outage")
        seconds = time.monotonic() - begun_s

        def arrived() -> int:
            return len({each["id"] for each in list(receiver.documents)})

        until(lambda: arrived() == of.number, f"one of the {of.number} documents, beside {arrived()},")
        return Seen(_told(results), {"arrived": arrived(), "missing": of.number - arrived()}, seconds)


def _told(results: list[PartResult]) -> tuple[str, ...]:
    return tuple(sorted({told(each) for each in results}))

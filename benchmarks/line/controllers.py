"""What the benchmarks of the line share: the command as a process, and controllers that wait until it is ready."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymodbus.client import ModbusTcpClient

from benchmarks.line.processes import START_S
from runtime.closing import Closing
from runtime.errors import InputError, LineError
from runtime.line.modbus import FROM_RUNTIME_AT, FROM_RUNTIME_WORDS, TO_RUNTIME_AT
from runtime.line.python_client import LineClient
from runtime.line.registers import FROM_RUNTIME, TO_RUNTIME, values_of, words_of
from runtime.line.results import Cause, Code

PATIENCE_S = 20.0
LOOK_S = 0.01
TRIGGER_READY = 2  # bit of the status


@contextmanager
def line(*words: object, environment: Mapping[str, str] = os.environ) -> Iterator["subprocess.Popen[bytes]"]:
    """``python -m runtime.line`` with these words, quiet; told to end afterwards, and killed where it does not."""
    command = [sys.executable, "-m", "runtime.line", *map(str, words)]
    child = subprocess.Popen(command, env=dict(environment), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield child
    finally:
        ended(child)


def ended(child: "subprocess.Popen[bytes]") -> None:
    """End a process in order, or by force."""
    with suppress(subprocess.TimeoutExpired):
        child.send_signal(signal.SIGTERM)
        child.wait(PATIENCE_S)
    child.kill()
    child.wait()


def ready_client(path: Path, size_hw: tuple[int, int]) -> LineClient:
    """A controller on the Unix socket, once triggers are accepted. Raises `InputError` where that never comes."""
    until_s = time.monotonic() + START_S
    while time.monotonic() < until_s:
        with ExitStack() as opened, suppress(LineError):
            client = opened.enter_context(LineClient(path, size_hw, timeout_s=PATIENCE_S))
            while not client.status(PATIENCE_S)["status"] & TRIGGER_READY and time.monotonic() < until_s:
                time.sleep(LOOK_S)
            opened.pop_all()
            return client
        time.sleep(LOOK_S)
    raise InputError(f"nothing was ready at {path} within {START_S:g} s")


@dataclass
class RegisterResult:
    """One result, as a PLC read it."""

    part_id: int
    code: int
    cause: int
    took_ms: int
    inspection_id: int
    seen_s: float  # monotonic clock

    @property
    def told(self) -> str:
        """In two words."""
        return f"{Code(self.code).name} {Cause(self.cause).name}"


class RegisterController(Closing):
    """A PLC's program, a scan at a time, over registers that it reads and writes as it can."""

    def __init__(self, read_words: Callable[[], list[int]], write_words: Callable[[list[int]], None]) -> None:
        """Writes that triggers are enabled."""
        self._read_words, self._write_words = read_words, write_words
        self._out: dict[str, object] = {"trigger_enable": True}
        self.results: list[RegisterResult] = []
        self.write()

    def close(self) -> None:
        """See `Closing`."""

    def write(self, **values: object) -> None:
        """Write the registers, with these changed."""
        self._out |= values
        self._write_words(words_of(TO_RUNTIME, self._out))

    def read(self) -> dict[str, Any]:
        """The registers from the runtime."""
        return values_of(FROM_RUNTIME, self._read_words())

    def trigger(self, part_id: int) -> bool:
        """Trigger a part; whether it was accepted. Both levels are low again afterwards."""
        missed = self.read()["missed"]
        self.write(trigger=True, part_id=part_id)
        seen = self.until(
            lambda seen: seen["trigger_acknowledge"] or seen["missed"] != missed, "an answer to a trigger"
        )
        self.write(trigger=False)
        self.until(lambda seen: not seen["trigger_acknowledge"], "the end of an acknowledgement")
        return bool(seen["trigger_acknowledge"])

    def until(self, holds: Callable[[dict[str, Any]], object], what: str) -> dict[str, Any]:
        """Read until it holds. Raises `InputError` where it never does."""
        until_s = time.monotonic() + PATIENCE_S
        while not holds(seen := self.read()):
            if time.monotonic() > until_s:
                raise InputError(f"there was no {what} within {PATIENCE_S:g} s: {seen}")
            time.sleep(0.0005)
        return seen

    def scan(self) -> dict[str, Any]:
        """Read once; a result that is there is taken and acknowledged."""
        seen = self.read()
        if seen["results_valid"]:
            self.results.append(
                RegisterResult(
                    part_id=seen["result_part_id"],
                    code=seen["result_code"],
                    cause=seen["result_cause"],
                    took_ms=seen["took_ms"],
                    inspection_id=seen["inspection_id"],
                    seen_s=time.monotonic(),
                )
            )
            self.write(results_acknowledge=True)
            self.until(lambda seen: not seen["results_valid"], "end of a result")
            self.write(results_acknowledge=False)
        return seen

    def result_of(self, part_id: int) -> RegisterResult:
        """Scan until the result of a part is there. Raises `InputError` where it never comes."""
        until_s = time.monotonic() + PATIENCE_S
        while not self.results or self.results[-1].part_id != part_id:
            if time.monotonic() > until_s:
                raise InputError(f"part {part_id} had no result within {PATIENCE_S:g} s")
            self.scan()
        return self.results[-1]


class ModbusController(RegisterController):
    """One that is a Modbus TCP client."""

    def __init__(self, port: int) -> None:
        """Connects. Raises `InputError` where nobody is there."""
        self._client: Any = ModbusTcpClient("127.0.0.1", port=port, timeout=PATIENCE_S, retries=0, reconnect_delay=0)
        if not self._client.connect():
            raise InputError(f"nobody is at port {port}")
        super().__init__(self._read_from, self._write_to)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _read_from(self) -> list[int]:
        answer = self._client.read_holding_registers(FROM_RUNTIME_AT, count=FROM_RUNTIME_WORDS)
        if answer.isError():
            raise InputError(f"registers cannot be read: {answer}")
        return list(answer.registers)

    def _write_to(self, words: list[int]) -> None:
        answer = self._client.write_registers(TO_RUNTIME_AT, words)
        if answer.isError():
            raise InputError(f"registers cannot be written: {answer}")


def ready_registers(port: int) -> ModbusController:
    """A controller over Modbus, once triggers are accepted. Raises `InputError` where that never comes."""
    until_s = time.monotonic() + START_S
    while time.monotonic() < until_s:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), PATIENCE_S).close()
            controller = ModbusController(port)
            controller.until(lambda seen: seen["trigger_ready"], "runtime that is ready")
            return controller
        time.sleep(LOOK_S)
    raise InputError(f"nothing was ready at port {port} within {START_S:g} s")


def quantiles_ms(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, p99 and the largest of milliseconds."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))], ordered[-1]

"""A controller's program over Modbus TCP, by a client of another library."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from line_samples import START_S
from pyModbusTCP.client import ModbusClient as OtherClient
from waiting import until

from runtime.line.modbus import DEVICE_ID, FROM_RUNTIME_AT, FROM_RUNTIME_WORDS, TO_RUNTIME_AT
from runtime.line.registers import FROM_RUNTIME, TO_RUNTIME, values_of, words_of
from runtime.line.results import Code

Read = Callable[[], dict[str, object]]
Write = Callable[[dict[str, object]], None]


@contextmanager
def connected(port: int) -> Iterator[OtherClient]:
    client = OtherClient("127.0.0.1", port, unit_id=DEVICE_ID, timeout=10, auto_open=True)
    yield client
    client.close()


def answering(client: OtherClient, runtime: subprocess.Popen[str]) -> None:
    """Wait until the runtime answers."""
    until(lambda: client.read_holding_registers(FROM_RUNTIME_AT, 1) or runtime.poll() is not None, "an answer", START_S)
    assert runtime.poll() is None


def reading(client: OtherClient) -> Read:
    def read() -> dict[str, object]:
        words = client.read_holding_registers(FROM_RUNTIME_AT, FROM_RUNTIME_WORDS)
        assert words is not None, client.last_error_as_txt
        return values_of(FROM_RUNTIME, words)

    return read


def writing(client: OtherClient) -> Write:
    def write(values: dict[str, object]) -> None:
        assert client.write_multiple_registers(TO_RUNTIME_AT, words_of(TO_RUNTIME, values)), client.last_error_as_txt

    return write


def seen_when(read: Read, name: str, level: bool = True) -> dict[str, object]:
    """What is read once the bit is at its level; a trigger that is refused meanwhile fails the test."""
    until_s = time.monotonic() + START_S
    while (seen := read())[name] != level:
        assert not seen["missed_acquisition"], seen
        assert time.monotonic() < until_s, f"{name} did not become {level}: {seen}"
        time.sleep(0.001)
    return seen


def run_parts(count: int, read: Read, write: Write) -> list[tuple[object, object]]:
    """A controller's program: each part through the four phases; part ids and codes as they came."""
    found = []
    for number in range(1, count + 1):
        part: dict[str, object] = {"trigger_enable": True, "part_id": number, "serial": f"A-{number}"}
        write(part)
        seen_when(read, "trigger_ready")
        write(part | {"trigger": True})
        seen_when(read, "trigger_acknowledge")
        write(part)
        seen = seen_when(read, "results_valid")
        assert seen["result_serial"] == f"A-{number}"
        assert seen["job_pass"] == (seen["result_code"] == Code.OK)
        found.append((seen["result_part_id"], seen["result_code"]))
        write(part | {"results_acknowledge": True})
        seen_when(read, "results_valid", False)
    return found

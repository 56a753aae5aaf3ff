"""Faults of whoever controls the line by a binding: Modbus, S7, OPC UA, digital inputs and outputs."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from benchmarks.line.controllers import RegisterController, line, ready_registers
from benchmarks.line.processes import START_S, free_port, until
from benchmarks.line.recorded_chip import Change, recorded_chip
from benchmarks.line.seen import Absent, Seen
from runtime.default_detector import DEMO_DETECTOR
from runtime.errors import InputError
from runtime.line.modbus import FROM_RUNTIME_AT, FROM_RUNTIME_WORDS, TO_RUNTIME_AT
from runtime.line.registers import FROM_RUNTIME, TO_RUNTIME
from runtime.line.results import Code
from runtime.line.s7_area import S7Layout, area_of, size_of, words_of_area

PLC_DEADLINE_S = 2.0  # a PLC is away for longer
GOOD_PARTS = (DEMO_DETECTOR, "--camera", "demo?defect_rate=0", "--threads", 1)
TRIGGER, OUTPUTS = 17, {"pass": 22, "ready": 24, "heartbeat": 26}  # lines of the chip
PULSE_MS = 10_000  # the longest that can be asked for
WIRED = """
chip: {chip}
trigger: {{line: {trigger}, late_ms: 10000}}
pass: {{line: {pass}, pulse_ms: {pulse_ms}}}
ready: {{line: {ready}}}
heartbeat: {{line: {heartbeat}}}
"""


def plc_client_gone(folder: Path) -> Seen:
    """See `benchmarks.line.faults.FAULTS`."""
    port = free_port()
    with line(*GOOD_PARTS, "--modbus", f"127.0.0.1:{port}", "--deadline-ms", 1e3 * PLC_DEADLINE_S):
        with ready_registers(port) as controller:
            controller.trigger(1)
            controller.result_of(1)
            controller.write(trigger=True, part_id=2)  # and it has seen nothing of it
        time.sleep(PLC_DEADLINE_S + 0.5)
        begun_s = time.monotonic()
        with ready_registers(port) as controller:
            return _goes_on(controller, begun_s)


def plc_server_gone(folder: Path) -> Seen:
    """See `benchmarks.line.faults.FAULTS`."""
    port = free_port()
    address = f"127.0.0.1:{port}?period_ms=250"
    with line(*GOOD_PARTS, "--modbus-client", address, "--deadline-ms", 1e3 * PLC_DEADLINE_S):
        _die("modbus", port)
        time.sleep(PLC_DEADLINE_S + 0.5)
        begun_s = time.monotonic()
        with modbus_plc(port) as controller:
            return _goes_on(controller, begun_s)


def s7_gone(folder: Path) -> Seen:
    """See `benchmarks.line.faults.FAULTS`."""
    port = free_port()
    with line(*GOOD_PARTS, "--s7", f"127.0.0.1:{port}", "--deadline-ms", 1e3 * PLC_DEADLINE_S):
        inspection_id = _die("s7", port)
        time.sleep(PLC_DEADLINE_S + 0.5)
        begun_s = time.monotonic()
        with s7_plc(port) as controller:
            seen = _goes_on(controller, begun_s)
            if (found := controller.results[0].inspection_id) != inspection_id:
                raise InputError(f"the part has the inspection_id {found}; it had {inspection_id}")
            return seen


def _goes_on(controller: RegisterController, begun_s: float) -> Seen:
    """The part that was under way has its result; the next one passes."""
    result, part_id = controller.result_of(2), 2
    until_s = time.monotonic() + START_S
    while controller.results[-1].code != Code.OK:
        if time.monotonic() > until_s:
            raise InputError(f"no part passed within {START_S:g} s: {controller.results[-1]}")
        part_id += 1
        if controller.trigger(part_id):
            controller.result_of(part_id)
    seen = controller.read()
    counters = {name: seen[name] for name in ("missed", "too_late")}
    return Seen((result.told,), counters, controller.results[-1].seen_s - begun_s)


@contextmanager
def modbus_plc(port: int) -> Iterator[RegisterController]:
    """A PLC that is a Modbus server, whose program goes on once the runtime has written its registers."""
    if find_spec("pyModbusTCP") is None:
        raise Absent("a PLC that is the server takes another library; pip install pyModbusTCP")
    served = import_module("pyModbusTCP.server").ModbusServer("127.0.0.1", port, no_block=True)
    served.start()
    try:
        yield _program(
            RegisterController(
                lambda: list(served.data_bank.get_holding_registers(FROM_RUNTIME_AT, FROM_RUNTIME_WORDS)),
                lambda words: served.data_bank.set_holding_registers(TO_RUNTIME_AT, words),
            )
        )
    finally:
        served.stop()


@contextmanager
def s7_plc(port: int) -> Iterator[RegisterController]:
    """A controller of Siemens' kind, snap7's server over a data block, whose program goes on likewise."""
    if find_spec("snap7") is None:
        raise Absent("an S7 controller takes the server of snap7; pip install 'proctor[s7]'")
    layout, area = S7Layout(), import_module("snap7.type").SrvArea.DB
    block, server = bytearray(layout.bytes), import_module("snap7.server").Server(log=False)
    server.register_area(area, layout.db, block)
    to_runtime = slice(layout.to_runtime_at, layout.to_runtime_at + size_of(TO_RUNTIME))
    from_runtime = slice(layout.from_runtime_at, layout.from_runtime_at + size_of(FROM_RUNTIME))

    def write(words: list[int]) -> None:
        block[to_runtime] = area_of(TO_RUNTIME, words)

    server.start(port)
    try:
        yield _program(RegisterController(lambda: words_of_area(FROM_RUNTIME, bytes(block[from_runtime])), write))
    finally:
        server.stop()


def _program(controller: RegisterController) -> RegisterController:
    controller.until(lambda seen: seen["session_id"] and seen["state"] > 1, "runtime")
    return controller


PLCS = {"modbus": modbus_plc, "s7": s7_plc}


def _die(kind: str, port: int) -> int:
    """Have a PLC, a process of its own, end amid its second part (`_dying`); the `inspection_id` that it saw of it."""
    words = [sys.executable, "-m", "benchmarks.line.binding_faults", kind, str(port)]
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True, text=True, timeout=2 * START_S)
    return int(done.stdout)


def _dying(kind: str, port: int) -> None:
    """A PLC that ends without a word: by Modbus when its trigger is acknowledged, before the runtime polls again, which
    would show it the result; by S7 as it is shown the result, of which the runtime cannot know whether it arrived."""
    with PLCS[kind](port) as controller:
        controller.trigger(1)
        controller.result_of(1)
        controller.write(trigger=True, part_id=2)
        if kind == "modbus":
            seen = controller.until(lambda seen: seen["trigger_acknowledge"], "acknowledgement")
        else:
            seen = controller.until(lambda seen: seen["results_valid"] and seen["result_part_id"] == 2, "result")
        print(seen["inspection_id"], flush=True)
        os._exit(0)


def opcua_client_dead(folder: Path) -> Seen:
    """See `benchmarks.line.faults.FAULTS`."""
    if find_spec("asyncua") is None:
        raise Absent("a client of OPC UA takes asyncua; pip install 'proctor[opcua]'")
    next_one, port = import_module("benchmarks.line.opcua_client"), free_port()
    with line(*GOOD_PARTS, "--opcua", f"127.0.0.1:{port}", "--deadline-ms", 20_000):
        command = [sys.executable, "-m", "benchmarks.line.opcua_client", str(port)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert child.stdout is not None
            if not (token := child.stdout.readline().strip()):
                raise InputError("the OPC UA client did not trigger")
        finally:
            child.kill()
            child.communicate()
        begun_s = time.monotonic()
        found = asyncio.run(next_one.go_on(port, token, 3))
        if not found.session_is_over:
            raise InputError("the session of the client that is dead goes on")
        left = "a result" if found.left else "no result"
        return Seen((left,), found.counters, found.well_s - begun_s)


def killed_amid_a_pulse(folder: Path) -> Seen:
    """See `benchmarks.line.faults.FAULTS`. The chip keeps the level of a line that nobody holds."""
    if find_spec("gpiod") is None:
        raise Absent("digital inputs and outputs take libgpiod; pip install 'proctor[gpio]'")
    with recorded_chip(folder) as chip:
        config = folder / "gpio.yaml"
        config.write_text(WIRED.format(chip=chip.path, trigger=TRIGGER, pulse_ms=PULSE_MS, **OUTPUTS))
        words = (*GOOD_PARTS, "--gpio", config, "--deadline-ms", 20_000)
        with line(*words, environment=os.environ | chip.environment) as child:
            until(lambda: chip.levels[OUTPUTS["ready"]], "a line that is ready")
            chip.edge(TRIGGER, True)
            until(lambda: chip.levels[OUTPUTS["pass"]], "a pulse")
            begun_s = time.monotonic()
            child.send_signal(signal.SIGKILL)
            child.wait()
            until(lambda: not chip.held, "the end of whoever holds the lines")
        active = sum(chip.levels[each] for each in OUTPUTS.values())
        if active:
            raise InputError(f"{active} outputs are active after the end of the runtime: {chip.changes[-5:]}")
        told = "PASS, cut short" if _fell(chip.changes, begun_s) < PULSE_MS / 1e3 else "PASS"
        return Seen((told,), {"active": active}, _fell(chip.changes, begun_s))


def _fell(changes: list[Change], since_s: float) -> float:
    """Seconds until the last output was driven to its inactive level."""
    return max(each.at_s for each in changes if each.at_s >= since_s and not each.level) - since_s


def main() -> None:
    _dying(sys.argv[1], int(sys.argv[2]))


if __name__ == "__main__":
    main()

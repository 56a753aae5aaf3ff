"""What breaks on a line, one after the other: what the part got, what was counted, and how long until the next is well.

::

    python -m benchmarks.line.faults [NAME …] [--repeats 3] [--json FILE]

Each fault is made on purpose, in a runtime that is a process of its own: ``python -m runtime.line``, or, where the
engine itself has to fail, the same parts over an engine that does (`benchmarks.line.servers`). Whoever is on the other
side is real: a broker, a receiver, a PLC, a client, a Triton server, each a process that is killed; only the GPIO chip
is one that records. What cannot be made on this machine is said to be missing, and why.
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks.documents import write_document
from benchmarks.environment import describe_environment, one_line
from benchmarks.line.binding_faults import (
    killed_amid_a_pulse,
    opcua_client_dead,
    plc_client_gone,
    plc_server_gone,
    s7_gone,
)
from benchmarks.line.command_faults import camera_gone, clock_steps, disk_full, killed
from benchmarks.line.engine_faults import client_dead, deadline_missed, engine_error, frozen_frame
from benchmarks.line.publishing_faults import broker_gone, commands_gone, receiver_gone
from benchmarks.line.seen import Absent, Seen
from benchmarks.line.triton_faults import triton_gone
from benchmarks.options import add_json_option
from runtime import cli
from runtime.errors import InputError


@dataclass(frozen=True)
class Fault:
    """One that is made on purpose."""

    name: str
    what: str
    until: str  # what the recovery is counted from and to
    make: Callable[[Path], Seen]  # in an empty folder


FAULTS = (
    Fault("engine error", "the engine fails at a part", "from that part's result to the next pass", engine_error),
    Fault(
        "deadline missed",
        "the engine hangs for 1.5 s, the deadline is 1 s",
        "from the result LATE to the next pass",
        deadline_missed,
    ),
    Fault("frozen frame", "a camera gives the same picture twice", "from that result to the next pass", frozen_frame),
    Fault(
        "camera gone",
        "a GigE Vision camera is killed, and is there again after a second",
        "from the camera's start to the next part with a picture",
        camera_gone,
    ),
    Fault(
        "client dead",
        "a controller's program is killed with a part under way",
        "from the kill to the first pass of the next one",
        client_dead,
    ),
    Fault(
        "disk full",
        "the disk of the records is full, and has room again",
        "from then to the last record that waited",
        disk_full,
    ),
    Fault(
        "killed",
        "the runtime gets SIGKILL with a part under way, and is started again after a second",
        "from the kill to the next pass",
        killed,
    ),
    Fault(
        "clock",
        "the wall clock steps a year ahead, back, and a day back",
        "the longest from trigger to result after a step",
        clock_steps,
    ),
    Fault(
        "PLC gone, a client",
        "a PLC's connection ends with a part under way, and it connects again when that is late",
        "from then to the next pass",
        plc_client_gone,
    ),
    Fault(
        "PLC gone, a server",
        "a PLC that is the server ends with a part under way, and is there again when that is late",
        "from then to the next pass",
        plc_server_gone,
    ),
    Fault(
        "S7 gone",
        "an S7 controller ends as it is shown a pass, and is there again when that is late",
        "from then to the next pass",
        s7_gone,
    ),
    Fault(
        "OPC UA client dead",
        "an OPC UA client is killed with a part under way",
        "from the kill to the first pass of the next one",
        opcua_client_dead,
    ),
    Fault(
        "killed amid a pulse",
        "the runtime gets SIGKILL within a pulse of 10 s at a digital output",
        "from the kill to the last output that is inactive",
        killed_amid_a_pulse,
    ),
    Fault(
        "broker gone",
        "an MQTT broker is killed with a part under way, and is there again after a second and more parts than wait",
        "from the broker's start to the first verdict that waited",
        broker_gone,
    ),
    Fault(
        "broker of commands gone",
        "an MQTT broker is killed with a part under way that was triggered by it, and is there again after a second",
        "from the broker's start to the answer to the next trigger",
        commands_gone,
    ),
    Fault(
        "receiver gone",
        "a webhook's receiver hangs, is killed, and is there again after a second",
        "from the receiver's start to the first verdict that waited",
        receiver_gone,
    ),
    Fault(
        "Triton gone",
        "a Triton server is killed, and is started again after three parts and an idle self-check",
        "from the server's start to the next pass",
        triton_gone,
    ),
)


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    asked = [fault for fault in FAULTS if not options.names or fault.name in options.names]
    if unknown := set(options.names) - {fault.name for fault in FAULTS}:
        raise InputError(f"there is no fault {', '.join(sorted(unknown))}; known are {_names()}")
    load, rows = os.getloadavg()[0], dict[str, object]()
    for fault in asked:
        try:
            seen = [_made(fault) for _ in range(options.repeats)]
        except Absent as absent:
            print(f"{fault.name:<24} NOT MADE: {absent}", flush=True)
            rows[fault.name] = {"what": fault.what, "not_made": str(absent)}
            continue
        times_s = sorted(each.recovery_s for each in seen)
        print(
            f"{fault.name:<24} {', '.join(seen[-1].parts)}; {seen[-1].counters}; {median(times_s):.3f} s {fault.until}"
        )
        rows[fault.name] = {
            "what": fault.what,
            "until": fault.until,
            "recovery_s": median(times_s),
            "recoveries_s": times_s,
            **{name: value for name, value in asdict(seen[-1]).items() if name != "recovery_s"},
        }
    environment = describe_environment()
    print(f"{one_line(environment)}; load {load:.1f} at the start")
    if options.json:
        document = {"faults": rows, "load_at_the_start": round(load, 1), "environment": environment}
        write_document(options.json, document)


def _made(fault: Fault) -> Seen:
    with tempfile.TemporaryDirectory() as folder:
        return fault.make(Path(folder))


def _names() -> str:
    return ", ".join(repr(fault.name) for fault in FAULTS)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=cli.program("benchmarks.line.faults"), description="Make a line's faults, and time how it goes on."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of the fault: {_names()} (all)")
    parser.add_argument("--repeats", type=cli.positive, default=3, metavar="N", help="of each; the median counts (3)")
    add_json_option(parser)
    return parser


if __name__ == "__main__":
    cli.run(main)
